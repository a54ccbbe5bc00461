"""The extension with gcc's counters of lines and branches in it: what it is built with, and where they are collected.

A process adds its counters to the folder's when it ends by itself, and when it is told to because it is going to be
killed (``counters.c``); one that is killed otherwise, or ends at once because another one has crashed, loses its own.
It is built without optimisation, so that each line has its own counters, and counts atomically, because sessions and
workers run at once.

The notes that explain the counters, and the sources as they were compiled, lie in the same folder, which is in the
scratch folder and goes with it.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from harness.building.compiler import Tools
from harness.machine.postgres import SetupError, server_user
from harness.machine.scratch import scratch_folder

FLAGS = "--coverage -fprofile-update=atomic -O0 -fno-inline"
RUNTIME = Path(__file__).with_suffix(".c")
FOLDER = "GCOV_PREFIX"
"""The variable that names the folder where a process writes its counters."""
NOTES = "notes"
"""The folder of a build that has the sources, and what gcc notes of each."""
TIME_TO_WRITE = 1.0  # seconds; a process that is stopped, or hangs, does not write
POLL = 0.001  # seconds
ALL_FOLDERS = 99
"""Parts of a path: the counters lie beside each other, wherever the build was compiled."""


def counting(tools: Tools) -> Tools:
    """The tools with flags for the counters; raises SetupError if the compiler is not gcc, or has no gcov."""
    find_gcov(tools.compiler)
    return replace(tools, flags=f"{tools.flags} {FLAGS}")


def runtime_object(tools: Tools, folder: Path) -> Path:
    """Compiles in that folder what is linked to every build that counts, itself not counted; raises SetupError."""
    target = folder / f"{RUNTIME.stem}.o"
    flags = tools.flags.removesuffix(FLAGS)
    command = [*shlex.split(tools.compiler), *shlex.split(flags), "-c", str(RUNTIME), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise SetupError(
            f"{RUNTIME.name} does not compile: {(done.stderr.strip() or 'no reason told').splitlines()[0]}"
        )
    return target


def keep_notes(sources: Path, stage: Path) -> None:
    """Keeps with a build what reads its counters: the sources, and what the compiler has noted of them."""
    (stage / NOTES).mkdir()
    for path in sources.iterdir():
        if path.suffix in (".c", ".h", ".gcno"):
            shutil.copy2(path, stage / NOTES)


def server_environment(tools: Tools, kept: Path) -> dict[str, str]:
    """What the environment of a server must hold to collect the counters of this build, for this process."""
    folder = scratch_folder() / "counters" / kept.name
    if not folder.is_dir():
        shutil.copytree(kept / NOTES, folder)
        if (user := server_user()) is not None:
            shutil.chown(folder, user.uid, user.gid)
    _counted[folder] = find_gcov(tools.compiler)
    return {FOLDER: str(folder), "GCOV_PREFIX_STRIP": str(ALL_FOLDERS)}


def write_now(build_folder: Path, postmaster: int) -> None:
    """Has all processes of a server write what they have counted, as they are going to be killed."""
    told = build_folder / "told"
    before = told.stat().st_size if told.exists() else 0
    asked = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(postmaster)
        for one in (process, *process.children(recursive=True)):
            if _hears(one.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGRTMIN)
                    asked += 1
    deadline = time.monotonic() + TIME_TO_WRITE
    while asked and time.monotonic() < deadline and not (told.exists() and told.stat().st_size >= before + asked):
        time.sleep(POLL)


def _hears(pid: int) -> bool:
    """Would the signal not end it?"""
    with contextlib.suppress(OSError):
        caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> (signal.SIGRTMIN - 1) & 1)
    return False


def traces() -> Iterator[bytes]:
    """What servers of this process have counted so far, for each build, in gcovr's JSON; raises SetupError."""
    for folder, gcov in _counted.items():
        if any(folder.glob("*.gcda")):
            yield gcovr(folder, "--gcov-executable", gcov, "--gcov-ignore-parse-errors=all", ".")


def forget() -> None:
    """What servers of this process have counted so far is no part of what comes: another campaign begins."""
    _counted.clear()


def merged(found: Iterable[bytes]) -> bytes:
    """Several of them as one; raises SetupError."""
    with tempfile.TemporaryDirectory() as name:
        folder, options = Path(name), []
        for number, one in enumerate(found):
            (folder / f"{number}.json").write_bytes(one)
            options.append(f"--add-tracefile={number}.json")
        return gcovr(folder, *options)


def gcovr(folder: Path, *options: str) -> bytes:
    """What gcovr says of a folder, of the sources in it and not of PostgreSQL's headers; raises SetupError."""
    command = [sys.executable, "-m", "gcovr", "--no-markers", f"--root={folder}", "--json=-", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or "it does not say why"
        raise SetupError(f"gcovr cannot read the counters of the extension: {said.splitlines()[-1]}")
    return done.stdout


def find_gcov(compiler: str) -> str:
    """The program that reads the counters of this compiler; raises SetupError unless it is gcc and there is one."""
    defined = _says([*shlex.split(compiler), "-dM", "-E", "-x", "c", "/dev/null"])
    major = re.search(r"#define __GNUC__ (\d+)", defined)
    if major is None or "__clang__" in defined:
        raise SetupError(f"The compiler {compiler} is not gcc, which --gcov needs: install gcc, and set CC=gcc.")
    program = Path(shlex.split(compiler)[0])
    for name in (program.name.replace("gcc", "gcov"), f"gcov-{major[1]}", "gcov"):
        for found in filter(None, (shutil.which(str(program.with_name(name))), shutil.which(name))):
            if name != program.name and re.search(
                rf"\b{major[1]}\.\d+", _says([found, "--version"]).partition("\n")[0]
            ):
                return found
    raise SetupError(f"There is no gcov {major[1]} for the compiler {compiler}: install it (it comes with gcc).")


def _says(command: list[str]) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, errors="replace").stdout
    return ""


_counted: dict[Path, str] = {}
"""The folders of the builds that are counted in this process, with the programs that read them."""
