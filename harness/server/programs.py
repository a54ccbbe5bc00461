"""Running the programs that come with the server, and its own without a postmaster, from the installation in hand."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.machine.postgres import as_user
from harness.machine.processes import descendants, wait_gone
from harness.server.cluster import Cluster, ClusterError
from harness.server.node import give

PATIENCE = 60.0


def run_program(
    cluster: Cluster, name: str, *arguments: str | Path, folder: str | Path = "/"
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, in that folder; its output is kept, and its exit status is for the caller to judge."""
    return subprocess.run(
        as_user(cluster.user, *command(cluster, name, *arguments)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env=cluster.build.postgres.environment(),
    )


def start_program(cluster: Cluster, name: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Starts a program as the server's user; what it writes to stderr can be read."""
    return launch(cluster, command(cluster, name, *arguments), {})


def launch(
    cluster: Cluster, words: Sequence[str | Path], environment: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Starts a command as the server's user, with this environment besides that of PostgreSQL's programs."""
    return subprocess.Popen(
        as_user(cluster.user, *words, environment=environment),
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=cluster.build.postgres.environment(),
    )


def command(cluster: Cluster, name: str, *arguments: str | Path) -> list[str | Path]:
    """The command line of a program."""
    return [cluster.build.postgres.binary(name), *arguments]


def address(cluster: Cluster) -> list[str]:
    """Options that lead a client program to the server, as a superuser."""
    parameters = cluster.parameters()
    return ["-h", parameters["host"], "-p", str(parameters["port"]), "-U", parameters["user"]]


def base_backup(cluster: Cluster, folder: Path) -> None:
    """Has pg_basebackup copy the running server into a new folder, with the WAL it needs; raises ClusterError."""
    folder.mkdir(mode=0o700)
    give(folder, cluster.user)
    options = ["--wal-method=fetch", "--checkpoint=fast", "--no-sync"]
    said = run_program(cluster, "pg_basebackup", "-D", folder, *options, *address(cluster))
    if said.returncode != 0:
        raise ClusterError(f"there is no base backup: {said.stderr}")


# The server's own program


@contextmanager
def server_process(
    cluster: Cluster, *options: str | Path, under: Sequence[str | Path] = ()
) -> Iterator[subprocess.Popen[str]]:
    """The server's program, run with these options beside ``Cluster.start``; gone when the block ends.

    It can be written to, and its log read from stderr. ``under``: the command that runs it.
    """
    words = [*under, *command(cluster, "postgres", *options)]
    process = launch(cluster, words, cluster.build.environment, subprocess.PIPE)
    try:
        yield process
    finally:
        doomed = [process.pid, *descendants(process.pid)]
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        wait_gone(doomed, PATIENCE)
        for stream in (process.stdin, process.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def await_line(process: subprocess.Popen[str], words: str) -> str:
    """Reads what a process says until it says that; raises AssertionError if it ends before."""
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"the server ended early: {said}")
