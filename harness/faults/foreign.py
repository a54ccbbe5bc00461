"""Lives of a server without the extension, between two with it: whatever happens to pages then, nobody watches."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.machine.postgres import identity
from harness.machine.processes import descendants, wait_gone
from harness.server.cluster import Cluster
from harness.server.durable import configured

WITHOUT = {"shared_preload_libraries": "", "full_page_writes": "off"}
NOT_DURABLE = {"shared_backup.durable": "off", "full_page_writes": "off"}
PATIENCE = 60.0
DONE = "done so far"


def postmaster_life(server: Cluster, statements: tuple[str, ...], *, durable_off: bool = False) -> None:
    """A server starts without the extension (or with it, durable off), does this, and is killed."""
    with configured(server, NOT_DURABLE if durable_off else WITHOUT):
        server.start()
        session = server.connect()
        for statement in statements:
            session.execute(statement)
        session.close()
        server.crash()


def single_user_life(server: Cluster, statements: tuple[str, ...], *, killed: bool) -> None:
    """A server in single-user mode, without the extension, does this, and ends; or is killed in its next statement.

    Raises AssertionError if a statement fails.
    """
    with single_user(server, *(f"{name}={value}" for name, value in WITHOUT.items())) as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{statement}\n" for statement in statements))
        if killed:
            process.stdin.write(f"DO $$ BEGIN RAISE LOG '{DONE}'; PERFORM pg_sleep(600); END $$\n")
            process.stdin.flush()
            said = await_line(process, DONE)
            process.kill()
            process.wait()
        else:
            said = process.communicate(timeout=PATIENCE)[1]
            assert process.returncode == 0, said
        assert "ERROR" not in said, said


@contextmanager
def single_user(server: Cluster, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The process, which reads statements, each a line; it is gone when the block ends."""
    command: list[str | Path] = [server.build.postgres.binary("postgres"), "--single"]
    for option in options:
        command += ["-c", option]
    process = subprocess.Popen(
        [*command, "-D", server.data_dir, "postgres"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=server.build.postgres.environment() | server.build.environment,
        **identity(server.user),
    )
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
