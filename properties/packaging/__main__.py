"""The extension as a package of Debian: built, installed, used, removed.

    nox -s package [-- --output FOLDER]

For each PostgreSQL of Debian's that is here, a package is built by dpkg-buildpackage, which runs the extension's own
tests, and installed by dpkg beside a copy of that PostgreSQL. A server of that copy is then backed up as the README
says, over a restart, and the backup is restored. Nothing is installed in the machine itself.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.building.debian import Package, dpkg, files_of, installed, packages
from harness.running.commandline import exit_status
from properties.packaging.contents import content_flaws, library_flaws
from properties.packaging.proof import ProofError, backup_flaws


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit status: 0 if all is well, 1 if not, 2 if packages cannot be built here."""
    chosen = parser().parse_args(arguments)
    return exit_status(lambda: package(chosen.output))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s package --", description="Builds the extension's Debian packages, and tries each."
    )
    result.add_argument("--output", metavar="FOLDER", type=Path, help="where to leave the packages (default: nowhere)")
    return result


def package(output: Path | None) -> int:
    """Builds and tries the packages; raises SetupError."""
    print("Building packages ...", flush=True)
    with packages() as built:
        found = [flaw for one in built for flaw in tried(one)]
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            for one in built:
                print(f"In {output}: {Path(shutil.copy2(one.file, output)).name}")
    print("\n".join(found) or "Each package does what the README says.")
    return 1 if found else 0


def tried(one: Package) -> list[str]:
    """What is wrong with a package, in sentences."""
    print(f"{one.file.name}, on PostgreSQL {one.postgres.version_string} ...", flush=True)
    with installed(one) as build:
        flaws = [*content_flaws(one), *library_flaws(build.postgres.pkglibdir / "shared_backup.so")]
        try:
            flaws += backup_flaws(build)
        except ProofError as error:
            flaws.append(str(error))
        dpkg(build.stage, "--purge", one.name)
        left = [name for name in sorted(files_of(one)) if (build.stage / name.lstrip("/")).exists()]
    return flaws + [f"{name} is left when {one.name} is removed." for name in left]


if __name__ == "__main__":
    sys.exit(main())
