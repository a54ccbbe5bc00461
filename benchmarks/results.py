"""``bench.json``: what a run of the benchmarks leaves in its results folder (``harness.schema.benchmarks``)."""

from pathlib import Path

from msgspec.structs import asdict

from benchmarks.recorder import Recorder
from benchmarks.targets import TARGETS
from harness.running.results import write_json, writing
from harness.schema.benchmarks import Benchmarks
from harness.schema.run import Run


def results_of(recorder: Recorder, mode: str, circumstances: Run) -> Benchmarks:
    """What goes into bench.json."""
    return Benchmarks(
        **asdict(circumstances),
        verdict="interrupted" if recorder.interrupted else "crashed" if recorder.crashed else "complete",
        mode=mode,
        benchmarks=tuple(recorder.measurements),
        crashed=recorder.crashed,
        targets=TARGETS,
    )


def write_results(folder: Path, results: Benchmarks) -> None:
    """Writes bench.json and leads ``latest`` here; raises SetupError."""
    with writing(folder):
        write_json(folder / "bench.json", results)
