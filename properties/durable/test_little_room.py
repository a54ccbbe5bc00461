"""A server without room for what reads durable backups back: nobody is told anything wrong, and none is forgotten."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.building.build import Build
from harness.server.cluster import Cluster
from harness.server.durable import configured, resumed
from harness.server.session import SqlError
from model.operations import Hazard, Restart, RestartKind
from properties.durable.lockstep import LONG_GAP, DurableLockstep, Fall, bring_down_and_up
from properties.durable.losses import ABSENCE, LABEL, check_lost, open_server, with_settings
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

CALLS = (
    "SELECT FROM shared_backups",
    "SELECT shared_backup_start('b', true)",
    "SELECT shared_backup_stop('a', false)",
    "SELECT shared_backup_abort('a')",
    "SELECT shared_backup_renew('a')",
)
NO_HOLDER = {"max_worker_processes": "1"}
"""The reaper has it."""
NO_REAPER = {"max_worker_processes": "0"}
WITHOUT = "could not get a background worker to resume shared backups"
NO_SLOT = "could not reserve WAL to resume shared backups: "
SECONDS = "SELECT pg_sleep(2.5)"
"""In which the reaper tries again, once a second."""


@pytest.fixture
def server(instrumented: Build, durable_backups: None) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield open_server(instrumented, stack, **LONG_GAP, max_logical_replication_workers="0")


def check_busy(server: Cluster) -> None:
    """Every call is refused, and told what to look at."""
    session = server.connect()
    session.execute(SECONDS)
    for call in CALLS:
        with pytest.raises(SqlError) as refusal:
            session.execute(call)
        assert refusal.value.sqlstate == "55006", refusal.value
        assert "max_worker_processes" in (refusal.value.hint or ""), refusal.value
    session.close()


def test_without_room_for_a_worker_backups_wait_for_a_start_with_room(server: Cluster, tally: Tally) -> None:
    with tally.example():
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        backups.session.close()
        server.stop()
        with configured(server, NO_HOLDER):
            position = server.log_position()
            server.start()
            check_busy(server)
            assert server.log_since(position).count(WITHOUT) == 1, "the log is to say so, and once"
            server.stop()
        server.start()
        backups.back(Restart(RestartKind.FAST))
        assert backups.stop(LABEL).restorable


def test_a_start_without_a_reaper_loses_backups(server: Cluster, tally: Tally) -> None:
    """Nobody has looked at what was written then."""
    with tally.example():
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        backups.session.close()
        server.stop()
        with configured(server, NO_REAPER):
            server.start()
            check_busy(server)
            server.stop()
        server.start()
        backups.back(Restart(RestartKind.FAST, Hazard.ABSENCE))
        check_lost(backups.session, tally, "no room for the reaper in between", ABSENCE, Fall.FAST)


@pytest.mark.parametrize("in_use", [0, 1])
@pytest.mark.parametrize("fall", Fall)
def test_without_a_replication_slot_backups_go_on_while_their_wal_is_there(
    server: Cluster, tally: Tally, fall: Fall, in_use: int
) -> None:
    """There is none, or others have all."""
    server.stop()
    server.configure({"max_replication_slots": str(in_use)})
    server.start()
    with tally.example():
        session = resumed(server)
        session.execute("SELECT pg_create_physical_replication_slot('theirs') FROM generate_series(1, %s)", (in_use,))
        session.close()
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        position = server.log_position()
        backups.fall(fall)
        assert NO_SLOT in server.log_since(position), "the log is to say what might become of them"
        assert backups.stop(LABEL).restorable


def test_temporary_files_that_a_crash_leaves_do_not_hide_a_start_without_the_extension(
    server: Cluster, tally: Tally
) -> None:
    """With remove_temp_files_after_crash off, the mark of the last start stays as well."""
    server.configure({"remove_temp_files_after_crash": "off"})
    server.reload()
    with tally.example():
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        for fall in (Fall.BACKEND, Fall.POSTMASTER):
            backups.fall(fall)
        backups.session.close()
        bring_down_and_up(server, Fall.BACKEND)
        resumed(server).close()
        server.stop()
        with_settings(shared_preload_libraries="")(server)
        server.start()
        backups.play(Restart(RestartKind.CRASH))
        backups.back(Restart(RestartKind.FAST, Hazard.ABSENCE))
        check_lost(backups.session, tally, "without the extension, after a crash", ABSENCE, Fall.BACKEND, Fall.FAST)
