"""A run of the benchmarks as ``bench.json`` tells it (the file is described in ``benchmarks``)."""

from dataclasses import dataclass
from itertools import groupby

from reports.reading import Foreign, Scalar, count, field, field_or, listed, mapped, number, optional, scalar, schema, text
from reports.run import Run, read_run

SCHEMA = 1
MET, MISSED, NONE = "met", "missed", "none"


@dataclass(frozen=True)
class Spread:
    """What was measured: the median, and between which values nine in ten lie."""

    samples: tuple[float, ...]
    median: float
    p5: float
    p95: float


@dataclass(frozen=True)
class Target:
    """What a ratio is to be."""

    at_most: float | None = None
    at_least: float | None = None

    @property
    def value(self) -> float:
        """Where its line is drawn."""
        return self.at_most if self.at_most is not None else self.at_least or 0.0

    def __str__(self) -> str:
        sign, value = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {value:,g}" if value is not None and value < 1e6 else f"{sign} {value:g}"


@dataclass(frozen=True)
class Ratio:
    """One candidate's time over another's, pair by pair."""

    candidate: str
    against: str
    pairs: int
    spread: Spread
    target: Target | None
    verdict: str
    """met, missed or none (there is no target)."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark under one choice of its parameters."""

    name: str
    title: str
    unit: str
    parameters: dict[str, Scalar]
    candidates: dict[str, Spread]
    ratios: tuple[Ratio, ...]
    values: dict[str, Scalar]
    notes: tuple[str, ...]
    skipped: str
    """Why; empty: it ran."""

    @property
    def parameter_words(self) -> str:
        """``fsync on, 64 callers``."""
        return ", ".join(parameter_in_words(name, value) for name, value in self.parameters.items())

    @property
    def words(self) -> str:
        """The title with the parameters."""
        return f"{self.title} ({self.parameter_words})" if self.parameters else self.title


@dataclass(frozen=True)
class Bench:
    """All of it."""

    run: Run
    mode: str
    """quick or full."""
    benchmarks: tuple[Benchmark, ...]

    @property
    def ratios(self) -> list[tuple[Benchmark, Ratio]]:
        """All ratios with what they are of."""
        return [(one, ratio) for one in self.benchmarks for ratio in one.ratios]

    @property
    def missed(self) -> list[tuple[Benchmark, Ratio]]:
        """The ratios that break their target."""
        return [(one, ratio) for one, ratio in self.ratios if ratio.verdict == MISSED]

    @property
    def skipped(self) -> list[Benchmark]:
        """What was not measured."""
        return [one for one in self.benchmarks if one.skipped]


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
        for _, family in groupby(sorted(along, key=lambda one: rest(one, parameter)), lambda one: rest(one, parameter)):
            points = {number(one.parameters[parameter]): one for one in family}
            if len(points) > 1:
                curves.append(Sweep(parameter, tuple(sorted(points.items()))))
                taken |= {id(one) for one in points.values()}
    return curves, [one for one in measured if id(one) not in taken]


def rest(one: Benchmark, parameter: str) -> str:
    """What benchmarks share that differ in one parameter only."""
    others = {name: value for name, value in one.parameters.items() if name != parameter}
    return repr((one.name, one.unit, sorted(others.items())))


def is_number(value: Scalar) -> bool:
    """A number, and neither true nor false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def parameter_in_words(name: str, value: Scalar) -> str:
    """``fsync on``, ``64 callers``, ``mode quick``."""
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return f"{words} {'on' if value else 'off'}"
    if isinstance(value, int | float):
        return f"{words} = {value:,}"
    return f"{words} {value}"


# Reading


def read_bench(data: object) -> Bench:
    """The contents of bench.json; raises Foreign."""
    schema(data, SCHEMA)
    if "benchmarks" not in (data if isinstance(data, dict) else {}):
        raise Foreign("it has no benchmarks, so no run of this bench wrote it")
    return Bench(
        run=read_run(data),
        mode=field_or(data, "mode", text, ""),
        benchmarks=field(data, "benchmarks", listed(read_benchmark)),
    )


def read_benchmark(data: object) -> Benchmark:
    """One of the benchmarks; raises Foreign."""
    name = field(data, "name", text)
    candidates = field_or(data, "candidates", mapped(read_spread), {})
    return Benchmark(
        name=name,
        title=field_or(data, "title", text, name.replace("_", " ")),
        unit=field_or(data, "unit", text, ""),
        parameters=field_or(data, "parameters", mapped(scalar), {}),
        candidates={who: spread for who, spread in candidates.items() if spread is not None},
        ratios=tuple(one for one in field_or(data, "ratios", listed(read_ratio), ()) if one is not None),
        values=field_or(data, "values", mapped(scalar), {}),
        notes=field_or(data, "notes", listed(text), ()),
        skipped=field_or(data, "skipped", text, ""),
    )


def read_spread(data: object) -> Spread | None:
    """A distribution; None if nothing was measured. Raises Foreign."""
    median = field_or(data, "median", optional(number), None)
    if median is None:
        return None
    return Spread(
        samples=field_or(data, "samples", listed(number), ()),
        median=median,
        p5=field_or(data, "p5", number, median),
        p95=field_or(data, "p95", number, median),
    )


def read_ratio(data: object) -> Ratio | None:
    """A ratio; None if there is no pair. Raises Foreign."""
    spread = read_spread(data)
    if spread is None:
        return None
    target = field_or(data, "target", optional(read_target), None)
    verdict = field_or(data, "verdict", text, NONE)
    if verdict not in (MET, MISSED, NONE):
        raise Foreign(f"verdict: {verdict} is no verdict on a ratio")
    return Ratio(
        candidate=field(data, "candidate", text),
        against=field(data, "against", text),
        pairs=field_or(data, "pairs", count, len(spread.samples)),
        spread=spread,
        target=target,
        verdict=verdict,
    )


def read_target(data: object) -> Target | None:
    """A target; None if it asks for nothing. Raises Foreign."""
    at_most = field_or(data, "at_most", optional(number), None)
    at_least = field_or(data, "at_least", optional(number), None)
    return None if at_most is None and at_least is None else Target(at_most, at_least)
