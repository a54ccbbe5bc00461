"""What the bench's programs have in common on their command lines: options, exit statuses, and how they run pytest."""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.clients.implementation import find_implementation
from harness.machine.postgres import SetupError, find_postgres, server_user
from harness.machine.project import ROOT
from harness.running.results import RESULTS, Run, new_folder

NO_SETUP, INTERRUPTED = 2, 130


def exit_status(program: Callable[[], int]) -> int:
    """Runs a program: a set-up that fails is told in its one sentence, and Ctrl-C says nothing more."""
    try:
        return program()
    except SetupError as error:
        print(error, file=sys.stderr)
        return NO_SETUP
    except KeyboardInterrupt:
        return INTERRUPTED


def begin(chosen: argparse.Namespace) -> Run:
    """Finds what is to be run, and makes the folder for the results; raises SetupError."""
    postgres, implementation = find_postgres(chosen.pg_config), find_implementation(chosen.implementation)
    server_user()
    when = datetime.now(UTC)
    return Run(postgres, implementation, chosen.selection, new_folder(chosen.results.absolute(), when), when)


def add_common_options(parser: argparse.ArgumentParser, things: str, several: bool = False) -> None:
    """What is run, where the results go, and which of the ``things`` are run.

    ``several``: more than one PostgreSQL may be named, and what was chosen is a list of them, or None.
    """
    repeated = "; may be repeated, for several side by side: 'bundled' then names that one" if several else ""
    parser.add_argument(
        "--pg-config",
        metavar="PATH",
        action="append" if several else "store",
        help=f"the PostgreSQL to run (default: $PG_CONFIG, else the bundled one){repeated}",
    )
    parser.add_argument(
        "--implementation",
        metavar="NAME",
        default="shared",
        help="shared (the extension, default), stock (core's own functions), or a TOML file that describes another",
    )
    parser.add_argument(
        "--results",
        metavar="FOLDER",
        type=Path,
        default=RESULTS,
        help="where the folder with the results is made, and the link 'latest' to it (default: reports/out)",
    )
    parser.add_argument(
        "--no-report", action="store_true", help="leave out the page: nox -s report makes it of the same results later"
    )
    parser.add_argument(
        "-k", metavar="EXPRESSION", dest="selection", help=f"only these {things}, as pytest's -k: this and not that"
    )


def common_options(chosen: argparse.Namespace) -> list[str]:
    """Those of the common options that pytest is given as well."""
    given = {"implementation": chosen.implementation, "pg-config": chosen.pg_config}
    return [f"--{name}={value}" for name, value in given.items() if value]


def run_pytest(plugins: Sequence[object], selection: str | None, arguments: list[str]) -> tuple[int | None, str]:
    """Runs pytest in this process; returns its status, and what it said. None: interrupted while it cleared up."""
    words = io.StringIO()
    given = [
        f"--rootdir={ROOT}",
        f"--config-file={ROOT / 'pyproject.toml'}",
        "-pno:cacheprovider",
        *arguments,
        *(["-k", selection] if selection else []),
    ]
    try:
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            return pytest.main(given, plugins=plugins), words.getvalue()
    except KeyboardInterrupt:  # a second one
        return None, words.getvalue()


def last_line(text: str) -> str:
    """The last line with something in it."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
