"""Builds flavours of the extension, out of tree, into a staging folder; PostgreSQL's installation is never written to.

A build is kept under a key made of everything that went into it: the sources, the flavour, the compiler with its
flags, and the PostgreSQL. The sources are copied first and compiled there, so that no object file left in the source
folder is taken for built; a build gets its final name in one step, when it is whole.
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from harness.building import counters, sanitizers
from harness.building.compiler import Tools, find_tools, make_environment
from harness.machine.install import copy_install, link_tree, may_read, may_run, relocated
from harness.machine.postgres import Postgres, ServerUser, SetupError, server_user
from harness.machine.project import EXTENSION
from harness.machine.scratch import program_folder

SOURCE_SUFFIXES = {".c", ".h", ".sql", ".control", ".md"}
FIRST_WITH_CONTROL_PATH = 18  # the setting extension_control_path
NO_LUCK = {"MALLOC_PERTURB_": "85"}
"""Has glibc fill the memory that it hands out, so that what was never written is not zero (mallopt(3))."""
UNUSED_FOR = 14 * 86400  # seconds after which a build in the cache is thrown away


class Flavour(StrEnum):
    """A way to build the extension."""

    RELEASE = "release"
    INSTRUMENTED = "instrumented"


@dataclass(frozen=True)
class Build:
    """A built extension and the PostgreSQL to run it in, which may be a private copy of the one asked for."""

    postgres: Postgres
    flavour: Flavour
    stage: Path
    settings: Mapping[str, str] = field(hash=False)
    """What a server's configuration must say to load this build."""
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    """What its environment must have, beside the installation's own."""

    @property
    def counts(self) -> bool:
        """Do processes that end by themselves write counters of lines and branches?"""
        return counters.FOLDER in self.environment


class Special(StrEnum):
    """What else may be put into a build, to look at what the extension does."""

    SANITIZERS = "sanitizers"
    COUNTERS = "counters"
    """Of lines and branches."""


class BuildError(SetupError):
    """The extension did not compile; ``log`` is everything that make printed."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


def build(
    postgres: Postgres, flavour: Flavour, workdir: Path, *, sources: Path = EXTENSION, special: Special | None = None
) -> Build:
    """Builds the extension in the folder ``sources``, or finds it built already in the cache folder ``workdir``.

    ``special``: what it has in it beside. Raises SetupError without make or a C compiler, BuildError if the extension
    does not compile.
    """
    tools, environment = find_tools(postgres), dict(NO_LUCK if flavour is Flavour.INSTRUMENTED else {})
    if special is Special.SANITIZERS:
        environment = sanitizers.server_environment(tools, postgres)
        tools = sanitizers.sanitized(tools)
    elif special is Special.COUNTERS:
        tools = counters.counting(tools)
    files = read_sources(sources)
    kept = workdir.absolute() / _key(postgres, flavour, tools, files)
    if not kept.is_dir():
        make_cache(workdir)
        _compile(postgres, flavour, tools, files, kept, counted=special is Special.COUNTERS)
    with contextlib.suppress(PermissionError):  # another user's build serves as well
        os.utime(kept)
    if special is Special.COUNTERS:
        environment |= counters.server_environment(tools, kept)
    return replace(_runnable(postgres, flavour, kept, server_user()), environment=environment)


def read_sources(folder: Path) -> dict[str, bytes]:
    """The extension's source files by name, all read before any is used, so that an edit meanwhile does no harm."""
    names = sorted(path for path in folder.glob("*") if path.suffix in SOURCE_SUFFIXES or path.name == "Makefile")
    sources = {path.name: path.read_bytes() for path in names}
    if "Makefile" not in sources:
        raise SetupError(f"There are no sources of the extension in {folder}: restore them from the repository.")
    return sources


def _key(postgres: Postgres, flavour: Flavour, tools: Tools, files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(repr(files).encode())
    compiler_version = subprocess.run([*shlex.split(tools.compiler), "--version"], capture_output=True).stdout
    digest.update(repr((postgres, tools, compiler_version, _age(postgres))).encode())
    return f"{postgres.version_string.split()[0]}-{flavour}-{digest.hexdigest()[:16]}"


def _age(postgres: Postgres) -> list[int]:
    """When each part of the installation last changed: a developer's PostgreSQL changes under one version number."""
    folders = [postgres.includedir_server, postgres.bindir, postgres.pkglibdir, postgres.sharedir]
    return [max(_changed(path) for path in [folder, *folder.rglob("*")]) for folder in folders]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # a dangling link
        return 0


def _compile(
    postgres: Postgres, flavour: Flavour, tools: Tools, files: Mapping[str, bytes], kept: Path, *, counted: bool
) -> None:
    with tempfile.TemporaryDirectory(prefix=".building-", dir=kept.parent, ignore_cleanup_errors=True) as folder:
        sources, stage = Path(folder, "src"), Path(folder, "stage")
        sources.mkdir()
        for name, content in files.items():
            (sources / name).write_bytes(content)
        linked = [f"SHLIB_LINK={counters.runtime_object(tools, Path(folder))}"] if counted else []
        _run_make(postgres, flavour, tools, sources, stage, linked)
        if counted:
            counters.keep_notes(sources, stage)
        _open_to_all(stage)
        try:
            stage.rename(kept)
        except OSError:  # someone else built the same meanwhile
            if not kept.is_dir():
                raise


def make_command(postgres: Postgres, flavour: Flavour, tools: Tools) -> list[str]:
    """make, as the extension is built with it, but for what is to be made, and where it goes."""
    command = [tools.make, "USE_PGXS=1", "with_llvm=no", f"PG_CONFIG={postgres.pg_config}"]
    command += [f"CC={tools.compiler}", f"CFLAGS={tools.flags}"]
    return [*command, "INSTRUMENTS=1"] if flavour is Flavour.INSTRUMENTED else command


def _run_make(
    postgres: Postgres, flavour: Flavour, tools: Tools, sources: Path, stage: Path, more: Sequence[str]
) -> None:
    command = [*make_command(postgres, flavour, tools), f"-j{os.cpu_count() or 1}", "install"]
    command += [f"datadir={stage}/share", f"pkglibdir={stage}/lib", f"docdir={stage}/doc", *more]
    run = subprocess.run(command, cwd=sources, env=make_environment(), capture_output=True, text=True, errors="replace")
    log = run.stdout + run.stderr
    if run.returncode != 0:
        lines = log.splitlines() or ["make printed nothing"]
        culprit = next((line for line in lines if "error: " in line), lines[-1]).strip()
        raise BuildError(f"The extension does not compile against PostgreSQL {postgres.version_string}: {culprit}", log)
    (stage / "build.log").write_text(log)


def _open_to_all(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)


def make_cache(workdir: Path) -> None:
    """Makes the cache folder, or removes from it what was not used for long."""
    with contextlib.suppress(OSError):
        workdir.mkdir(parents=True, exist_ok=True)
    if not os.access(workdir, os.W_OK):
        raise SetupError(f"The cache folder {workdir} cannot be written to: remove it, or make it yours.")
    for entry in workdir.iterdir():
        if entry.is_dir() and time.time() - entry.stat().st_mtime > UNUSED_FOR:
            shutil.rmtree(entry, ignore_errors=True)


def _runnable(postgres: Postgres, flavour: Flavour, kept: Path, user: ServerUser | None) -> Build:
    """The build where the server's user can read it, in a PostgreSQL that user can run and that finds the build."""
    readable = may_read(kept / "build.log", user)
    home = kept if readable else program_folder() / kept.name
    if not readable:
        link_tree(kept, home)
    own_copy = postgres.major < FIRST_WITH_CONTROL_PATH
    runs_in = postgres
    if own_copy or not may_run(postgres, user):
        runs_in = _private_install(postgres, home, user)
        if not may_run(runs_in, user):
            raise SetupError(
                f"The server's user {user.name if user else ''} can run neither {postgres.bindir} nor a copy of it: "
                "make the installation readable to everybody."
            )
    settings = {"shared_preload_libraries": "shared_backup"}
    if own_copy:
        _install(home, runs_in)
    else:
        settings["extension_control_path"] = f"{home}/share:$system"
        settings["dynamic_library_path"] = f"{home}/lib:$libdir"
    return Build(runs_in, flavour, home, settings)


def _private_install(postgres: Postgres, home: Path, user: ServerUser | None) -> Postgres:
    """The installation's copy in the build's folder; it gets its name when it is whole."""
    final = home / "install"
    if final.is_dir():
        return relocated(postgres, final, user)
    with tempfile.TemporaryDirectory(prefix=".copying-", dir=home, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        copy_install(postgres, Path(folder, "install"), user)
        try:
            Path(folder, "install").rename(final)
        except OSError:  # someone else made the same meanwhile
            if not final.is_dir():
                raise
    return relocated(postgres, final, user)


def _install(stage: Path, copy: Postgres) -> None:
    folders = {stage / "share" / "extension": copy.sharedir / "extension", stage / "lib": copy.pkglibdir}
    for source, target in folders.items():
        for path in source.iterdir():
            fresh = target / f".{path.name}.{os.getpid()}"
            shutil.copy2(path, fresh)
            fresh.rename(target / path.name)  # in one step, and never into a hard link's original
