"""The extension as a package of Debian: built by Debian's own tools, and installed into a root of its own by dpkg.

That root has a private copy of Debian's PostgreSQL, and dpkg believes what the machine has installed to be installed
there. So the machine stays as it is, and any user can do it.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.building.build import Build, Flavour
from harness.building.compiler import make_environment
from harness.machine.install import copy_install, relocated
from harness.machine.postgres import Postgres, SetupError, find_postgres, server_user
from harness.machine.project import EXTENSION
from harness.machine.scratch import program_folder

PLACE = Path("/usr/lib/postgresql")
"""Where Debian puts each version."""
DPKG = Path("/var/lib/dpkg")
TOOLS = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "pg_buildext": "postgresql-server-dev-all"}
"""What is needed, and the packages that have it."""
LEFT_OVER = ("*.o", "*.so", "*.bc", "*.a", "build-*", "results", "output_iso", "regression.*")
"""Of a build or a test in place."""
LAST_LINES = 12


class Package(NamedTuple):
    """A package, and what it is for."""

    file: Path
    postgres: Postgres

    @property
    def name(self) -> str:
        """What dpkg calls it."""
        return package_name(self.postgres)


def package_name(postgres: Postgres) -> str:
    """Of the package for that PostgreSQL."""
    return f"postgresql-{postgres.major}-shared-backup"


def debian_postgres() -> list[Postgres]:
    """Debian's PostgreSQL of each version that is installed with its headers, oldest first."""
    found = []
    for pg_config in PLACE.glob("*/bin/pg_config"):
        with contextlib.suppress(SetupError):
            found.append(find_postgres(pg_config))
    return sorted(found, key=lambda one: one.version)


def check_tools() -> None:
    """Raises SetupError if the tools, or a PostgreSQL of Debian's, are missing."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not debian_postgres():
        missing += ["postgresql", "postgresql-server-dev-all"]
    if missing:
        names = " ".join(dict.fromkeys(missing))
        raise SetupError(f"Packages cannot be built here: on Debian or Ubuntu, apt-get install {names}.")


@contextlib.contextmanager
def packages() -> Iterator[list[Package]]:
    """The packages, one for each of Debian's PostgreSQL here, with their tests run; gone when the block ends.

    Raises SetupError if they cannot be built.
    """
    check_tools()
    found = debian_postgres()
    with _open_folder() as folder:
        sources = folder / "source"
        shutil.copytree(EXTENSION, sources, ignore=shutil.ignore_patterns(*LEFT_OVER))
        versions = {"PG_SUPPORTED_VERSIONS": "\n".join(str(one.major) for one in found)}
        _run(["pg_buildext", "updatecontrol"], sources, versions)
        # What it needs has been looked for; postgresql-all is what Debian's own machines are to have.
        _run(["dpkg-buildpackage", "-us", "-uc", "-b", "-d"], sources, versions)
        yield [Package(next(folder.glob(f"{package_name(one)}_*.deb")), one) for one in found]


@contextlib.contextmanager
def installed(package: Package) -> Iterator[Build]:
    """The package in a copy of its PostgreSQL; both are gone when the block ends. Raises SetupError if dpkg refuses."""
    with _open_folder() as root:
        copy_install(package.postgres, root, server_user())
        _make_database(root)
        dpkg(root, "--install", str(package.file))
        yield Build(relocated(package.postgres, root, server_user()), Flavour.RELEASE, root, settings={})


def dpkg(root: Path, *arguments: str) -> str:
    """Runs dpkg on that root, and returns what it says; raises SetupError if it refuses."""
    options = [f"--root={root}", f"--log={root}/dpkg.log", "--force-not-root", "--force-script-chrootless"]
    return _run(["dpkg", *options, *arguments], root, {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})


def files_of(package: Package) -> set[str]:
    """The files that a package has, as paths from the root."""
    listing = _run(["dpkg-deb", "--contents", str(package.file)], package.file.parent)
    lines = [line.split(maxsplit=5) for line in listing.splitlines()]
    return {name.removeprefix(".") for kind, *_, name in lines if not kind.startswith("d")}


def _make_database(root: Path) -> None:
    """What dpkg knows of the machine's packages it is to know of the root's, so that it sees to what is needed."""
    database = root / DPKG.relative_to("/")
    for name in ("info", "updates", "triggers"):
        (database / name).mkdir(parents=True)
    shutil.copyfile(DPKG / "status", database / "status")


@contextlib.contextmanager
def _open_folder() -> Iterator[Path]:
    """A folder for programs, which a server's user may enter; gone when the block ends."""
    with tempfile.TemporaryDirectory(dir=program_folder(), ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _run(command: Sequence[str], folder: Path, more: dict[str, str] | None = None) -> str:
    environment = {**make_environment(), "LC_ALL": "C", **(more or {})}
    run = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if run.returncode != 0:
        lines = (run.stdout + run.stderr).splitlines()[-LAST_LINES:]
        raise SetupError("\n".join([f"{command[0]} failed; its output ends:", *lines]))
    return run.stdout
