"""The main job: every property against a real server, with progress, a verdict and a results folder.

    nox -s verify -- [--profile dev|gate|nightly] [--pg-config PATH]... [--implementation shared|stock|FILE.toml] [-x]
                     [--sanitize | --gcov]
                     [--workers N | --scheduler ADDRESS]

With several PostgreSQL it runs on each of them, and then puts them side by side (``properties.campaign.versions``).
Exit status: 0 all properties hold (skipped ones are listed with their reasons); 1 some do not, or nothing was checked;
2 the bench could not be set up, and one sentence says why; 130 interrupted. What is in the results folder is described
in ``properties.recording.results``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.building.build import read_sources
from harness.building.counters import traces as counted
from harness.machine.postgres import SetupError
from harness.machine.project import EXTENSION, ROOT
from harness.running.commandline import (
    INTERRUPTED,
    add_common_options,
    common_options,
    exit_status,
    last_line,
    run_pytest,
)
from harness.running.reporting import report
from harness.running.results import Run, circumstances, remove_folder
from harness.running.terminal import clock, nearer, own_console
from harness.schema.campaign import Verdict
from properties.campaign.gap import Before, close_gap
from properties.campaign.versions import on_each
from properties.recording.progress import show_end, showing_progress
from properties.recording.results import results_of, write_results
from properties.recording.unreached import read_reasons
from properties.recording.verdict import Recorder
from properties.support.profiles import PROFILES
from properties.support.servers import server_settings

PROPERTIES = Path(__file__).parents[1]

HOLDS, FAILS = 0, 1
MOST_WORKERS = 8
"""Unless it is told to take more: each has servers of its own."""


def main(arguments: Sequence[str] | None = None, tests: Path = PROPERTIES) -> int:
    """Runs the properties in the folder ``tests``; returns the exit status."""
    chosen = parser().parse_args(arguments)
    return exit_status(lambda: on_each(chosen, lambda run, one: verify(run, one, tests)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s verify --", description="Checks an implementation of shared backups against the model."
    )
    result.add_argument(
        "--profile", choices=PROFILES, default="gate", help="how long to look: seconds, minutes (default) or hours"
    )
    add_common_options(result, "properties", several=True)
    special = result.add_mutually_exclusive_group()
    special.add_argument(
        "--sanitize",
        action="store_true",
        help="build the extension with sanitizers of undefined behaviour and addresses",
    )
    special.add_argument(
        "--gcov",
        action="store_true",
        help="count which lines and branches of the extension are reached, and want a reason for each that is not",
    )
    cores = len(os.sched_getaffinity(0))
    default = min(cores + 1 if cores > 1 else 1, MOST_WORKERS)  # each waits a fifth of its time
    result.add_argument(
        "--workers",
        metavar="N",
        type=positive,
        default=default,
        help=f"processes that run properties at once (default here: {default})",
    )
    result.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run them on the workers of that Dask scheduler (tcp://host:port), with this project in their folder",
    )
    result.add_argument("--bench-too", action="store_true", help="also the tests of the bench itself")
    result.add_argument(
        "-x", "--exitfirst", action="store_true", help="stop at the first failure: what comes after it is not run"
    )
    return result


def positive(word: str) -> int:
    """A number of workers."""
    if not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError(f"{word!r} is no number of workers: say 1 or more")
    return int(word)


def verify(run: Run, chosen: argparse.Namespace, tests: Path) -> int:
    """The campaign on one PostgreSQL; raises SetupError if it cannot be set up."""
    recorder = Recorder(bench_too=chosen.bench_too)
    tested = f"{run.tested}, profile {chosen.profile}" + ", sanitized" * chosen.sanitize + ", counted" * chosen.gcov
    before = Before(read_sources(EXTENSION), read_reasons()) if chosen.gcov else None
    with own_console() as console:
        console.print(tested)
        with showing_progress(console, recorder):
            traces = check(recorder, chosen, tests, run.folder)
            c_code = close_gap(recorder, chosen, run, traces, before) if before else ""
        seconds = run.seconds()
        about = circumstances(run, seconds, server_settings(run.implementation))
        write_results(run.folder, results_of(recorder, chosen.profile, about), recorder.properties)
        if recorder.setup_error:
            raise SetupError(recorder.setup_error)
        facts = {"C code": c_code} if c_code else {}
        facts |= {"Tested": f"{tested}, in {clock(seconds)} min", "Results": str(nearer(run.folder))}
        if not chosen.no_report:
            facts["Report"] = report(nearer(run.folder))
        show_end(console, recorder, facts, command(chosen), nearer(run.folder))
    verdict, _reason = recorder.verdict()
    return INTERRUPTED if recorder.interrupted else HOLDS if verdict is Verdict.HOLDS else FAILS


def check(recorder: Recorder, chosen: argparse.Namespace, tests: Path, folder: Path) -> list[bytes]:
    """Runs the properties, here or on workers; raises SetupError if pytest refuses the arguments.

    Returns what was counted of the extension's lines and branches, as ``harness.building.counters`` has it.
    """
    place = tests.relative_to(ROOT) if tests.is_relative_to(ROOT) else tests
    common = ["--continue-on-collection-errors", *["--exitfirst"] * chosen.exitfirst, *options(chosen)]
    plugins: list[object] = [recorder]
    distribution = None
    if chosen.workers > 1 or chosen.scheduler:
        from properties.campaign.distribution import Distribution  # they take Dask along, which takes its time
        from properties.campaign.runners import Job

        job = Job((str(place), *common), chosen.selection, chosen.bench_too)
        distribution = Distribution(recorder, job, chosen.workers, chosen.scheduler)
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
    return distribution.traces if distribution else list(counted())


def options(chosen: argparse.Namespace) -> list[str]:
    """The options that both the campaign and the properties know."""
    return [
        f"--profile={chosen.profile}",
        *common_options(chosen),
        *["--sanitize"] * chosen.sanitize,
        *["--gcov"] * chosen.gcov,
    ]


def command(chosen: argparse.Namespace) -> list[str]:
    """The command that runs the same again, to be followed by what to select."""
    given = [
        option for option in options(chosen) if option != f"--implementation={parser().get_default('implementation')}"
    ]
    return ["nox", "-s", "verify", "--", *given]


if __name__ == "__main__":
    sys.exit(main())
