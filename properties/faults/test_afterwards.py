"""A session is as it was after each operation, whatever came of it: it can be cancelled, and holds nothing."""

from collections.abc import Iterator
from concurrent.futures import wait

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.session import Pending, Session, SqlError
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "instruments")]

PATIENCE = 30.0  # seconds
EXPIRE = "SELECT shared_backup_clock_advance('90 minutes')"
STATES = {
    "absent": (),
    "active": ("SELECT shared_backup_start('a', true)",),
    "stopped": ("SELECT shared_backup_start('a', true)", "SELECT shared_backup_stop('a', false)"),
    "expired": ("SELECT shared_backup_start('a', true, '1 hour')", EXPIRE),
}
"""Of the backup, and how another session brings it there."""
CALLS = (
    "SELECT shared_backup_start('a', true)",
    "SELECT shared_backup_start('a', true, '1 hour')",
    "SELECT shared_backup_start('', true)",
    "SELECT shared_backup_stop('a', false)",
    "SELECT shared_backup_stop('a', true)",
    "SELECT shared_backup_stop('b', false)",
    "SELECT shared_backup_abort('a')",
    "SELECT shared_backup_renew('a', '2 hours')",
    "SELECT shared_backup_renew('a', '-1 s')",
    "SELECT count(*) FROM shared_backups",
    "SELECT count(*) FROM shared_backup_starters",
    "SELECT pg_backup_start('own', true)",
    "SELECT pg_backup_stop(false)",
)
POINTS = (
    "start-checked",
    "start-reserved",
    "start-requested",
    "start-taken",
    "start-point-taken",
    "start-accepted",
    "backup-found",
    "stop-claimed",
    "stop-core-ended",
    "stop-published",
)
"""Where the last of them may fail."""
LOCKS = "SELECT locktype, mode, granted FROM pg_locks WHERE pid = %s AND locktype <> 'virtualxid'"


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[Cluster]:
    """A server that archives nothing, so that no stop waits."""
    with open_cluster(instrumented) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.execute("CREATE EXTENSION shared_backup_instruments")
        session.execute("SELECT shared_backup_clock_freeze()")
        session.close()
        yield server


@pytest.fixture
def admin(server: Cluster) -> Iterator[Session]:
    admin = server.connect()
    yield admin
    admin.close()


@pytest.mark.parametrize("state", STATES)
def test_a_session_can_be_cancelled_after_whatever_it_did(
    server: Cluster, admin: Session, state: str, tally: Tally
) -> None:
    for call in CALLS:
        with tally.example():
            afterwards(server, admin, state, [call])
            tally.steps += 1


def test_a_session_can_be_cancelled_after_whatever_failed_in_it(server: Cluster, admin: Session, tally: Tally) -> None:
    points = InjectionPoints(admin)

    @settings(phases=UNSHRUNK)  # a session that cannot be cancelled takes its time
    @given(state=st.sampled_from(sorted(STATES)), calls=st.lists(st.sampled_from(CALLS), min_size=1, max_size=3),
           point=st.sampled_from(POINTS))  # fmt: skip
    def check(state: str, calls: list[str], point: str) -> None:
        with tally.example():
            points.attach(point, action="error")
            try:
                afterwards(server, admin, state, calls)
            finally:
                points.detach()
            tally.steps += len(calls)

    check()


def afterwards(server: Cluster, admin: Session, state: str, calls: list[str]) -> None:
    """Looks at a session when it has done that to a backup in that state."""
    clear(admin)
    for call in STATES[state]:
        outcome(admin, call)
    session = server.connect()
    try:
        ends = [outcome(session, call) for call in calls]
        look(admin, session, f"after {calls} of a backup that was {state} ({ends})")
    finally:
        session.close()
        clear(admin)


def clear(admin: Session) -> None:
    """There is no backup."""
    outcome(admin, "SELECT shared_backup_abort('a')")
    admin.execute("SELECT shared_backup_clock_advance('1 day')")


def outcome(session: Session, call: str) -> str:
    """What comes of a call: ok, or an SQLSTATE."""
    try:
        session.execute(call)
    except SqlError as error:
        return error.sqlstate
    return "ok"


def look(admin: Session, session: Session, when: str) -> None:
    """The session can be cancelled, and holds no lock."""
    assert not admin.execute(LOCKS, (session.pid,)), f"it holds locks {when}"
    sleeping = session.submit("SELECT pg_sleep(600)")
    asleep = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
    while not admin.execute(asleep, (session.pid,)):
        assert not sleeping.done()
    sleeping.cancel()
    error = sleeping.future.exception(PATIENCE) if ended(sleeping) else None
    assert isinstance(error, SqlError), f"the session cannot be cancelled {when}"
    assert error.sqlstate == "57014"


def ended(pending: Pending) -> bool:
    """Does it end in time?"""
    return bool(wait([pending.future], PATIENCE).done)
