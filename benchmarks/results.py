"""``bench.json``: what a run of the benchmarks leaves in its results folder.

Beside the circumstances of the run (``harness.running.results``) it has; times are seconds unless a unit is
told:

``schema``          the version of this description: 1
``verdict``         complete, crashed (some benchmark broke down) or interrupted
``mode``            quick or full
``benchmarks``      a list; of each:

    ``name``, ``title``   what was measured: in one word, and in a line
    ``unit``              of the samples
    ``parameters``        what was varied
    ``candidates``        by name: ``samples``, ``median``, ``p5``, ``p95``. ``shared`` is the implementation tested,
                          whatever its own name; ``stock`` is core's functions; ``floor`` is what nobody can avoid.
                          The n-th samples of the candidates are a pair.
    ``ratios``            a list: ``candidate``, ``against``, ``pairs`` (how many), ``median``, ``p5``, ``p95``,
                          ``samples``, ``interval`` (between which ratios the true median lies, with a confidence of
                          95 %), ``target`` (``at_most``; null if it has none), ``verdict`` (met, missed or none: by
                          the median)
    ``values``            numbers that are no samples, by name
    ``limits``            a list of the values that have a target: ``value`` (its name), ``measured``, ``target``
                          (``at_most`` or ``at_least``), ``verdict``
    ``settings``          what its server's configuration says beside ``postgresql.settings``
    ``notes``             remarks, a list
    ``skipped``           why nothing was measured; empty if something was

``crashed``         benchmarks that broke down, by name, with all that pytest says
``targets``         the table of targets, whether measured or not: ``benchmark``, ``against`` or ``value``, ``when``
                    (parameters), ``at_most`` or ``at_least``
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measurement import Measurement, Ratio
from benchmarks.recorder import Recorder
from benchmarks.spread import spread
from benchmarks.targets import TARGETS, Target
from harness.running.results import write_json, writing

SCHEMA = 1
DIGITS = 6  # of a number in the file


def results_of(recorder: Recorder, mode: str, circumstances: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into bench.json."""
    return {
        "schema": SCHEMA,
        "verdict": "interrupted" if recorder.interrupted else "crashed" if recorder.crashed else "complete",
        **circumstances,
        "mode": mode,
        "benchmarks": [in_json(one) for one in recorder.measurements],
        "crashed": recorder.crashed,
        "targets": [target_in_json(target) for target in TARGETS],
    }


def in_json(one: Measurement) -> dict[str, Any]:
    """One of ``benchmarks``."""
    return {
        "name": one.name,
        "title": one.title,
        "unit": one.unit,
        "parameters": dict(one.parameters),
        "candidates": {name: samples_in_json(samples) for name, samples in one.candidates.items()},
        "ratios": [ratio_in_json(ratio) for ratio in one.ratios],
        "values": {name: rounded(value) for name, value in one.values.items()},
        "limits": [
            {
                "value": limit.value,
                "measured": rounded(limit.measured),
                "target": limit.target.bounds(),
                "verdict": limit.verdict,
            }
            for limit in one.limits
        ],
        "settings": dict(one.settings),
        "notes": list(one.notes),
        "skipped": one.skipped,
    }


def samples_in_json(samples: Sequence[float]) -> dict[str, Any]:
    """Samples with their spread."""
    shape = {name: rounded(value) for name, value in asdict(spread(samples)).items()} if samples else {}
    return {**shape, "samples": [rounded(value) for value in samples]}


def ratio_in_json(ratio: Ratio) -> dict[str, Any]:
    """A ratio with its spread and its target."""
    return {
        "candidate": ratio.candidate,
        "against": ratio.against,
        "pairs": len(ratio.samples),
        **samples_in_json(ratio.samples),
        "interval": [rounded(value) for value in ratio.interval],
        "target": ratio.target.bounds() if ratio.target else None,
        "verdict": ratio.verdict,
    }


def target_in_json(target: Target) -> dict[str, Any]:
    """A row of the table of targets."""
    about = {"against": target.against} if target.against else {"value": target.value}
    return {"benchmark": target.benchmark, **about, "when": dict(target.when), **target.bounds()}


def rounded(value: float) -> float:
    """With as many digits as mean something."""
    return float(f"{value:.{DIGITS}g}")


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Writes bench.json and leads ``latest`` here; raises SetupError."""
    with writing(folder):
        write_json(folder / "bench.json", results)
