"""The main job: every property against a real server, with progress, a verdict and a results folder.

    nox -s verify -- [--profile dev|gate|nightly] [--pg-config PATH]... [--implementation shared|stock|FILE.toml] [-x]
                     [--sanitize | --gcov]
                     [--workers N | --scheduler ADDRESS] [--seed N] [--part K] [--examples ADDRESS]

With several PostgreSQL it runs on each of them, and then puts them side by side (``properties.campaign.versions``).
Exit status: 0 all properties hold (skipped ones are listed with their reasons); 1 some do not, or nothing was checked;
2 the bench could not be set up, and one sentence says why; 130 interrupted. What is in the results folder is described
in ``properties.recording.results``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from harness.building.build import read_sources
from harness.building.counters import traces as counted
from harness.machine.postgres import SetupError
from harness.machine.project import EXTENSION, ROOT
from harness.running.commandline import INTERRUPTED, exit_status, last_line, run_pytest
from harness.running.reporting import report
from harness.running.results import Run, circumstances, remove_folder
from harness.running.terminal import clock, nearer, own_console
from harness.schema.campaign import Shard, Verdict
from properties.campaign.gap import Before, close_gap
from properties.campaign.options import check_drawing, command, options, parser
from properties.campaign.versions import on_each
from properties.recording.progress import show_end, showing_progress
from properties.recording.results import results_of, write_results
from properties.recording.unreached import read_reasons
from properties.recording.verdict import Recorder
from properties.support.profiles import PARTS
from properties.support.servers import server_settings

PROPERTIES = Path(__file__).parents[1]

HOLDS, FAILS = 0, 1


def main(arguments: Sequence[str] | None = None, tests: Path = PROPERTIES) -> int:
    """Runs the properties in the folder ``tests``; returns the exit status."""
    chosen = parser().parse_args(arguments)

    def program() -> int:
        check_drawing(chosen)
        return on_each(chosen, lambda run, one: verify(run, one, tests))

    return exit_status(program)


def verify(run: Run, chosen: argparse.Namespace, tests: Path) -> int:
    """The campaign on one PostgreSQL; raises SetupError if it cannot be set up."""
    recorder = Recorder(bench_too=chosen.bench_too)
    tested = f"{run.tested}, profile {chosen.profile}" + ", sanitized" * chosen.sanitize + ", counted" * chosen.gcov
    before = Before(read_sources(EXTENSION), read_reasons()) if chosen.gcov else None
    with own_console() as console:
        console.print(tested)
        with showing_progress(console, recorder):
            checked = check(recorder, chosen, tests, run.folder)
            c_code = close_gap(recorder, chosen, run, checked.traces, before) if before else ""
        seconds = run.seconds()
        about = circumstances(run, seconds, server_settings(run.implementation))
        results = replace(
            results_of(recorder, chosen.profile, about),
            seed=chosen.seed,
            workers=checked.workers,
            shards=tuple(checked.shards),
        )
        write_results(run.folder, results, recorder.properties)
        if recorder.setup_error:
            raise SetupError(recorder.setup_error)
        facts = {"C code": c_code} if c_code else {}
        if chosen.seed is not None:
            facts["Seed"] = f"{chosen.seed}: --seed draws the same examples again"
        facts |= {"Tested": f"{tested}, in {clock(seconds)} min", "Results": str(nearer(run.folder))}
        if not chosen.no_report:
            facts["Report"] = report(nearer(run.folder))
        show_end(console, recorder, facts, command(chosen), nearer(run.folder))
    verdict, _reason = recorder.verdict()
    return INTERRUPTED if recorder.interrupted else HOLDS if verdict is Verdict.HOLDS else FAILS


class Checked(NamedTuple):
    """What is known, beside the verdicts, when all has been run."""

    traces: list[bytes]
    """What was counted of the extension's lines and branches, as ``harness.building.counters`` has it."""
    workers: int = 1
    shards: Sequence[Shard] = ()


def check(recorder: Recorder, chosen: argparse.Namespace, tests: Path, folder: Path) -> Checked:
    """Runs the properties, here or on workers; raises SetupError if pytest refuses the arguments."""
    place = tests.relative_to(ROOT) if tests.is_relative_to(ROOT) else tests
    common = ["--continue-on-collection-errors", *["--exitfirst"] * chosen.exitfirst, *options(chosen)]
    plugins: list[object] = [recorder]
    distribution = None
    parts = PARTS.get(chosen.profile, 1)
    if chosen.workers > 1 or chosen.scheduler or parts > 1:
        from properties.campaign.distribution import Distribution, Drawing  # they take Dask along, which takes its time
        from properties.campaign.runners import SILENCE, Job

        job = Job(
            (str(place), f"--parts={parts}", *common),
            chosen.selection,
            chosen.bench_too,
            elsewhere=bool(chosen.scheduler),
            silence=chosen.silence or SILENCE,
        )
        drawing = Drawing(chosen.seed, parts, chosen.part)
        distribution = Distribution(recorder, job, chosen.workers, chosen.scheduler, drawing)
        plugins.append(distribution)
    status, words = run_pytest(
        plugins,
        chosen.selection,
        [
            str(tests),
            *common,
            f"--junitxml={folder / 'junit.xml'}",
            "--override-ini=junit_family=xunit1",  # has the properties that tests record
            "--override-ini=junit_suite_name=shared-backup",
        ],
    )
    recorder.interrupted |= status is None
    if status == pytest.ExitCode.USAGE_ERROR:
        remove_folder(folder)
        raise SetupError(last_line(words).removeprefix("ERROR: "))
    return (
        Checked(distribution.traces, distribution.number, distribution.ran) if distribution else Checked([*counted()])
    )


if __name__ == "__main__":
    sys.exit(main())
