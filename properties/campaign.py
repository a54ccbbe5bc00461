"""The main job: every property against a real server, with progress, a verdict and a results folder.

    nox -s verify -- [--profile dev|gate|nightly] [--pg-config PATH] [--implementation shared|stock|FILE.toml]

Exit status: 0 all properties hold (skipped ones are listed with their reasons); 1 some do not, or nothing was checked;
2 the bench could not be set up, and one sentence says why; 130 interrupted. What is in the results folder is described
in ``properties.results``.
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

from harness.implementation import find_implementation
from harness.postgres import SetupError, find_postgres, server_user
from properties.conftest import server_settings
from properties.progress import clock, own_console, show_end, shown
from properties.results import new_folder, remove_folder, results_of, write_results
from properties.verdict import ROOT, Recorder, Verdict, last_line

PROPERTIES = ROOT / "properties"
RESULTS = ROOT / "reports" / "out"
PROFILES = ("dev", "gate", "nightly")

HOLDS, FAILS, NO_SETUP, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None, tests: Path = PROPERTIES) -> int:
    """Runs the properties in the folder ``tests``; returns the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        return verify(chosen, tests)
    except SetupError as error:
        print(error, file=sys.stderr)
        return NO_SETUP
    except KeyboardInterrupt:  # before the properties began, or after they ended
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s verify --", description="Checks an implementation of shared backups against the model."
    )
    result.add_argument(
        "--profile", choices=PROFILES, default="gate", help="how long to look: seconds, minutes (default) or hours"
    )
    result.add_argument(
        "--pg-config", metavar="PATH", help="the PostgreSQL to test on (default: $PG_CONFIG, else the bundled one)"
    )
    result.add_argument(
        "--implementation",
        metavar="NAME",
        default="shared",
        help="shared (the extension, default), stock (core's own functions), or a TOML file that describes another",
    )
    result.add_argument(
        "--results",
        metavar="FOLDER",
        type=Path,
        default=RESULTS,
        help="where the folder with the results is made, and the link 'latest' to it (default: reports/out)",
    )
    result.add_argument(
        "-k", metavar="EXPRESSION", dest="selection", help="only these properties, as pytest's -k: labels and not long"
    )
    return result


def verify(chosen: argparse.Namespace, tests: Path) -> int:
    """The campaign; raises SetupError if it cannot be set up."""
    postgres, implementation = find_postgres(chosen.pg_config), find_implementation(chosen.implementation)
    server_user()
    when, began = datetime.now(UTC), time.monotonic()
    folder = new_folder(chosen.results.absolute(), when)
    recorder = Recorder()
    tested = f"{implementation.name} on PostgreSQL {postgres.version_string}, profile {chosen.profile}"
    with own_console() as console:
        console.print(tested)
        with shown(console, recorder):
            run_pytest(recorder, [str(tests), f"--junitxml={folder / 'junit.xml'}", *pytest_arguments(chosen)], folder)
        seconds = time.monotonic() - began
        results = results_of(
            recorder,
            when=when,
            seconds=seconds,
            profile=chosen.profile,
            selection=chosen.selection,
            postgres=postgres,
            implementation=implementation,
            server_settings=server_settings(implementation),
        )
        write_results(folder, results, recorder.properties)
        if recorder.setup_error:
            raise SetupError(recorder.setup_error)
        where = {"Results": str(nearer(folder)), "Report": report(folder)}
        facts = {"Tested": f"{tested}, in {clock(seconds)} min", **where}
        show_end(console, recorder, facts, command(chosen), nearer(folder))
    verdict, _reason = recorder.verdict()
    return INTERRUPTED if recorder.interrupted else HOLDS if verdict is Verdict.HOLDS else FAILS


def report(folder: Path) -> str:
    """Writes the page with the figures; returns where it is, or why there is none."""
    from reports.report import report_beside  # takes a second to load: not before the properties have run

    return report_beside(nearer(folder))


def nearer(path: Path) -> Path:
    """The path as seen from the current folder, if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def run_pytest(recorder: Recorder, arguments: list[str], folder: Path) -> None:
    """Runs pytest in this process and keeps its own words to itself; raises SetupError if it refuses the arguments."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            status = pytest.main(arguments, plugins=[recorder])
    except KeyboardInterrupt:  # a second one, while it cleared up
        recorder.interrupted = True
        return
    if status == pytest.ExitCode.USAGE_ERROR:
        remove_folder(folder)
        raise SetupError(last_line(words.getvalue()).removeprefix("ERROR: "))


def pytest_arguments(chosen: argparse.Namespace) -> list[str]:
    """The campaign's options as pytest takes them, and how it is to behave."""
    return [
        f"--rootdir={ROOT}",
        f"--config-file={ROOT / 'pyproject.toml'}",
        "--override-ini=junit_family=xunit1",  # has the properties that tests record
        "--override-ini=junit_suite_name=shared-backup",
        "--continue-on-collection-errors",
        "-pno:cacheprovider",
        *options(chosen),
        *(["-k", chosen.selection] if chosen.selection else []),
    ]


def options(chosen: argparse.Namespace) -> list[str]:
    """The options that both the campaign and the properties know."""
    given = {"profile": chosen.profile, "implementation": chosen.implementation, "pg-config": chosen.pg_config}
    return [f"--{name}={value}" for name, value in given.items() if value]


def command(chosen: argparse.Namespace) -> list[str]:
    """The command that runs the same again, to be followed by what to select."""
    given = [
        option for option in options(chosen) if option != f"--implementation={parser().get_default('implementation')}"
    ]
    return ["nox", "-s", "verify", "--", *given]


if __name__ == "__main__":
    sys.exit(main())
