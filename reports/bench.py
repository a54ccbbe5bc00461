"""What a run of the benchmarks measured, all of it together; nothing where there was no such run."""

from dataclasses import dataclass
from typing import TypeGuard

from msgspec.structs import replace

from harness.schema.benchmarks import Benchmark, Benchmarks, Limit, Ratio, Verdict
from harness.schema.run import Scalar
from reports.words import parameter_in_words


def measured(bench: Benchmarks) -> Benchmarks:
    """The same without candidates and ratios that have no samples."""
    return replace(bench, benchmarks=tuple(map(with_samples, bench.benchmarks)))


def with_samples(one: Benchmark) -> Benchmark:
    """The same without candidates and ratios that have no samples."""
    candidates = {name: spread for name, spread in one.candidates.items() if spread.samples}
    return replace(one, candidates=candidates, ratios=tuple(ratio for ratio in one.ratios if ratio.samples))


def benchmarks_of(bench: Benchmarks | None) -> tuple[Benchmark, ...]:
    """All of them."""
    return bench.benchmarks if bench else ()


def ratios_of(bench: Benchmarks | None) -> list[tuple[Benchmark, Ratio]]:
    """All ratios with what they are of."""
    return [(one, ratio) for one in benchmarks_of(bench) for ratio in one.ratios]


def limits_of(bench: Benchmarks | None) -> list[tuple[Benchmark, Limit]]:
    """All values that have a target with what they are of."""
    return [(one, limit) for one in benchmarks_of(bench) for limit in one.limits]


def verdicts_of(bench: Benchmarks | None) -> list[Verdict]:
    """Of all that has a target."""
    everything = [ratio.verdict for _, ratio in ratios_of(bench)] + [limit.verdict for _, limit in limits_of(bench)]
    return [verdict for verdict in everything if verdict is not Verdict.NONE]


def skipped(bench: Benchmarks | None) -> list[Benchmark]:
    """What was not measured."""
    return [one for one in benchmarks_of(bench) if one.skipped]


@dataclass(frozen=True)
class Sweep:
    """Benchmarks that differ in one number only, in its order."""

    parameter: str
    points: tuple[tuple[float, Benchmark], ...]

    @property
    def first(self) -> Benchmark:
        """Any of them, for what they share."""
        return self.points[0][1]

    @property
    def fixed(self) -> str:
        """The parameters that they share, in words."""
        shared = {name: value for name, value in self.first.parameters.items() if name != self.parameter}
        return ", ".join(parameter_in_words(name, value) for name, value in shared.items())


def sweeps(benchmarks: tuple[Benchmark, ...]) -> tuple[list[Sweep], list[Benchmark]]:
    """The benchmarks that together make a curve, and the others."""
    measured = [one for one in benchmarks if not one.skipped and one.candidates]
    curves: list[Sweep] = []
    taken: set[int] = set()
    for parameter in dict.fromkeys(name for one in measured for name in one.parameters):
        along = [one for one in measured if id(one) not in taken and is_number(one.parameters.get(parameter))]
        for family in families(along, parameter):
            points = {number: one for one in family if is_number(number := one.parameters[parameter])}
            if len(points) > 1:
                curves.append(Sweep(parameter, tuple(sorted(points.items()))))
                taken |= {id(one) for one in points.values()}
    return curves, [one for one in measured if id(one) not in taken]


def families(benchmarks: list[Benchmark], parameter: str) -> list[list[Benchmark]]:
    """Those that differ in one parameter only, together."""
    found: dict[str, list[Benchmark]] = {}
    for one in benchmarks:
        found.setdefault(rest(one, parameter), []).append(one)
    return list(found.values())


def rest(one: Benchmark, parameter: str) -> str:
    """What benchmarks share that differ in one parameter only."""
    others = {name: value for name, value in one.parameters.items() if name != parameter}
    return repr((one.name, one.unit, sorted(others.items())))


def is_number(value: Scalar) -> TypeGuard[float]:
    """A number, and neither true nor false."""
    return isinstance(value, int | float) and not isinstance(value, bool)
