"""One warm worker waits for the next start, and no start depends on it: it may die, be late, be missing or be taken."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from harness.building.build import Build
from harness.machine.processes import stopped, wait_gone
from harness.server.changes import changed
from harness.server.cluster import Cluster, open_cluster, open_standby
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Session, SqlError
from properties.support.servers import PROBED

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("starters", "instruments")]
PATIENCE = 30.0

START = "SELECT shared_backup_start('nightly', true)"
ABORT = "SELECT shared_backup_abort('nightly')"


@dataclass(frozen=True)
class Starters:
    """What the instruments tell of the workers that start backups."""

    warm_pid: int | None
    warm_starts: int
    cold_starts: int


def starters(session: Session) -> Starters:
    return Starters(*session.execute("SELECT warm_pid, warm_starts, cold_starts FROM shared_backup_starter()")[0])


def warm(server: Cluster, session: Session, other_than: int | None = None) -> int:
    """Waits for a warm worker and returns its process number."""
    server.wait_until(lambda: starters(session).warm_pid not in (None, other_than), PATIENCE, "a warm worker")
    return starters(session).warm_pid or 0


def process(session: Session, backend_type: str) -> int:
    rows = session.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = %s", (backend_type,))
    return int(rows[0][0])


def states(session: Session) -> list[str]:
    return [row[0] for row in session.execute("SELECT state FROM shared_backups ORDER BY label")]


def at_work(session: Session) -> bool:
    """Has a worker taken a request? Until then, who asked may take it back, and the worker stays warm."""
    return ("running",) in session.execute("SELECT state FROM shared_backup_starters")


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[Cluster]:
    with open_cluster(instrumented, settings=PROBED) as server:
        session = server.connect()
        install(session)
        prepare_probe(session)
        session.close()
        yield server


def install(session: Session) -> None:
    session.execute("CREATE EXTENSION shared_backup")
    session.execute("CREATE EXTENSION shared_backup_instruments")


@pytest.fixture
def user(server: Cluster) -> Iterator[Session]:
    """A session that saw a warm worker; it finds no backup and leaves none."""
    session = server.connect()
    warm(server, session)
    yield session
    for (label,) in session.execute("SELECT label FROM shared_backups WHERE state = 'active'"):
        session.execute("SELECT shared_backup_abort(%s)", (label,))
    assert not forced_full_page_writes(session), "core still forces full-page writes though no backup is left"
    session.close()


def test_a_start_takes_the_warm_worker_which_is_replaced(server: Cluster, user: Session) -> None:
    pid, before = warm(server, user), starters(user)
    user.execute(START)
    after = starters(user)
    assert (after.warm_starts, after.cold_starts) == (before.warm_starts + 1, before.cold_starts)
    assert wait_gone([pid], PATIENCE), "the worker is still there after its start"
    warm(server, user, other_than=pid)


def test_a_worker_that_was_used_is_replaced_at_once(server: Cluster, user: Session) -> None:
    """It is one that died unused whose successor has to wait."""
    for _ in range(5):
        warm(server, user)
        user.execute(START)
        user.execute(ABORT)
        for _ in range(2):  # the reaper looks after its worker between two rounds
            user.execute("SELECT shared_backup_reaper_settle()")
        states = [state for (state,) in user.execute("SELECT state FROM shared_backup_starters")]
        assert {"launching", "warm"} & set(states), f"there are {states}"


def test_a_request_that_comes_when_the_warm_worker_has_just_looked_is_taken(server: Cluster, user: Session) -> None:
    points, caller, before = InjectionPoints(user), server.connect(), starters(user)
    points.attach("starter-looked")
    server.reload()  # the worker looks once more
    assert points.arrived("starter-looked")
    pending = caller.submit(START)
    server.wait_until(lambda: starters(user).warm_starts > before.warm_starts, PATIENCE, "the request")
    points.detach()
    pending.result(PATIENCE)
    caller.close()


def test_the_second_of_two_starts_at_once_launches_its_own(server: Cluster, user: Session) -> None:
    before = starters(user)
    first, second = server.connect(), server.connect()
    with stopped(process(user, "checkpointer")):
        pending = first.submit("SELECT shared_backup_start('first', true)")
        server.wait_until(lambda: states(user) == ["starting"], PATIENCE, "the first start to begin")
        pendings = [pending, second.submit("SELECT shared_backup_start('second', true)")]
        server.wait_until(lambda: states(user) == ["starting"] * 2, PATIENCE, "the second start to begin")
    for pending in pendings:
        pending.result(PATIENCE)
    after = starters(user)
    assert (after.warm_starts, after.cold_starts) == (before.warm_starts + 1, before.cold_starts + 1)
    assert states(user) == ["active", "active"]
    first.close()
    second.close()


def test_a_warm_worker_that_is_terminated_is_replaced_without_a_word(server: Cluster, user: Session) -> None:
    pid, log = warm(server, user), server.log_position()
    os.kill(pid, signal.SIGTERM)
    warm(server, user, other_than=pid)
    assert server.log_since(log) == ""


def test_a_start_that_finds_the_warm_worker_dying_gets_another(server: Cluster, user: Session) -> None:
    pid, before = warm(server, user), starters(user)
    other = server.connect()
    with stopped(pid):
        pending = other.submit(START)
        server.wait_until(lambda: starters(user).warm_starts > before.warm_starts, PATIENCE, "the request")
        os.kill(pid, signal.SIGTERM)
    pending.result(PATIENCE)
    after = starters(user)
    asked = after.warm_starts + after.cold_starts - before.warm_starts - before.cold_starts
    assert asked == 2, "not one request to the dying worker and one to another"
    assert states(user) == ["active"]
    other.close()


def test_a_start_cancelled_before_the_warm_worker_took_it_leaves_it_warm(server: Cluster, user: Session) -> None:
    pid, before = warm(server, user), starters(user)
    other = server.connect()
    with stopped(pid):
        pending = other.submit(START)
        server.wait_until(lambda: starters(user).warm_starts > before.warm_starts, PATIENCE, "the request")
        pending.cancel()
        with pytest.raises(SqlError) as refusal:
            pending.result(PATIENCE)
    assert refusal.value.sqlstate == "57014"
    assert states(user) == []
    assert starters(user).warm_pid == pid
    user.execute(START)
    other.close()


def test_a_start_cancelled_before_it_has_noticed_that_the_warm_worker_died_leaves_no_trace(
    server: Cluster, user: Session
) -> None:
    pid, other = warm(server, user), server.connect()
    waits = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Extension'"
    with ExitStack() as held:
        with stopped(pid):
            pending = other.submit(START)
            server.wait_until(lambda: bool(user.execute(waits, (other.pid,))), PATIENCE, "the start to wait")
            held.enter_context(stopped(other.pid))
            os.kill(pid, signal.SIGTERM)
        assert wait_gone([pid], PATIENCE), "the worker is still there"
        os.kill(other.pid, signal.SIGINT)
    with pytest.raises(SqlError) as refusal:
        pending.result(PATIENCE)
    assert refusal.value.sqlstate == "57014"
    assert states(user) == []
    other.close()


def test_a_start_cancelled_in_the_warm_worker_leaves_no_trace(server: Cluster, user: Session) -> None:
    pid = warm(server, user)
    other = server.connect()
    with stopped(process(user, "checkpointer")):
        pending = other.submit(START)
        server.wait_until(lambda: at_work(user), PATIENCE, "the worker to take the request")
        pending.cancel()
        with pytest.raises(SqlError) as refusal:
            pending.result(PATIENCE)
        assert refusal.value.sqlstate == "57014"
        assert states(user) == []
    assert wait_gone([pid], PATIENCE), "the worker is still there"
    warm(server, user, other_than=pid)
    other.close()


def test_a_caller_that_dies_leaves_no_trace(server: Cluster, user: Session) -> None:
    other = server.connect()
    with stopped(process(user, "checkpointer")):
        pending = other.submit(START)
        server.wait_until(lambda: at_work(user), PATIENCE, "the worker to take the request")
        user.execute("SELECT pg_terminate_backend(%s)", (other.pid,))
        with pytest.raises(SqlError):
            pending.result(PATIENCE)
        server.wait_until(lambda: states(user) == [], PATIENCE, "the start to be undone")
    warm(server, user)


def test_starts_go_on_when_the_reaper_dies(server: Cluster, user: Session) -> None:
    running = "SELECT pid FROM shared_backup_reaper() WHERE pid IS NOT NULL"
    for _ in range(3):
        user.execute("SELECT pg_terminate_backend(%s)", (process(user, "shared_backup reaper"),))
        user.execute(START)
        user.execute(ABORT)
        server.wait_until(lambda: bool(user.execute(running)), PATIENCE, "another reaper")
        warm(server, user)


def test_a_warm_worker_hears_of_a_reload(server: Cluster, user: Session) -> None:
    """Core writes the start time into the label file in log_timezone."""
    pid = warm(server, user)
    with changed(server, {"log_timezone": "Asia/Tokyo"}):
        user.execute("SELECT pg_sleep(0.1)")
        assert warm(server, user) == pid
        user.execute(START)
        text = user.execute("SELECT labelfile FROM shared_backup_stop('nightly', false)")[0][0]
    assert re.search(r"^START TIME: .* JST$", text, re.MULTILINE)


def test_a_fast_shutdown_is_not_delayed_and_the_next_server_has_one_again(server: Cluster) -> None:
    session = server.connect()
    pid, log = warm(server, session), server.log_position()
    session.close()
    server.stop("fast", timeout=10)
    server.start()
    assert "starter" not in server.log_since(log), "the warm worker's end is worth no line in the log"
    session = server.connect()
    assert warm(server, session) != pid
    session.close()


def test_the_server_recovers_from_a_warm_worker_that_was_killed(server: Cluster) -> None:
    """A process that dies of SIGKILL takes all others with it; afterwards there is a warm worker again."""
    session = server.connect()
    pid = warm(server, session)
    os.kill(pid, signal.SIGKILL)
    server.wait_until(lambda: not session.answers(), PATIENCE, "the server to notice that a process was killed")
    session.close()
    session = server.await_session(PATIENCE)
    warm(server, session, other_than=pid)
    session.close()


def test_none_is_kept_without_room_and_one_place_serves_starts_one_by_one(instrumented: Build) -> None:
    with open_cluster(instrumented, settings={"max_worker_processes": "2"}) as server:  # reaper, launcher
        session = server.connect()
        install(session)
        session.execute("SELECT shared_backup_reaper_settle()")
        assert starters(session).warm_pid is None
        with pytest.raises(SqlError) as refusal:
            session.execute(START)
        assert refusal.value.sqlstate == "53000"
        assert states(session) == []

        server.configure({"max_worker_processes": "3"})
        session.close()
        server.restart()
        session = server.connect()
        for _ in range(5):
            pid = warm(server, session)
            session.execute(START)
            session.execute(ABORT)
            assert wait_gone([pid], PATIENCE)
        assert starters(session).cold_starts == 0
        session.close()


def test_a_server_without_any_worker_starts_no_backup_and_says_what_to_raise(instrumented: Build) -> None:
    with open_cluster(instrumented, settings={"max_worker_processes": "0"}) as server:
        session = server.connect()
        install(session)
        with pytest.raises(SqlError) as refusal:
            session.execute(START)
        assert (refusal.value.sqlstate, refusal.value.hint) == (
            "53000",
            'You may need to increase "max_worker_processes".',
        )
        assert states(session) == []
        session.close()


def test_a_standby_has_one_also_after_its_promotion(instrumented: Build) -> None:
    with open_cluster(instrumented) as primary:
        session = primary.connect()
        install(session)
        session.close()
        with open_standby(primary) as standby:
            session = standby.connect()
            for recovering in (True, False):
                assert session.execute("SELECT pg_is_in_recovery()") == [(recovering,)]
                pid, before = warm(standby, session), starters(session)
                session.execute(START)
                session.execute(ABORT)
                assert starters(session).warm_starts == before.warm_starts + 1
                pid = warm(standby, session, other_than=pid)
                if recovering:
                    assert session.execute("SELECT pg_promote()") == [(True,)]
                    assert starters(session).warm_pid == pid, "the promotion cost the warm worker"
            session.close()
