"""The gate: what may not get worse, and the baseline that says what it was.

A target is missed, for the gate, if the median misses it and would do so anywhere in its interval of confidence. Where
the two disagree, the pairs were too few or the machine too noisy to tell: the gate says so and stays open.

The baseline is a file of ratios, no times: they mean something on another machine too. A ratio is worse than its
baseline if its median lies above the baseline's 95th percentile, that is, beyond what single pairs showed then.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.machine.postgres import SetupError
from harness.schema.benchmarks import Benchmark, Bounds, Ratio, Verdict
from harness.schema.run import Scalar

SCHEMA = 1
BASELINE = Path(__file__).parent / "baseline.json"

Key = tuple[str, str, str, str]
"""Benchmark, parameters, candidate, against: what a ratio is of."""


class Row(msgspec.Struct, frozen=True):
    """A ratio of the baseline."""

    benchmark: str
    parameters: dict[str, Scalar]
    candidate: str
    against: str
    median: float
    p5: float
    p95: float

    @property
    def key(self) -> Key:
        """What it is of."""
        return key(self.benchmark, self.parameters, self.candidate, self.against)


class Stored(msgspec.Struct, frozen=True):
    """The file of the baseline."""

    ratios: tuple[Row, ...]
    schema: int = SCHEMA


Baseline = Mapping[Key, Row]


def complaints(measurements: Iterable[Benchmark], baseline: Baseline) -> list[str]:
    """Everything for which the gate does not open, each in one line."""
    return [line for one in measurements for line in [*missed_targets(one), *worse_ratios(one, baseline)]]


def missed_targets(one: Benchmark) -> Iterator[str]:
    """The targets that a measurement does not keep."""
    for limit in one.limits:
        if limit.verdict is Verdict.MISSED:
            yield f"{described(one)}: {limit.value} is {limit.measured:,.6g}, {bound(limit.target)}"
    for ratio in one.ratios:
        if certainly_missed(ratio):
            yield missed(one, ratio)


def doubts(measurements: Iterable[Benchmark]) -> list[str]:
    """The targets of which it cannot be told whether they are missed, each in one line."""
    return [
        missed(one, ratio)
        for one in measurements
        for ratio in one.ratios
        if ratio.verdict is Verdict.MISSED and not certainly_missed(ratio)
    ]


def missed(one: Benchmark, ratio: Ratio) -> str:
    """A ratio that misses its target, in words."""
    low, high = ratio.interval or (ratio.median, ratio.median)
    wanted = bound(ratio.target or Bounds())
    return f"{described(one)}: {ratio.median:.4g} ({low:.4g} to {high:.4g}) × {ratio.against}, {wanted}"


def certainly_missed(ratio: Ratio) -> bool:
    """Would the true median miss the target, wherever in its interval it is?"""
    return ratio.target is not None and Verdict.MET not in map(ratio.target.verdict, ratio.interval or [ratio.median])


def worse_ratios(one: Benchmark, baseline: Baseline) -> Iterator[str]:
    """The ratios of the implementation under test that are worse than they were by more than their spread."""
    for ratio in one.ratios:
        before = baseline.get(row_of(one, ratio).key)
        if before and ratio.candidate != "stock" and ratio.median > before.p95:
            yield (
                f"{described(one)}: {ratio.median:.4g} × {ratio.against}, in the baseline {before.median:.4g} "
                f"({before.p5:.4g} to {before.p95:.4g})"
            )


def described(one: Benchmark) -> str:
    """A measurement's name with its parameters."""
    return ", ".join([one.name, *(f"{name} {quoted(value)}" for name, value in one.parameters.items())])


def quoted(value: object) -> str:
    """A parameter's value for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,}" if isinstance(value, int) else str(value)


def bound(target: Bounds) -> str:
    """A target in words."""
    return f"at {'most' if target.at_most is not None else 'least'} {target.bound:,.6g} is the target"


def key(benchmark: str, parameters: Mapping[str, Scalar], candidate: str, against: str) -> Key:
    """What a ratio is of."""
    return benchmark, json.dumps(parameters, sort_keys=True), candidate, against


# The file


def read_baseline(path: Path = BASELINE) -> dict[Key, Row]:
    """The stored baseline, empty if there is none; raises SetupError if it cannot be read."""
    try:
        return {row.key: row for row in msgspec.json.decode(path.read_bytes(), type=Stored).ratios}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise SetupError(
            f"The baseline {path} cannot be read ({error}): restore it, or write another with --save-baseline."
        ) from None


def write_baseline(measurements: Iterable[Benchmark], path: Path = BASELINE) -> int:
    """Stores the ratios as the baseline, in place of earlier ones of the same; returns how many; raises SetupError."""
    fresh = {row.key: row for row in rows_of(measurements)}
    rows = [row for _, row in sorted((read_baseline(path) | fresh).items())]
    lines = ",\n".join(f"  {msgspec.json.format(msgspec.json.encode(row), indent=0).decode()}" for row in rows)
    try:
        path.write_text(f'{{"schema": {SCHEMA}, "ratios": [\n{lines}\n]}}\n', encoding="utf-8")
    except OSError as error:
        raise SetupError(f"The baseline {path} cannot be written ({error.strerror}): make it writable.") from None
    return len(fresh)


def rows_of(measurements: Iterable[Benchmark]) -> list[Row]:
    """All their ratios."""
    return [row_of(one, ratio) for one in measurements for ratio in one.ratios]


def row_of(one: Benchmark, ratio: Ratio) -> Row:
    """A ratio for the file, with four digits of each number."""
    numbers = (float(f"{value:.4g}") for value in (ratio.median, ratio.p5, ratio.p95))
    return Row(one.name, one.parameters, ratio.candidate, ratio.against, *numbers)


def compared(measurements: Sequence[Benchmark], baseline: Baseline) -> int:
    """How many of the ratios the baseline knows."""
    return sum(row.key in baseline for row in rows_of(measurements))
