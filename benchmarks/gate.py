"""The gate: what may not get worse, and the baseline that says what it was.

A target is missed, for the gate, if the median misses it and would do so anywhere in its interval of confidence. Where
the two disagree, the pairs were too few or the machine too noisy to tell: the gate says so and stays open.

The baseline is a file of ratios, no times: they mean something on another machine too. A ratio is worse than its
baseline if its median lies above the baseline's 95th percentile, that is, beyond what single pairs showed then.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measurement import Measurement, Ratio
from benchmarks.spread import Spread
from benchmarks.targets import Verdict
from harness.machine.postgres import SetupError

SCHEMA = 1
BASELINE = Path(__file__).parent / "baseline.json"

Key = tuple[str, str, str, str]
"""Benchmark, parameters, candidate, against: what a ratio is of."""
Baseline = Mapping[Key, Spread]


def complaints(measurements: Iterable[Measurement], baseline: Baseline) -> list[str]:
    """Everything for which the gate does not open, each in one line."""
    return [line for one in measurements for line in [*missed_targets(one), *worse_ratios(one, baseline)]]


def missed_targets(one: Measurement) -> Iterator[str]:
    """The targets that a measurement does not keep."""
    for limit in one.limits:
        if limit.verdict is Verdict.MISSED:
            yield f"{described(one)}: {limit.value} is {limit.measured:,.6g}, {bounds(limit.target.bounds())}"
    for ratio in one.ratios:
        if ratio.certainly_missed:
            yield missed(one, ratio)


def doubts(measurements: Iterable[Measurement]) -> list[str]:
    """The targets of which it cannot be told whether they are missed, each in one line."""
    return [
        missed(one, ratio)
        for one in measurements
        for ratio in one.ratios
        if ratio.verdict is Verdict.MISSED and not ratio.certainly_missed
    ]


def missed(one: Measurement, ratio: Ratio) -> str:
    """A ratio that misses its target, in words."""
    low, high = ratio.interval
    wanted = bounds(ratio.target.bounds() if ratio.target else {})
    return f"{described(one)}: {ratio.spread.median:.4g} ({low:.4g} to {high:.4g}) × {ratio.against}, {wanted}"


def worse_ratios(one: Measurement, baseline: Baseline) -> Iterator[str]:
    """The ratios of the implementation under test that are worse than they were by more than their spread."""
    for ratio in one.ratios:
        before = baseline.get(key(one, ratio))
        if before and ratio.candidate != "stock" and ratio.spread.median > before.p95:
            yield (
                f"{described(one)}: {ratio.spread.median:.4g} × {ratio.against}, in the baseline {before.median:.4g} "
                f"({before.p5:.4g} to {before.p95:.4g})"
            )


def described(one: Measurement) -> str:
    """A measurement's name with its parameters."""
    return ", ".join([one.name, *(f"{name} {quoted(value)}" for name, value in one.parameters.items())])


def quoted(value: object) -> str:
    """A parameter's value for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,}" if isinstance(value, int) else str(value)


def bounds(wanted: Mapping[str, float]) -> str:
    """A target in words."""
    return " and ".join(f"{name.replace('_', ' ')} {bound:,.6g} is the target" for name, bound in wanted.items())


def key(one: Measurement, ratio: Ratio) -> Key:
    """What a ratio is of."""
    return one.name, json.dumps(dict(one.parameters), sort_keys=True), ratio.candidate, ratio.against


# The file


def read_baseline(path: Path = BASELINE) -> dict[Key, Spread]:
    """The stored baseline, empty if there is none; raises SetupError if it cannot be read."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["ratios"]
        return {key_of(row): Spread(row["median"], row["p5"], row["p95"]) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"The baseline {path} cannot be read ({error}): restore it, or write another with --save-baseline."
        ) from None


def write_baseline(measurements: Iterable[Measurement], path: Path = BASELINE) -> int:
    """Stores the ratios as the baseline, in place of earlier ones of the same; returns how many; raises SetupError."""
    fresh = {
        key(one, ratio): Spread(*(float(f"{value:.4g}") for value in asdict(ratio.spread).values()))
        for one in measurements
        for ratio in one.ratios
    }
    rows = [row_of(what, spread) for what, spread in sorted((read_baseline(path) | fresh).items())]
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
    try:
        path.write_text(f'{{"schema": {SCHEMA}, "ratios": [\n{lines}\n]}}\n', encoding="utf-8")
    except OSError as error:
        raise SetupError(f"The baseline {path} cannot be written ({error.strerror}): make it writable.") from None
    return len(fresh)


def key_of(row: Mapping[str, Any]) -> Key:
    """The key of a row of the file."""
    return row["benchmark"], json.dumps(row["parameters"], sort_keys=True), row["candidate"], row["against"]


def row_of(what: Key, spread: Spread) -> dict[str, Any]:
    """A row of the file."""
    benchmark, parameters, candidate, against = what
    named = {"benchmark": benchmark, "parameters": json.loads(parameters), "candidate": candidate, "against": against}
    return {**named, **asdict(spread)}


def compared(measurements: Sequence[Measurement], baseline: Baseline) -> int:
    """How many of the ratios the baseline knows."""
    return sum(key(one, ratio) in baseline for one in measurements for ratio in one.ratios)
