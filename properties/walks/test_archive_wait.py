"""A stop that waits for the archive waits for all that core waits for, sleeps meanwhile, and can be cancelled.

What is archived is said by the test: it gives the file's mark another name, as PostgreSQL's archiver does.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.machine.processes import processor_seconds
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Pending, Session, SqlError
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

PATIENCE = 30.0
LOOKS_AGAIN = 1.0
"""Seconds after which a stop that waits has looked again, at the latest."""
LEAST_BUSY = 0.3
"""The share of a processor that whoever sleeps stays below, and whoever does not gets, even beside others."""
START, STOP = "SELECT shared_backup_start('a', true)", "SELECT lsn FROM shared_backup_stop('a')"
WAITS_FOR = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"


@pytest.fixture
def server(instrumented: Build) -> Iterator[Cluster]:
    """One that never gets anything into its archive."""
    with open_cluster(instrumented, settings={"archive_mode": "on", "archive_command": "false"}) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.close()
        yield server


@pytest.fixture
def waiting(server: Cluster) -> Iterator[tuple[Session, Pending]]:
    """A stop that waits, of a backup of several segments; and its session, which hears nothing meanwhile.

    To be told something is a chance to notice that one has been cancelled.
    """
    session, admin = server.connect(), server.connect()
    admin.execute(START)
    for _ in range(3):
        admin.execute("SELECT pg_logical_emit_message(false, 'a', 'b'), pg_switch_wal()")
    session.execute("SET client_min_messages = error")
    session.execute("SET log_min_messages = error")
    pending = session.submit(STOP)
    waits = [("BackupWaitWalArchive",)]
    server.wait_until(lambda: admin.execute(WAITS_FOR, (session.pid,)) == waits, PATIENCE, "the stop to wait")
    yield session, pending
    session.close()
    admin.close()


def marks(server: Cluster) -> dict[str, Path]:
    """The marks of what is to be archived: of the last segment, and of the backup's history file."""
    ready = sorted((server.data_dir / "pg_wal" / "archive_status").glob("*.ready"))
    history = [mark for mark in ready if ".backup" in mark.name]
    assert len(history) == 1
    return {"the last segment": [mark for mark in ready if mark not in history][-1], "the history file": history[0]}


def archive(mark: Path) -> None:
    """As if it had been."""
    mark.rename(mark.with_suffix(".done"))


@pytest.mark.parametrize("first", ["the last segment", "the history file"])
def test_a_stop_waits_for_the_last_segment_and_for_the_history_file(
    server: Cluster, waiting: tuple[Session, Pending], first: str, tally: Tally
) -> None:
    _session, stop = waiting
    with tally.example():
        missing = marks(server)
        archive(missing.pop(first))
        time.sleep(1.5 * LOOKS_AGAIN)
        assert not stop.done(), f"{first} was archived, but not {', '.join(missing)}"
        for mark in missing.values():
            archive(mark)
        stop.result(PATIENCE)
        tally.steps += 2


def test_a_stop_that_waits_can_be_cancelled(waiting: tuple[Session, Pending], tally: Tally) -> None:
    _session, stop = waiting
    with tally.example():
        stop.cancel()
        with pytest.raises(SqlError, match="57014"):
            stop.result(PATIENCE)
        tally.steps += 1


def test_a_stop_that_waits_sleeps_also_after_it_was_woken_up(
    server: Cluster, waiting: tuple[Session, Pending], tally: Tally
) -> None:
    session, stop = waiting
    with tally.example():
        server.reload()  # wakes up every session
        before = processor_seconds(session.pid)
        time.sleep(LOOKS_AGAIN)
        assert processor_seconds(session.pid) - before < LEAST_BUSY * LOOKS_AGAIN, "it is busy while it waits"
        assert not stop.done()
        for mark in marks(server).values():
            archive(mark)
        stop.result(PATIENCE)
        tally.steps += 2
