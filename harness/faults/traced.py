"""System calls of a server, as strace tells them (Linux)."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.server.cluster import Cluster
from harness.server.programs import await_line, server_process

CALLS = "mkdir,rmdir,rename,unlink,fsync,fdatasync,write,pwrite64,pwritev,pwritev2,ftruncate,fallocate,io_uring_enter"
LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
READY = "ready to accept connections"
TIMEOUT = 60.0


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
    output.touch()
    output.chmod(0o666)
    strace: list[str | Path] = ["strace", "-f", "-y", "-s", "200", "-o", output, "-e", f"trace={CALLS}"]
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


def calls_in(text: str) -> list[Call]:
    """The calls in what strace wrote, in the order in which they began."""
    found = (LINE.match(line) for line in text.splitlines())
    return [Call(int(one["pid"]), one["call"], one["rest"]) for one in found if one]
