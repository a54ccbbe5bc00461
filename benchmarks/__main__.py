"""The benchmarks: paired comparisons, with progress, a table, a results folder, and a gate.

    nox -s bench -- [--full] [--gate] [--pg-config PATH] [--implementation shared|stock|FILE.toml] [--results FOLDER]
                    [--source TREE_OR_TARBALL]

Exit status: 0 all was measured (and, with --gate, is as it should be); 1 a benchmark broke down, or the gate is shut;
2 the bench could not be set up, and one sentence says why; 130 interrupted. What is in the results folder is described
in ``benchmarks.results``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from benchmarks.display import show_crashed, show_skipped, showing_progress, table
from benchmarks.gate import BASELINE, Baseline, compared, complaints, doubts, read_baseline, write_baseline
from benchmarks.recorder import Recorder
from benchmarks.results import results_of, write_results
from harness.machine.postgres import SetupError
from harness.running.commandline import (
    INTERRUPTED,
    add_common_options,
    begin,
    common_options,
    exit_status,
    last_line,
    run_pytest,
)
from harness.running.reporting import report
from harness.running.results import circumstances, remove_folder
from harness.running.terminal import clock, nearer, own_console

BENCHMARKS = Path(__file__).parent
SUITES = (
    "latency",
    "open_backups",
    "expiry",
    "concurrency",
    "archive",
    "tablespaces",
    "bench_speed",
    "durable",
    "fixed",
    "linearize",
)
"""In this order: what is shared is set up once."""
LIBRARIES = ("numpy", "psutil", "pytest-benchmark")
WAL_SEGMENTS = {"wal_segment_size": "1MB"}
FINE, NOT_FINE = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks; returns the exit status."""
    chosen = parser().parse_args(arguments)
    return exit_status(lambda: bench(chosen))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s bench --", description="Measures shared backups beside core's functions, in pairs."
    )
    result.add_argument("--full", action="store_true", help="all of it, about 20 minutes (default: the quick set)")
    result.add_argument(
        "--gate", action="store_true", help="fail when a target is missed or a ratio is worse than the baseline"
    )
    result.add_argument("--save-baseline", action="store_true", help="store the ratios as the baseline")
    add_common_options(result, "benchmarks")
    result.add_argument(
        "--source",
        metavar="PATH",
        type=Path,
        help="a source tree or a tarball of PostgreSQL: starts are measured on a patched one, too, built from it",
    )
    result.add_argument(
        "--baseline", metavar="FILE", type=Path, default=BASELINE, help="default: benchmarks/baseline.json"
    )
    return result


def bench(chosen: argparse.Namespace) -> int:
    """A run; raises SetupError if it cannot be set up."""
    baseline = read_baseline(chosen.baseline)
    run, recorder = begin(chosen), Recorder()
    mode = "full" if chosen.full else "quick"
    tested = f"{run.tested}, {mode} set"
    with own_console() as console:
        console.print(tested)
        with showing_progress(console, recorder):
            measure(recorder, chosen, run.folder)
        seconds = run.seconds()
        preloaded = {"shared_preload_libraries": run.implementation.preload or ""}
        about = circumstances(run, seconds, {**preloaded, **WAL_SEGMENTS}, LIBRARIES)
        write_results(run.folder, results_of(recorder, mode, about))
        show_end(console, recorder)
        if recorder.interrupted:
            console.print("\nInterrupted: what had been measured by then is in the results.")
        console.print(f"\n{tested}, in {clock(seconds)} min; WAL segments of 1 MB")
        console.print(f"Results: {nearer(run.folder)}", soft_wrap=True)
        if not chosen.no_report:
            console.print(f"Report: {report(nearer(run.folder))}", soft_wrap=True)
        if chosen.save_baseline and not recorder.interrupted:
            stored = write_baseline(recorder.measurements, chosen.baseline)
            console.print(f"Baseline: {stored} ratios stored in {nearer(chosen.baseline)}", soft_wrap=True)
        shut = chosen.gate and not gate_opens(console, recorder, baseline)
    return INTERRUPTED if recorder.interrupted else NOT_FINE if shut or recorder.crashed else FINE


def measure(recorder: Recorder, chosen: argparse.Namespace, folder: Path) -> None:
    """Runs the benchmarks; raises SetupError if nothing was set up."""
    suites = [str(BENCHMARKS / f"test_{suite}.py") for suite in SUITES]
    how = ["--benchmark-disable-gc", *common_options(chosen), *["--full"] * chosen.full]
    if chosen.source is not None:
        how.append(f"--source={chosen.source.absolute()}")
    status, words = run_pytest([recorder], chosen.selection, [*suites, *how])
    if status is None:
        recorder.interrupted = True
        return
    if status == pytest.ExitCode.INTERNAL_ERROR:
        recorder.crashed["pytest"] = words
    if recorder.setup_error or status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        remove_folder(folder)
        nothing = f'no benchmark is called "{chosen.selection}"' if status == pytest.ExitCode.NO_TESTS_COLLECTED else ""
        raise SetupError(recorder.setup_error or nothing or last_line(words).removeprefix("ERROR: "))


def show_end(console: Console, recorder: Recorder) -> None:
    """What was measured, what was skipped, what broke down."""
    console.print()
    console.print(table(recorder.measurements))
    show_skipped(console, recorder.measurements)
    show_crashed(console, recorder.crashed)


def gate_opens(console: Console, recorder: Recorder, baseline: Baseline) -> bool:
    """Says what the gate is shut for, if it is."""
    found = complaints(recorder.measurements, baseline)
    for line in doubts(recorder.measurements):
        console.print(Text(f"Too close to call: {line}", style="yellow"), soft_wrap=True)
    for line in found:
        console.print(Text(f"Gate: {line}", style="bold red"), soft_wrap=True)
    if not found:
        known = compared(recorder.measurements, baseline)
        console.print(f"Gate: no target is missed, and none of {known} ratios is worse than in the baseline.")
    return not found


if __name__ == "__main__":
    sys.exit(main())
