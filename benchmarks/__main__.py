"""The benchmarks: paired comparisons, with progress, a table, a results folder, and a gate.

    nox -s bench -- [--full] [--gate] [--pg-config PATH] [--implementation shared|stock|FILE.toml] [--results FOLDER]

Exit status: 0 all was measured (and, with --gate, is as it should be); 1 a benchmark broke down, or the gate is shut;
2 the bench could not be set up, and one sentence says why; 130 interrupted. What is in the results folder is described
in ``benchmarks.results``.
"""

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from benchmarks.display import show_crashed, show_skipped, shown, table
from benchmarks.gate import BASELINE, Baseline, compared, complaints, doubts, read_baseline, write_baseline
from benchmarks.recorder import Recorder
from benchmarks.results import results_of, write_results
from harness.implementation import find_implementation
from harness.postgres import SetupError, find_postgres, server_user
from properties.campaign import RESULTS, nearer, report
from properties.progress import clock, own_console
from properties.results import new_folder, remove_folder
from properties.verdict import ROOT, last_line

BENCHMARKS = Path(__file__).parent
SUITES = ("latency", "open_backups", "expiry", "concurrency", "archive", "tablespaces", "bench_speed")
"""In this order: what is shared is set up once."""
FINE, NOT_FINE, NO_SETUP, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks; returns the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        return bench(chosen)
    except SetupError as error:
        print(error, file=sys.stderr)
        return NO_SETUP
    except KeyboardInterrupt:  # before the benchmarks began, or after they ended
        return INTERRUPTED


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
    result.add_argument(
        "--pg-config", metavar="PATH", help="the PostgreSQL to measure (default: $PG_CONFIG, else the bundled one)"
    )
    result.add_argument(
        "--implementation",
        metavar="NAME",
        default="shared",
        help="shared (the extension, default), stock (core's functions against themselves), or a TOML file",
    )
    result.add_argument(
        "--results",
        metavar="FOLDER",
        type=Path,
        default=RESULTS,
        help="where the folder with the results is made, and the link 'latest' to it (default: reports/out)",
    )
    result.add_argument(
        "--baseline", metavar="FILE", type=Path, default=BASELINE, help="default: benchmarks/baseline.json"
    )
    result.add_argument("-k", metavar="EXPRESSION", dest="selection", help="only these benchmarks, as pytest's -k")
    return result


def bench(chosen: argparse.Namespace) -> int:
    """A run; raises SetupError if it cannot be set up."""
    postgres, implementation = find_postgres(chosen.pg_config), find_implementation(chosen.implementation)
    server_user()
    baseline = read_baseline(chosen.baseline)
    mode = "full" if chosen.full else "quick"
    when, began = datetime.now(UTC), time.monotonic()
    folder = new_folder(chosen.results.absolute(), when)
    recorder = Recorder()
    tested = f"{implementation.name} on PostgreSQL {postgres.version_string}, {mode} set"
    with own_console() as console:
        console.print(tested)
        with shown(console, recorder):
            run_pytest(recorder, chosen, folder)
        seconds = time.monotonic() - began
        results = results_of(
            recorder,
            when=when,
            seconds=seconds,
            mode=mode,
            selection=chosen.selection,
            postgres=postgres,
            implementation=implementation,
        )
        write_results(folder, results)
        show_end(console, recorder)
        if recorder.interrupted:
            console.print("\nInterrupted: what had been measured by then is in the results.")
        console.print(f"\n{tested}, in {clock(seconds)} min; WAL segments of 1 MB")
        console.print(f"Results: {nearer(folder)}", soft_wrap=True)
        console.print(f"Report: {report(folder)}", soft_wrap=True)
        if chosen.save_baseline and not recorder.interrupted:
            stored = write_baseline(recorder.measurements, chosen.baseline)
            console.print(f"Baseline: {stored} ratios stored in {nearer(chosen.baseline)}", soft_wrap=True)
        shut = chosen.gate and not gate_opens(console, recorder, baseline)
    return INTERRUPTED if recorder.interrupted else NOT_FINE if shut or recorder.crashed else FINE


def run_pytest(recorder: Recorder, chosen: argparse.Namespace, folder: Path) -> None:
    """Runs pytest in this process and keeps its own words to itself; raises SetupError if nothing was set up."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            status = pytest.main(pytest_arguments(chosen), plugins=[recorder])
    except KeyboardInterrupt:  # a second one, while it cleared up
        recorder.interrupted = True
        return
    if status == pytest.ExitCode.INTERNAL_ERROR:
        recorder.crashed["pytest"] = words.getvalue()
    if recorder.setup_error or status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        remove_folder(folder)
        nothing = f'no benchmark is called "{chosen.selection}"' if status == pytest.ExitCode.NO_TESTS_COLLECTED else ""
        raise SetupError(recorder.setup_error or nothing or last_line(words.getvalue()).removeprefix("ERROR: "))


def pytest_arguments(chosen: argparse.Namespace) -> list[str]:
    """The run's options as pytest takes them, and how it is to behave."""
    given = {"implementation": chosen.implementation, "pg-config": chosen.pg_config}
    return [
        *(str(BENCHMARKS / f"test_{suite}.py") for suite in SUITES),
        f"--rootdir={ROOT}",
        f"--config-file={ROOT / 'pyproject.toml'}",
        "-pno:cacheprovider",
        "--benchmark-disable-gc",
        *(f"--{name}={value}" for name, value in given.items() if value),
        *(["--full"] if chosen.full else []),
        *(["-k", chosen.selection] if chosen.selection else []),
    ]


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
