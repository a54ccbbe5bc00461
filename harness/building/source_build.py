"""PostgreSQL built from a source tree or a tarball, with assertions or with our patches; the source is not written to.

A build is kept in the cache under a key made of everything that went into it: the content of the source, the patches,
the options and the compiler. It gets its name in one step, when it is whole.
"""

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.building.build import make_cache
from harness.building.compiler import find_compiler, find_make, make_environment
from harness.machine.postgres import OLDEST_MAJOR, SetupError
from harness.machine.project import EXTENSION

OPTIONS = ["--without-icu", "--without-readline", "--without-zlib"]
"""Those of every build: what the bench can do without need not be installed."""
WITH_ASSERTIONS = ["--enable-cassert", "--enable-debug", "CFLAGS=-O1 -g"]  # -O2 takes twice the time to compile
FAST = ["CFLAGS=-O2 -g"]
KINDS = (("cassert", "with assertions"), ("patched", "with our patches"))
"""What a build may be: in its name, and in words."""
PATCHES = EXTENSION / "patches"
"""What PostgreSQL would have to offer the extension, each change as a file."""
PARTS = [".", "contrib/amcheck"]
"""The folders to make: the server with its programs, and what ``harness.restore.soundness`` needs."""
GENERATED = "src/backend/parser/gram.c"
"""One of the files that tarballs had up to version 16, so that nobody needed the tools that make them."""
GENERATORS = ("bison", "flex", "perl")
LAST_LINES = 12
HOW = "name a source tree or a tarball of PostgreSQL with --source (Debian and Ubuntu: apt-get source postgresql-15)"


def source_build(
    source: Path, workdir: Path, say: Callable[[str], None] = print, *, assertions: bool = True, patched: bool = False
) -> Path:
    """The ``pg_config`` of a build of that source, made now or found in the cache folder ``workdir``.

    ``assertions``: with them, else as fast as it can be. ``patched``: with all of ``PATCHES``. ``say`` is told when it
    will take minutes. Raises SetupError.
    """
    make, compiler = find_make(), find_compiler()
    options = [*OPTIONS, *(WITH_ASSERTIONS if assertions else FAST)]
    patches = sorted(PATCHES.glob("*.patch")) if patched else []
    kinds = {name: words for (name, words), chosen in zip(KINDS, (assertions, patched), strict=True) if chosen}
    kept = workdir.absolute() / "-".join([*kinds, _key(source, compiler, options, patches)])
    if not kept.is_dir():
        make_cache(workdir)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=kept.parent, ignore_cleanup_errors=True) as folder:
            tree = source.absolute() if source.is_dir() else _unpacked(source, Path(folder, "source"))
            version, described = check_source(tree), " and ".join(kinds.values()) or "as it is"
            if patches:
                tree = _patched(tree, version, patches, Path(folder, "patched"))
            say(f"Building PostgreSQL {version} {described}, which takes some minutes ...")
            _build(tree, Path(folder), kept, [make, compiler], options)
    with contextlib.suppress(PermissionError):  # another user's build serves as well
        os.utime(kept)
    return kept / "bin" / "pg_config"


def check_source(tree: Path) -> str:
    """The version of PostgreSQL that a source tree holds; raises SetupError if it cannot be built from."""
    configure = tree / "configure"
    version = re.search(r"^PACKAGE_VERSION='(\d+)(\S*)'", configure.read_text(), re.M) if configure.is_file() else None
    if version is None or not (tree / "src" / "backend").is_dir():
        raise SetupError(f"{tree} is not a source of PostgreSQL: {HOW}.")
    if int(version[1]) < OLDEST_MAJOR:
        raise SetupError(f"{tree} is PostgreSQL {version[1]}{version[2]}: use version {OLDEST_MAJOR} or later.")
    if any((tree / left).exists() for left in ("config.status", "src/include/pg_config.h")):
        raise SetupError(f"{tree} has been configured in its place: run make distclean in it, or name a clean copy.")
    missing = [name for name in GENERATORS if shutil.which(name) is None]
    if missing and not (tree / GENERATED).is_file():
        raise SetupError(f"To build {tree}, which has no generated files in it, install {', '.join(missing)}.")
    return version[1] + version[2]


def _key(source: Path, compiler: str, options: list[str], patches: list[Path]) -> str:
    compiler_version = subprocess.run([*shlex.split(compiler), "--version"], capture_output=True).stdout
    digest = hashlib.sha256(repr((options, PARTS, compiler, compiler_version)).encode())
    for path in _files(source):
        digest.update(repr((path.relative_to(source), path.stat().st_size)).encode())
        digest.update(path.read_bytes())
    for path in patches:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(source: Path) -> list[Path]:
    """What is in the source; a single file is all there is of itself."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise SetupError(f"There is nothing at {source}: {HOW}.")
    check_source(source)
    return sorted(path for path in source.rglob("*") if path.is_file() and ".git" not in path.parts)


def _unpacked(tarball: Path, folder: Path) -> Path:
    """The source tree that a tarball holds, in a new folder."""
    folder.mkdir()
    try:
        with tarfile.open(tarball) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            archive.extractall(folder)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise SetupError(f"{tarball} cannot be unpacked ({error}): {HOW}.") from None
    trees = [path.parent for path in folder.glob("*/configure")]
    if len(trees) != 1:
        raise SetupError(f"{tarball} does not hold a source of PostgreSQL: {HOW}.")
    return trees[0]


def _patched(tree: Path, version: str, patches: list[Path], folder: Path) -> Path:
    """A copy of the source tree with those patches, in a new folder."""
    patch = shutil.which("patch")
    if patch is None:
        raise SetupError("There is no program patch to change PostgreSQL with: install patch.")
    shutil.copytree(tree, folder, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    for path in patches:
        run = subprocess.run(
            [patch, "-p1", "--force", f"--input={path}"], cwd=folder, capture_output=True, text=True, errors="replace"
        )
        if run.returncode != 0:
            said = " ".join(run.stdout.split())
            raise SetupError(f"{path.name} does not apply to PostgreSQL {version}, name another source ({said}).")
    return folder


def _build(tree: Path, folder: Path, kept: Path, tools: list[str], options: list[str]) -> None:
    make, compiler = tools
    objects, root, log = folder / "objects", folder / "root", folder / "build.log"
    objects.mkdir()
    jobs = f"-j{os.cpu_count() or 1}"
    _run([tree / "configure", f"--prefix={kept}", f"CC={compiler}", *options], objects, log)
    for part in PARTS:
        _run([make, jobs, "-C", part], objects, log)
        _run([make, "-C", part, "install", f"DESTDIR={root}"], objects, log)
    built = root / kept.relative_to("/")
    shutil.move(log, built)
    try:
        built.rename(kept)
    except OSError:  # someone else built the same meanwhile
        if not kept.is_dir():
            raise


def _run(command: list[str | Path], folder: Path, log: Path) -> None:
    with log.open("a") as output:
        run = subprocess.run(
            command, cwd=folder, env=make_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    if run.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        program = Path(command[0]).name
        raise SetupError("\n".join([f"PostgreSQL cannot be built, because {program} failed; its output ends:", *lines]))
