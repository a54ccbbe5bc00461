"""System calls of a server, as strace tells them (Linux)."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.faults.journal import CALLS as JOURNAL
from harness.machine.processes import kill_server
from harness.server.cluster import Cluster
from harness.server.programs import await_line, server_process

CALLS = "mkdir,rmdir,rename,unlink,fsync,fdatasync,write,pwrite64,pwritev,pwritev2,ftruncate,fallocate,io_uring_enter"
LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
READY = "ready to accept connections"
TIMEOUT = 60.0
LONGEST = 1 << 24
"""Characters of a string that strace writes: more than PostgreSQL writes at once."""


class Call(NamedTuple):
    """A system call, at the moment when it begins."""

    pid: int
    name: str
    rest: str
    """Its arguments, with the path of each file descriptor, and what came of it."""


def has_strace() -> bool:
    """Is strace installed?"""
    return shutil.which("strace") is not None


def traced_start(server: Cluster, folder: Path, *, single: bool, work: Callable[[], None] = lambda: None) -> list[Call]:
    """Starts the server, or a session in single-user mode, and shuts it down; returns what all its processes did.

    ``work`` is done while the server is up.
    """
    output = folder / "calls"
    strace = strace_into(output, CALLS, 200)
    options = ["--single", "-D", str(server.data_dir), "postgres"] if single else ["-D", str(server.data_dir)]
    with server_process(server, *options, under=strace) as process:
        if single:
            said = process.communicate("CREATE TABLE traced ()\n", timeout=TIMEOUT)[1]
        else:
            await_line(process, READY)
            work()
            postmaster = int((server.data_dir / "postmaster.pid").read_text().split()[0])
            subprocess.run(["kill", f"-{signal.SIGINT.value}", str(postmaster)], check=True)
            said = process.communicate(timeout=TIMEOUT)[1]
        assert process.returncode == 0, said
    return calls_in(output.read_text(errors="replace"))


def traced_life(server: Cluster, output: Path, work: Callable[[], None], *, killed: bool) -> str:
    """Starts a server that is down, has it work, and shuts it down, or kills it; returns what strace has written."""
    strace = strace_into(output, JOURNAL, LONGEST)
    with server_process(server, "-D", str(server.data_dir), under=strace) as process:
        await_line(process, READY)
        log = threading.Thread(target=process.stderr.read if process.stderr else None)
        log.start()
        work()
        postmaster = int((server.data_dir / "postmaster.pid").read_text().split()[0])
        if killed:
            kill_server(postmaster)
        else:
            os.kill(postmaster, signal.SIGINT)
        process.wait(TIMEOUT)
        log.join()
        assert killed or process.returncode == 0, "the server did not shut down in good order"
    return output.read_text(encoding="latin-1")


def strace_into(output: Path, calls: str, longest: int) -> list[str | Path]:
    """The command that notes these calls of the command behind it, and so many characters of each string."""
    output.touch()
    output.chmod(0o666)
    return ["strace", "-f", "-y", "-s", str(longest), "-o", output, "-e", f"trace={calls}"]


def calls_in(text: str) -> list[Call]:
    """The calls in what strace wrote, in the order in which they began."""
    found = (LINE.match(line) for line in text.splitlines())
    return [Call(int(one["pid"]), one["call"], one["rest"]) for one in found if one]
