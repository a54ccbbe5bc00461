"""A run of the benchmarks as ``bench.json`` tells it (the file is described in ``benchmarks``)."""

from dataclasses import dataclass

from reports.reading import (
    Foreign,
    Scalar,
    count,
    field,
    field_or,
    listed,
    many,
    named,
    number,
    optional,
    quoted,
    scalar,
    schema,
    text,
)
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
    interval: tuple[float, float] | None = None
    """Between which ratios the true median lies, with a confidence of 95 %."""


@dataclass(frozen=True)
class Limit:
    """A value with a target of its own."""

    value: str
    """What of."""
    measured: float
    target: Target
    verdict: str
    """met or missed."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark under one choice of its parameters."""

    name: str
    title: str
    unit: str
    parameters: dict[str, Scalar]
    candidates: dict[str, Spread]
    ratios: tuple[Ratio, ...]
    limits: tuple[Limit, ...]
    values: dict[str, Scalar]
    settings: dict[str, Scalar]
    """What its server has beside the bench's own."""
    notes: tuple[str, ...]
    skipped: str
    """Why; empty: it ran."""

    @property
    def parameter_words(self) -> str:
        """``fsync on, 64 callers``."""
        return ", ".join(parameter_in_words(name, value) for name, value in self.parameters.items())

    @property
    def short(self) -> str:
        """The name with the parameters: ``start latency, fsync on``."""
        return ", ".join(filter(None, [self.name.replace("_", " "), self.parameter_words]))

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
    verdict: str
    """complete, interrupted or crashed."""
    crashed: dict[str, str]
    """Benchmarks that broke down, and what was said of it."""
    benchmarks: tuple[Benchmark, ...]

    @property
    def ratios(self) -> list[tuple[Benchmark, Ratio]]:
        """All ratios with what they are of."""
        return [(one, ratio) for one in self.benchmarks for ratio in one.ratios]

    @property
    def limits(self) -> list[tuple[Benchmark, Limit]]:
        """All limits with what they are of."""
        return [(one, limit) for one in self.benchmarks for limit in one.limits]

    @property
    def verdicts(self) -> list[str]:
        """Of all that has a target."""
        everything = [ratio.verdict for _, ratio in self.ratios] + [limit.verdict for _, limit in self.limits]
        return [verdict for verdict in everything if verdict != NONE]

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
        for family in families(along, parameter):
            points = {number(one.parameters[parameter]): one for one in family}
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


def is_number(value: Scalar) -> bool:
    """A number, and neither true nor false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


PARAMETERS = {"open": "open backups", "callers": "callers at once"}
"""Parameters whose names alone do not tell."""
THINGS = {
    "open backups": "open backup",
    "callers at once": "caller at once",
    "tablespaces": "tablespace",
    "backups": "backup",
}
"""What parameters count: many, and one."""


def name_in_words(name: str) -> str:
    """What a parameter counts."""
    return PARAMETERS.get(name, name.replace("_", " "))


def parameter_in_words(name: str, value: Scalar) -> str:
    """``fsync on``, ``64 callers``, ``mode quick``."""
    words = name_in_words(name)
    if isinstance(value, bool):
        return f"{words} {'on' if value else 'off'}"
    if isinstance(value, int | float):
        counted = THINGS[words] if value == 1 and words in THINGS else words
        return f"{value:,} {counted}" if words in THINGS else f"{words} = {value:,}"
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
        verdict=field_or(data, "verdict", text, "complete"),
        crashed=named(data, "crashed", text),
        benchmarks=field(data, "benchmarks", listed(read_benchmark)),
    )


def read_benchmark(data: object) -> Benchmark:
    """One of the benchmarks; raises Foreign."""
    name = field(data, "name", text)
    candidates = named(data, "candidates", read_spread)
    return Benchmark(
        name=name,
        title=field_or(data, "title", text, name.replace("_", " ")),
        unit=field_or(data, "unit", text, ""),
        parameters=named(data, "parameters", scalar),
        candidates={who: spread for who, spread in candidates.items() if spread is not None},
        ratios=tuple(one for one in many(data, "ratios", read_ratio) if one is not None),
        limits=tuple(one for one in many(data, "limits", read_limit) if one is not None),
        values=named(data, "values", scalar),
        settings=named(data, "settings", scalar),
        notes=many(data, "notes", text),
        skipped=field_or(data, "skipped", text, ""),
    )


def read_spread(data: object) -> Spread | None:
    """A distribution; None if nothing was measured. Raises Foreign."""
    median = field_or(data, "median", optional(number), None)
    if median is None:
        return None
    return Spread(
        samples=many(data, "samples", number),
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
    interval = many(data, "interval", number)
    return Ratio(
        candidate=field(data, "candidate", text),
        against=field(data, "against", text),
        pairs=field_or(data, "pairs", count, len(spread.samples)),
        spread=spread,
        target=target,
        verdict=field_or(data, "verdict", read_verdict, NONE),
        interval=(interval[0], interval[1]) if len(interval) == 2 else None,
    )


def read_limit(data: object) -> Limit | None:
    """A limit; None if nothing was measured. Raises Foreign."""
    measured, target = field_or(data, "measured", optional(number), None), field(data, "target", read_target)
    if measured is None or target is None:
        return None
    return Limit(field(data, "value", text), measured, target, field(data, "verdict", read_verdict))


def read_verdict(value: object) -> str:
    """Whether a target was met; raises Foreign."""
    if value not in (MET, MISSED, NONE):
        raise Foreign(f"{quoted(value)} is none of met, missed and none")
    return str(value)


def read_target(data: object) -> Target | None:
    """A target; None if it asks for nothing. Raises Foreign."""
    at_most = field_or(data, "at_most", optional(number), None)
    at_least = field_or(data, "at_least", optional(number), None)
    return None if at_most is None and at_least is None else Target(at_most, at_least)
