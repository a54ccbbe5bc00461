"""A backup that nobody stops ends at its deadline, whether or not anyone calls anything."""

import time
from collections.abc import Iterator

import pytest

from harness.building.build import Build
from harness.clients.client import Client
from harness.server.changes import changed
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Session, SqlError
from properties.support.servers import PROBED

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]
PATIENCE = 30.0


@pytest.fixture(scope="module")
def server(release: Build) -> Iterator[Cluster]:
    """A server with the extension as its users have it, and the real clock."""
    with open_cluster(release, settings=PROBED) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        prepare_probe(session)
        session.close()
        yield server


@pytest.fixture
def user(server: Cluster) -> Iterator[Session]:
    """A session that finds no backup under way, and leaves none."""
    session = server.connect()
    yield session
    session.execute("SELECT shared_backup_abort(label) FROM shared_backups WHERE state = 'active'")
    session.close()


def reaper(session: Session) -> int | None:
    """The process number of the reaper, None while there is none."""
    rows = session.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'shared_backup reaper'")
    return int(rows[0][0]) if rows else None


def state(session: Session, label: str) -> str:
    """What the view shows of the backup."""
    return str(session.execute("SELECT state FROM shared_backups WHERE label = %s", (label,))[0][0])


def test_core_is_released_at_the_deadline_though_nobody_calls_anything(server: Cluster, user: Session) -> None:
    user.execute("SELECT shared_backup_start('alone', true, '1 hour')")
    assert forced_full_page_writes(user)
    user.execute("SELECT shared_backup_renew('alone', '200 ms')")
    server.wait_until(lambda: not forced_full_page_writes(user), PATIENCE, "core to be released at the deadline")
    assert state(user, "alone") == "expired"


@pytest.mark.usefixtures("starters")
def test_core_is_released_at_a_deadline_that_is_moved_forward_and_seconds_away(server: Cluster, user: Session) -> None:
    """Nothing but that wakes the reaper, which slept until the old deadline: nobody starts anything, nor looks."""
    user.execute("SELECT shared_backup_start('alone', true, '1 hour')")
    warm = "SELECT state, count(*) FROM shared_backup_starters GROUP BY state"
    server.wait_until(lambda: user.execute(warm) == [("warm", 1)], PATIENCE, "the next worker to be warm")
    time.sleep(0.5)  # for the reaper, which launched it, to go back to sleep
    user.execute("SELECT shared_backup_renew('alone', '5 s')")
    server.wait_until(lambda: not forced_full_page_writes(user), PATIENCE, "core to be released at the deadline")
    assert state(user, "alone") == "expired"


def test_a_renewed_backup_outlives_its_first_deadline(server: Cluster, user: Session) -> None:
    first = renewed_in_time(user)
    user.execute("SELECT shared_backup_start('later', true, %s)", (first,))
    server.wait_until(lambda: state(user, "later") == "expired", PATIENCE, "a deadline after that first one")
    assert state(user, "leased") == "active"
    assert forced_full_page_writes(user)


def renewed_in_time(user: Session) -> str:
    """Starts ``leased`` and renews it before it expires, however slow that is; returns its first time to live."""
    for ttl in ("300 ms", "1 s", "5 s", "20 s"):
        user.execute("SELECT shared_backup_start('leased', true, %s)", (ttl,))
        try:
            user.execute("SELECT shared_backup_renew('leased', '1 hour')")
        except SqlError as error:
            if error.sqlstate != "55000":
                raise
        else:
            return ttl
    raise AssertionError("a renewal came too late each time")


def test_a_reaper_that_dies_is_replaced_and_the_backup_expires(server: Cluster, user: Session) -> None:
    first = reaper(user)
    assert first is not None
    user.execute("SELECT shared_backup_start('orphan', true, '200 ms'), pg_terminate_backend(%s)", (first,))
    server.wait_until(lambda: reaper(user) not in (None, first), PATIENCE, "another reaper")
    server.wait_until(lambda: not forced_full_page_writes(user), PATIENCE, "core to be released")
    assert state(user, "orphan") == "expired"


def test_a_reaper_that_is_replaced_goes_by_the_settings_of_then(server: Cluster, user: Session) -> None:
    """They are changed while there is none, which is no reload for the next one."""
    first = reaper(user)
    user.execute("SELECT shared_backup_start('short of room', true), shared_backup_stop('short of room', false)")
    user.execute("SELECT pg_terminate_backend(%s)", (first,))
    with changed(server, {"shared_backup.max_results": "0"}):
        server.wait_until(lambda: reaper(user) not in (None, first), PATIENCE, "another reaper")
        left = "SELECT label FROM shared_backups WHERE state = 'stopped'"
        server.wait_until(lambda: not user.execute(left), PATIENCE, "it to forget what is beyond the limit")


def test_an_expired_backup_makes_room_under_the_limit(server: Cluster, user: Session) -> None:
    with changed(server, {"shared_backup.max_backups": "1"}):
        user.execute("SELECT shared_backup_start('first', true, '200 ms')")
        time.sleep(0.3)
        user.execute("SELECT shared_backup_start('second', true)")


def test_a_result_is_forgotten_after_its_retention(server: Cluster, user: Session) -> None:
    user.execute("SELECT shared_backup_start('kept', true), shared_backup_start('brief', true)")
    with changed(server, {"shared_backup.result_retention": "1d"}):
        user.execute("SELECT shared_backup_stop('kept', false)")
    with changed(server, {"shared_backup.result_retention": "1s"}):
        user.execute("SELECT shared_backup_stop('brief', false)")
    shown = "SELECT label FROM shared_backups WHERE label IN ('kept', 'brief')"
    server.wait_until(lambda: user.execute(shown) == [("kept",)], PATIENCE, "the one result to be forgotten")


@pytest.fixture
def held(cluster: Cluster, client: Client) -> Iterator[Session]:
    """A session on the instrumented server, where nothing is attached afterwards, and the clock stands."""
    client.afresh()
    client.freeze()
    session = cluster.connect()
    yield session
    InjectionPoints(session).detach()
    session.close()
    client.clear()


def test_a_backup_whose_stop_gave_up_after_its_deadline_expires(cluster: Cluster, held: Session) -> None:
    """The reaper passed it by while it was being stopped, and is woken when it is not any more."""
    points, stopper = InjectionPoints(held), cluster.connect()
    held.execute("SELECT shared_backup_start('late', true, '10 s')")
    points.attach("stop-claimed", "late")
    pending = stopper.submit("SELECT shared_backup_stop('late', false)")
    points.arrived("stop-claimed", "late", pending.done)
    held.execute("SELECT shared_backup_clock_advance('20 s')")
    assert state(held, "late") == "stopping"
    pending.cancel()
    with pytest.raises(SqlError, match="57014"):
        pending.result(PATIENCE)
    stopper.close()
    cluster.wait_until(lambda: not forced_full_page_writes(held), PATIENCE, "core to be released")
    assert state(held, "late") == "expired"


@pytest.mark.parametrize("late", ["0 s", "1 s"], ids=["at its deadline", "after it"])
def test_what_is_overdue_takes_no_room_though_the_reaper_has_yet_to_come(
    cluster: Cluster, client: Client, held: Session, late: str
) -> None:
    """A start at the limit waits for the reaper instead of failing."""
    points, other, clock = InjectionPoints(held), cluster.connect(), cluster.connect()
    held.execute("SELECT shared_backup_start('first', true, '10 s')")
    client.set(max_backups=1)
    points.attach("reaper-expiring", "first")
    passing = clock.submit("SELECT shared_backup_clock_advance('10 s'::interval + %s)", (late,))
    points.arrived("reaper-expiring", "first", passing.done)
    pending = other.submit("SELECT shared_backup_start('second', true)")
    time.sleep(0.1)  # to be refused, if it is
    points.detach()
    pending.result(PATIENCE)
    passing.result(PATIENCE)
    assert (state(held, "first"), state(held, "second")) == ("expired", "active")
    for session in (other, clock):
        session.close()


def test_a_deadline_that_comes_up_when_the_reaper_has_just_looked_is_not_lost(cluster: Cluster, held: Session) -> None:
    """Nothing else wakes the reaper before it."""
    points, other = InjectionPoints(held), cluster.connect()
    held.execute("SELECT shared_backup_clock_release()")
    held.execute("SELECT shared_backup_start('nearer', true)")
    points.attach("reaper-looked")
    settling = other.submit("SELECT shared_backup_reaper_settle()")
    points.arrived("reaper-looked", over=settling.done)
    held.execute("SELECT shared_backup_renew('nearer', '500 ms')")
    points.detach()
    settling.result(PATIENCE)
    cluster.wait_until(lambda: not forced_full_page_writes(held), PATIENCE, "core to be released at the deadline")
    assert state(held, "nearer") == "expired"
    other.close()


def all_wait(admin: Session, sessions: list[Session]) -> bool:
    """Do all of these wait for something of the extension's?"""
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s) AND wait_event_type = 'Extension'"
    return admin.execute(query, ([session.pid for session in sessions],)) == [(len(sessions),)]


def test_whoever_waits_for_the_reaper_waits_for_a_round_that_begins_afterwards(cluster: Cluster, held: Session) -> None:
    """One that is under way may have passed by already what has become overdue since."""
    points, sessions = InjectionPoints(held), [cluster.connect() for _ in range(3)]
    settler, clock, starter = sessions
    held.execute("SELECT shared_backup_start('late', true, '10 s')")
    points.attach("reaper-looked")
    settling = settler.submit("SELECT shared_backup_reaper_settle()")
    points.arrived("reaper-looked", over=settling.done)
    passing = clock.submit("SELECT shared_backup_clock_advance('10 s')")
    cluster.wait_until(lambda: state(held, "late") == "expired", PATIENCE, "the clock to be moved")
    again = starter.submit("SELECT shared_backup_start('late', true)")
    cluster.wait_until(lambda: all_wait(held, [starter]), PATIENCE, "the start to wait")
    points.attach("reaper-expiring")
    points.wakeup("reaper-looked")
    points.arrived("reaper-expiring")
    time.sleep(0.1)  # to be content with the round that is over, if it is
    points.detach()
    for pending in (again, passing, settling):
        pending.result(PATIENCE)
    assert state(held, "late") == "active"
    for session in sessions:
        session.close()


@pytest.mark.parametrize(("due", "waiting"), [(1, 1), (2, 2), (3, 0), (5, 3)])
def test_everybody_who_waits_for_the_reaper_goes_on_when_it_has_been_there(
    cluster: Cluster, held: Session, due: int, waiting: int
) -> None:
    """What is due at the same moment expires at once; core is released of it all, and starts that replace it begin."""
    points, clock = InjectionPoints(held), cluster.connect()
    labels = [f"due {number}" for number in range(due)]
    for label in labels:
        held.execute("SELECT shared_backup_start(%s, true, '10 s')", (label,))
    points.attach("reaper-expiring")
    passing = clock.submit("SELECT shared_backup_clock_advance('10 s')")
    points.arrived("reaper-expiring", over=passing.done)
    sessions = [cluster.connect() for _ in range(waiting)]
    again = zip(sessions, labels, strict=False)
    starts = [session.submit("SELECT shared_backup_start(%s, true)", (label,)) for session, label in again]
    cluster.wait_until(lambda: all_wait(held, sessions), PATIENCE, "the starts to wait")
    points.detach()
    for start in starts:
        start.result(PATIENCE)
    passing.result(PATIENCE)
    assert [state(held, label) for label in labels] == ["active"] * waiting + ["expired"] * (due - waiting)
    assert forced_full_page_writes(held) == (waiting > 0)
    held.execute("SELECT shared_backup_abort(label) FROM shared_backups WHERE state = 'active'")
    assert not forced_full_page_writes(held)
    for session in (*sessions, clock):
        session.close()


def test_whoever_waits_for_a_reaper_that_fails_in_its_round_goes_on_with_the_next_one(
    cluster: Cluster, held: Session
) -> None:
    """And so does everybody after that."""
    points, clock, starter = InjectionPoints(held), cluster.connect(), cluster.connect()
    points.attach("reaper-expiring", action="error")
    for label in ("first", "second"):
        held.execute("SELECT shared_backup_start(%s, true, '10 s')", (label,))
        clock.submit("SELECT shared_backup_clock_advance('10 s')").result(PATIENCE)
        starter.submit("SELECT shared_backup_start(%s, true)", (label,)).result(PATIENCE)
        starter.submit("SELECT shared_backup_reaper_settle()").result(PATIENCE)
        assert state(held, label) == "active"
    points.detach()
    for session in (clock, starter):
        session.close()


def test_the_reaper_sleeps_until_the_next_deadline(cluster: Cluster, client: Client) -> None:
    """It makes no rounds while nothing is due, and it is woken when a nearer deadline comes up."""
    client.afresh()
    session = cluster.connect()
    session.execute("SELECT shared_backup_clock_release()")
    try:
        rounds = "SELECT rounds FROM shared_backup_reaper()"
        session.execute("SELECT shared_backup_start('later', true, '1 hour')")
        session.execute("SELECT shared_backup_reaper_settle()")
        before = session.execute(rounds)[0][0]
        time.sleep(1.0)
        assert session.execute(rounds)[0][0] == before
        session.execute("SELECT shared_backup_start('sooner', true, '200 ms')")
        expired = "SELECT 1 FROM shared_backups WHERE label = 'sooner' AND state = 'expired'"
        cluster.wait_until(lambda: bool(session.execute(expired)), PATIENCE, "the nearer deadline")
        session.execute("SELECT shared_backup_reaper_settle()")
    finally:
        session.close()
        client.freeze()
        client.clear()


def test_a_result_is_remembered_from_the_end_of_its_stop_on(instrumented: Build) -> None:
    """However long that has taken since the time up to which the copy is covered."""
    with open_cluster(instrumented, settings={"shared_backup.result_retention": "10min"}) as server:
        session, stopper = server.connect(), server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.execute("CREATE EXTENSION shared_backup_instruments")
        points = InjectionPoints(session)
        session.execute("SELECT shared_backup_clock_freeze()")
        session.execute("SELECT shared_backup_start('slow', true)")
        points.attach("stop-core-ended", "slow")
        stop = stopper.submit("SELECT shared_backup_stop('slow', false)")
        assert points.arrived("stop-core-ended", "slow", stop.done)
        session.execute("SELECT shared_backup_clock_advance('9 min')")
        points.detach()
        stop.result(PATIENCE)
        session.execute("SELECT shared_backup_clock_advance('9 min')")
        assert state(session, "slow") == "stopped"
        session.execute("SELECT shared_backup_clock_advance('2 min')")
        assert session.execute("SELECT label FROM shared_backups") == []
        for one in (session, stopper):
            one.close()
