"""The campaign on a PostgreSQL with assertions, which it builds first.

    nox -s cassert -- --source TREE_OR_TARBALL [--patched] [options of nox -s verify]

An assertion that fails, in the extension or in core, ends the server, and is a finding of the property that ran then
(``properties.conftest``). The build is kept in the cache. With --pg-config, the campaign is run on that one, too.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.building.source_build import HOW, source_build
from harness.machine.postgres import SetupError
from harness.machine.project import cache_folder
from harness.running.commandline import exit_status
from properties.campaign import __main__ as campaign


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit status, which is the campaign's if it came to that."""
    chosen, rest = parser().parse_known_args(arguments)
    return exit_status(lambda: verify(chosen.source, chosen.patched, rest))


def parser() -> argparse.ArgumentParser:
    """The part of the command line that is not the campaign's."""
    result = argparse.ArgumentParser(
        prog="nox -s cassert --",
        allow_abbrev=False,
        description="Builds PostgreSQL with assertions and verifies on it; takes what nox -s verify takes, too.",
    )
    result.add_argument("--source", metavar="PATH", type=Path, help="a source tree or a tarball of PostgreSQL")
    result.add_argument("--patched", action="store_true", help="with the patches that the extension has for it, too")
    return result


def verify(source: Path | None, patched: bool, options: Sequence[str]) -> int:
    """Builds and verifies; raises SetupError if it cannot be built."""
    if source is None:
        raise SetupError(f"There is no source to build from: {HOW}.")
    return campaign.main([*options, f"--pg-config={source_build(source, cache_folder(), patched=patched)}"])


if __name__ == "__main__":
    sys.exit(main())
