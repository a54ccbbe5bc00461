"""The system may write less than it was given, and report no error, as it does when a disk becomes full meanwhile.

Here that is what a limit on the size of files does (``write(2)``), set for one session from outside.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.machine.postgres import as_user
from harness.server.cluster import Cluster
from harness.server.durable import resumed, state_files
from harness.server.session import Session, SqlError
from model.operations import RestartKind
from properties.durable.losses import CALLS, START, open_server
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

DISK_FULL = "53100"
SHOWN = "SELECT state, expires_at FROM shared_backups"
HEADER = 24
"""Bytes that are written first: what comes after them is written at once."""


@contextmanager
def file_size_limit(server: Cluster, session: Session, size: int) -> Iterator[None]:
    """The session's process can write no file beyond that many bytes: no WAL, either."""
    set_limit(server, session, str(size))
    try:
        yield
    finally:
        set_limit(server, session, "unlimited")


def set_limit(server: Cluster, session: Session, size: str) -> None:
    """Sets it as the user that the process runs as."""
    command = as_user(server.user, "prlimit", f"--pid={session.pid}", f"--fsize={size}:unlimited")
    subprocess.run(command, check=True)


def lengths(file: Path) -> list[int]:
    """Some at which a write of the file may stop."""
    whole = file.stat().st_size
    return [1, HEADER - 1, HEADER + 1, whole // 2, whole - 1]


def test_a_renewal_that_is_written_in_part_does_not_take_place(instrumented: Build, tally: Tally) -> None:
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session, writer = resumed(server), server.connect()
        session.execute(START, ("1 hour",))
        (file,) = state_files(server)
        before, contents = session.execute(SHOWN), file.read_bytes()
        for length in lengths(file):
            with file_size_limit(server, writer, length), pytest.raises(SqlError) as refusal:
                writer.execute("SELECT shared_backup_renew('a', '2 hours')")
            assert refusal.value.sqlstate == DISK_FULL, refusal.value
            assert session.execute(SHOWN) == before
            assert file.read_bytes() == contents, f"{length} bytes of another file are in its place"
            tally.steps += 1
        for one in (session, writer):
            one.close()
        server.restart(RestartKind.CRASH)
        session = resumed(server)
        assert session.execute(SHOWN) == before
        session.execute(CALLS["stop"])
        session.close()
