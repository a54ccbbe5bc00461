"""Starts share the server's background workers: so many use one at once, the others wait, fast ones the shortest."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from random import Random

import pytest

from harness.building.build import Build
from harness.machine.processes import stopped
from harness.server.changes import changed
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Pending, Session, SqlError
from properties.recording.tally import Tally
from properties.support.servers import PROBED

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("starters", "instruments")]
PATIENCE = 30.0

START = "SELECT shared_backup_start(%s, %s)"
SLOW, FAST = False, True
CANCELLED = "57014"
NO_ROOM, TERMINATED = "53000", "57P01"
DEFAULT = 2
"""What shared_backup.max_starters is unless it is set."""

PLACES = (
    "SELECT sum(setting::int)::int FROM pg_settings WHERE name IN"
    " ('max_connections', 'max_worker_processes', 'max_wal_senders', 'autovacuum_max_workers')"
)
"""Backends, but for a few."""
WORKERS = "8"
"""PostgreSQL's default, of which core's launcher and our reaper have two."""
OTHERS = 2
"""Core's launcher of logical replication, and our reaper."""
AT_ONCE = 10
DIRTY = (
    "CREATE TABLE dirty (n int, filler text) WITH (fillfactor = 10)",
    "INSERT INTO dirty SELECT n, repeat('x', 600) FROM generate_series(1, 2000) n",
)
"""A page a row: a checkpoint that is spread over an hour writes ten of them a second at most."""
PARALLEL = (
    "SET parallel_setup_cost = 0",
    "SET parallel_tuple_cost = 0",
    "SET min_parallel_table_scan_size = 0",
    "SET max_parallel_workers_per_gather = 2",
)
COUNT = "EXPLAIN (ANALYZE, TIMING off, FORMAT json) SELECT count(*) FROM dirty"

ROUNDS = {"dev": 20, "gate": 100, "nightly": 1000}
"""Starts of each session."""
SESSIONS = 8


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[Cluster]:
    settings = {**PROBED, "max_worker_processes": WORKERS, "statement_timeout": "0"}
    with open_cluster(instrumented, settings=settings) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.execute("CREATE EXTENSION shared_backup_instruments")
        prepare_probe(session)
        for statement in DIRTY:
            session.execute(statement)
        session.close()
        yield server


@pytest.fixture
def user(server: Cluster) -> Iterator[Session]:
    """A session that finds no backup and leaves none."""
    session = server.connect()
    yield session
    InjectionPoints(session).detach()
    server.wait_until(lambda: "starting" not in labels(session).values(), PATIENCE, "all starts to end")
    for label, state in labels(session).items():
        if state == "active":
            session.execute("SELECT shared_backup_abort(%s)", (label,))
    assert not forced_full_page_writes(session), "core still forces full-page writes though no backup is left"
    session.close()


@pytest.fixture
def points(user: Session) -> InjectionPoints:
    return InjectionPoints(user)


def starters(server: Cluster, number: int) -> AbstractContextManager[None]:
    """Within the block so many may be used at once."""
    return changed(server, {"shared_backup.max_starters": str(number)})


def labels(session: Session) -> dict[str, str]:
    """The backups and their states."""
    return dict(session.execute("SELECT label, state FROM shared_backups"))


def seen(session: Session) -> list[tuple[str, str | None]]:
    """What the view shows of the starters: state and label."""
    return session.execute("SELECT state, label FROM shared_backup_starters ORDER BY label NULLS FIRST")


def warm(server: Cluster, session: Session) -> int:
    """Waits until there is a warm worker and nobody else, and returns its process number."""
    server.wait_until(lambda: seen(session) == [("warm", None)], PATIENCE, "a warm worker")
    return int(session.execute("SELECT warm_pid FROM shared_backup_starter()")[0][0])


def running(session: Session) -> list[str]:
    """The labels that starters are at work on."""
    return [label for state, label in seen(session) if state == "running" and label is not None]


def submit(server: Cluster, label: str, fast: bool) -> tuple[Session, Pending]:
    session = server.connect()
    return session, session.submit(START, (label, fast))


def submit_held(server: Cluster, points: InjectionPoints, among: Sequence[str]) -> list[tuple[Session, Pending]]:
    """Starts that have a worker and hold it, one after the other."""
    points.attach_all([("start-taken", label) for label in among])
    calls = []
    for label in among:
        calls.append(submit(server, label, FAST))
        points.arrived("start-taken", label, calls[-1][1].done)
    assert set(among) <= set(running(points.session))
    return calls


def submit_waiting(server: Cluster, points: InjectionPoints, label: str, fast: bool = FAST) -> tuple[Session, Pending]:
    """One that waits for its turn, and will hold its worker, too."""
    points.attach("start-taken", label)
    session, pending = submit(server, label, fast)
    server.wait_until(lambda: labels(points.session).get(label) == "starting", PATIENCE, f"{label} to begin")
    if points.session.execute("SELECT current_setting('server_version_num')::int >= 170000")[0][0]:
        event = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
        server.wait_until(
            lambda: points.session.execute(event, (session.pid,)) == [("SharedBackupStartTurn",)],
            PATIENCE,
            f"{label} to wait for its turn",
        )
    return session, pending


@contextmanager
def may_fail() -> Iterator[None]:
    """It may be cancelled; or the workers of those that were have not gone yet, and leave no room for its own."""
    try:
        yield
    except SqlError as error:
        if error.sqlstate not in (CANCELLED, NO_ROOM):
            raise


def finish(calls: Sequence[tuple[Session, Pending]]) -> None:
    for session, pending in calls:
        pending.result(PATIENCE)
        session.close()


def launched_as_planned(session: Session) -> tuple[int, int]:
    """How many workers a query planned, and how many it had."""
    plan = session.execute(COUNT)[0][0][0]["Plan"]
    while "Workers Planned" not in plan:
        plan = plan["Plans"][0]
    return plan["Workers Planned"], plan["Workers Launched"]


def dirty_all_pages(session: Session) -> None:
    session.execute("UPDATE dirty SET n = n + 1")


def test_slow_starts_at_once_leave_workers_for_a_query_and_do_not_hold_up_a_fast_one(
    server: Cluster, user: Session
) -> None:
    """Their checkpoints are spread over many minutes, unless somebody asks for an immediate one."""
    for statement in PARALLEL:
        user.execute(statement)
    dirty_all_pages(user)
    slow = [submit(server, f"slow {number}", SLOW) for number in range(AT_ONCE)]
    server.wait_until(lambda: [*labels(user).values()] == ["starting"] * AT_ONCE, PATIENCE, "all of them to begin")
    server.wait_until(lambda: len(running(user)) == DEFAULT, PATIENCE, "as many as may to be at work")
    planned, launched = launched_as_planned(user)
    assert planned == launched == 2, f"of {planned} workers planned, {launched} were to be had"

    session, fast = submit(server, "fast", FAST)
    fast.result(PATIENCE)
    session.close()
    assert labels(user)["fast"] == "active"
    for session, pending in slow:
        while not pending.done():
            pending.cancel()
            user.execute("SELECT pg_sleep(0.01)")
        session.close()
    server.wait_until(lambda: "starting" not in labels(user).values(), PATIENCE, "all of them to end")


def test_a_fast_start_hurries_a_slow_one_that_asks_for_its_checkpoint_later(
    server: Cluster, user: Session, points: InjectionPoints
) -> None:
    with starters(server, 1):
        points.attach("start-taken", "slow")
        slow = submit(server, "slow", SLOW)
        points.arrived("start-taken", "slow", slow[1].done)
        fast = submit_waiting(server, points, "fast")
        dirty_all_pages(user)
        points.detach()
        finish([slow, fast])


def test_a_fast_start_hurries_a_slow_one_whose_worker_has_yet_to_take_it(server: Cluster, user: Session) -> None:
    with starters(server, 1):
        pid = warm(server, user)
        dirty_all_pages(user)
        with stopped(pid):
            slow = submit(server, "slow", SLOW)
            server.wait_until(lambda: labels(user) == {"slow": "starting"}, PATIENCE, "the slow start to begin")
            fast = submit(server, "fast", FAST)
            server.wait_until(lambda: len(labels(user)) == 2, PATIENCE, "the fast start to begin")
        finish([slow, fast])


def test_a_start_waits_for_its_turn_and_first_come_is_first_served(
    server: Cluster, user: Session, points: InjectionPoints
) -> None:
    calls = submit_held(server, points, ("a", "b"))
    calls += [submit_waiting(server, points, label) for label in ("d", "c", "e")]
    assert running(user) == ["a", "b"]
    for over, following in (("a", "d"), ("b", "c"), ("d", "e")):
        points.wakeup("start-taken", over)
        points.arrived("start-taken", following)
        assert len(running(user)) == DEFAULT
        assert following in running(user)
    points.detach()
    finish(calls)


def test_a_fast_start_comes_before_slow_ones_that_wait(server: Cluster, user: Session, points: InjectionPoints) -> None:
    calls = submit_held(server, points, ("a", "b"))
    calls += [submit_waiting(server, points, label, fast) for label, fast in (("c", SLOW), ("d", FAST), ("e", FAST))]
    for over, following in (("a", "d"), ("b", "e"), ("d", "c")):
        points.wakeup("start-taken", over)
        points.arrived("start-taken", following)
    user.execute("CHECKPOINT")
    points.detach()
    finish(calls)


@pytest.mark.parametrize("end", ["cancelled", "terminated"])
def test_a_start_that_ends_while_it_waits_leaves_no_trace(
    server: Cluster, user: Session, points: InjectionPoints, end: str
) -> None:
    """... and does not take the turn of the one behind it along."""
    calls = submit_held(server, points, ("a", "b"))
    session, pending = submit_waiting(server, points, "gone")
    calls.append(submit_waiting(server, points, "c"))
    if end == "cancelled":
        pending.cancel()
    else:
        user.execute("SELECT pg_terminate_backend(%s)", (session.pid,))
    with pytest.raises(SqlError, match=CANCELLED if end == "cancelled" else "57P01"):
        pending.result(PATIENCE)
    server.wait_until(lambda: "gone" not in labels(user), PATIENCE, "the label to be free")
    points.wakeup("start-taken", "a")
    points.arrived("start-taken", "c")
    points.detach()
    finish(calls)
    session.close()


def test_places_in_the_queue_are_given_back_however_many_were_cancelled_there(
    server: Cluster, user: Session, points: InjectionPoints
) -> None:
    """There are as many as the server may have backends."""
    ((places,),) = user.execute(PLACES)
    with starters(server, 1):
        calls, caller = submit_held(server, points, ("held",)), server.connect()
        caller.execute("SET statement_timeout = '3ms'")
        for _ in range(2 * places):
            with pytest.raises(SqlError, match=CANCELLED):
                caller.execute(START, ("cancelled", FAST))
        calls.append(submit_waiting(server, points, "next"))
        points.detach()
        finish(calls)
        caller.close()


def test_a_turn_that_nobody_takes_is_passed_on(server: Cluster, user: Session, points: InjectionPoints) -> None:
    """One is cancelled when it was woken for its turn, and has not taken it yet."""
    calls = submit_held(server, points, ("a", "b"))
    session, pending = submit_waiting(server, points, "gone")
    calls.append(submit_waiting(server, points, "c"))
    os.kill(session.pid, signal.SIGSTOP)
    points.wakeup("start-taken", "a")
    calls[0][1].result(PATIENCE)
    pending.cancel()
    server.wait_until(lambda: cancel_is_pending(session.pid), PATIENCE, "the request to cancel it")
    os.kill(session.pid, signal.SIGCONT)
    with pytest.raises(SqlError, match=CANCELLED):
        pending.result(PATIENCE)
    points.arrived("start-taken", "c")
    points.detach()
    finish(calls)
    session.close()


def cancel_is_pending(pid: int) -> bool:
    """Has a stopped process a SIGINT to take when it goes on?"""
    with open(f"/proc/{pid}/status") as status:
        (mask,) = [line.split()[1] for line in status if line.startswith("ShdPnd")]
    return bool(int(mask, 16) & 1 << signal.SIGINT - 1)


def test_a_raised_limit_lets_those_go_on_who_wait(server: Cluster, user: Session, points: InjectionPoints) -> None:
    calls = submit_held(server, points, ("a", "b"))
    calls.append(submit_waiting(server, points, "c"))
    with starters(server, 3):
        points.arrived("start-taken", "c")
        assert running(user) == ["a", "b", "c"]
        points.detach()
        finish(calls)


def test_no_worker_is_kept_warm_beyond_the_limit(server: Cluster, user: Session, points: InjectionPoints) -> None:
    """Not even for a moment: the postmaster is not asked for one."""
    with changed(server, {"log_min_messages": "debug1"}):
        calls = submit_held(server, points, ("a",))
        finish([submit(server, "another", FAST)])
        server.wait_until(lambda: ("warm", None) in seen(user), PATIENCE, "a warm worker beside the one at work")
        position = server.log_position()
        calls += submit_held(server, points, ("b",))
        for _ in range(2):  # it looks after its worker between two rounds
            user.execute("SELECT shared_backup_reaper_settle()")
            server.connect().close()  # the postmaster does what it was asked for first
        assert ' registering background worker "shared_backup starter"' not in server.log_since(position)
    points.detach()
    finish(calls)


def test_a_lowered_limit_holds_and_the_warm_worker_counts(
    server: Cluster, user: Session, points: InjectionPoints
) -> None:
    (call,) = submit_held(server, points, ("a",))
    finish([submit(server, "another", FAST)])
    server.wait_until(lambda: ("warm", None) in seen(user), PATIENCE, "a warm worker beside the one at work")
    with starters(server, 1):
        server.wait_until(lambda: seen(user) == [("running", "a")], PATIENCE, "the warm worker to end")
        waiting = submit_waiting(server, points, "b")
        assert seen(user) == [("running", "a")]
        points.wakeup("start-taken", "a")
        points.arrived("start-taken", "b")
        assert seen(user) == [("running", "b")]
        points.detach()
        finish((call, waiting))
        server.wait_until(lambda: seen(user) == [("warm", None)], PATIENCE, "a warm worker again")


def test_the_only_worker_dies_and_the_start_gets_another(server: Cluster, user: Session) -> None:
    with starters(server, 1):
        server.wait_until(lambda: seen(user) == [("warm", None)], PATIENCE, "the warm worker")
        (pid,) = user.execute("SELECT pid FROM shared_backup_starters")[0]
        os.kill(pid, signal.SIGSTOP)
        call = submit(server, "a", FAST)
        server.wait_until(lambda: seen(user) == [("requested", "a")], PATIENCE, "the request")
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        finish([call])
        assert labels(user) == {"a": "active"}


def test_a_start_hears_of_what_its_worker_did_however_fast_that_was(
    server: Cluster, user: Session, points: InjectionPoints
) -> None:
    """The worker takes the request, starts the backup and ends between two looks of the session."""
    calls = submit_held(server, points, ("other",))  # which has the warm one
    points.attach("start-looked", "quick")
    quick = submit(server, "quick", FAST)
    points.arrived("start-looked", "quick", quick[1].done)
    server.wait_until(lambda: labels(user)["quick"] == "active", PATIENCE, "the worker to start the backup")
    gone = [("running", "other"), ("warm", None)]
    server.wait_until(lambda: sorted(seen(user), key=str) == gone, PATIENCE, "the worker to have left")
    server.connect().close()  # the postmaster has noticed that by now
    points.detach()
    finish([quick, *calls])


def test_a_start_whose_worker_finds_no_library_says_so(server: Cluster, user: Session) -> None:
    """As when the package was removed while the server runs: there is nobody to take the request."""
    caller = server.connect()
    caller.execute(START, ("before", FAST))
    pid = warm(server, user)
    with changed(server, {"dynamic_library_path": "/nowhere"}):
        os.kill(pid, signal.SIGTERM)
        server.wait_until(lambda: ("warm", None) not in seen(user), PATIENCE, "the warm worker to end")
        with pytest.raises(SqlError) as refusal:
            caller.submit(START, ("unlucky", FAST)).result(PATIENCE)
    assert refusal.value.sqlstate == TERMINATED, refusal.value
    assert labels(user) == {"before": "active"}
    caller.close()


def test_a_start_whose_worker_died_keeps_its_turn(server: Cluster, user: Session, points: InjectionPoints) -> None:
    """Whoever is behind it stands still, and would hold it up for ever."""
    with starters(server, 1):
        server.wait_until(lambda: seen(user) == [("warm", None)], PATIENCE, "the warm worker")
        (worker,) = user.execute("SELECT pid FROM shared_backup_starters")[0]
        os.kill(worker, signal.SIGSTOP)
        call = submit(server, "a", FAST)
        server.wait_until(lambda: seen(user) == [("requested", "a")], PATIENCE, "the request")
        behind = submit_waiting(server, points, "b")
        os.kill(behind[0].pid, signal.SIGSTOP)
        try:
            os.kill(worker, signal.SIGTERM)
            os.kill(worker, signal.SIGCONT)
            finish([call])
        finally:
            os.kill(behind[0].pid, signal.SIGCONT)
        points.detach()
        finish([behind])
        assert labels(user) == {"a": "active", "b": "active"}


def test_no_start_is_left_behind(server: Cluster, user: Session, tally: Tally, profile: str) -> None:
    """Sessions start and abort, some are cancelled, and the limit changes: each start ends."""

    def starts(number: int) -> None:
        session, chance = server.connect(), Random(number)
        for _ in range(ROUNDS[profile]):
            pending = session.submit(START, (f"{number}", chance.random() < 0.8))
            if chance.random() < 0.3:
                pending.cancel()
            with may_fail():
                pending.result(PATIENCE)
            if str(number) in labels(session):
                session.execute("SELECT shared_backup_abort(%s)", (str(number),))
        session.close()

    with changed(server, {"checkpoint_timeout": "30s", "checkpoint_completion_target": "0"}):
        user.execute("CHECKPOINT")
        with ThreadPoolExecutor(SESSIONS) as threads, tally.example():
            calls = [threads.submit(starts, number) for number in range(SESSIONS)]
            limit = 1
            while not all(call.done() for call in calls):
                with starters(server, limit):
                    assert len(seen(user)) <= 3, f"at most 3 are allowed, and there are {seen(user)}"
                limit = limit % 3 + 1
            for call in calls:
                call.result()
            tally.steps += SESSIONS * ROUNDS[profile]
    assert labels(user) == {}


@pytest.mark.parametrize("number", [1, DEFAULT])
def test_no_start_fails_where_there_are_as_many_workers_as_the_readme_asks_for(
    instrumented: Build, tally: Tally, number: int, profile: str
) -> None:
    """Whoever has a turn may find that the worker of the one before has not quite gone yet."""
    settings = {
        "max_worker_processes": str(OTHERS + number),
        "shared_backup.max_starters": str(number),
        "max_logical_replication_workers": "0",
        "max_parallel_workers": "0",
    }
    with open_cluster(instrumented, settings=settings) as server, ThreadPoolExecutor(SESSIONS) as threads:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")

        def starts(label: str) -> None:
            session = server.connect()
            for _ in range(ROUNDS[profile]):
                session.execute(START, (label, FAST))
                session.execute("SELECT shared_backup_abort(%s)", (label,))
            session.close()

        with tally.example():
            for call in [threads.submit(starts, f"{number}") for number in range(SESSIONS)]:
                call.result()
            tally.steps += SESSIONS * ROUNDS[profile]
        assert labels(session) == {}
        session.close()


def test_the_views_are_for_those_who_monitor(server: Cluster, user: Session) -> None:
    user.execute("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
    user.execute("CREATE ROLE nobody LOGIN")
    server.wait_until(lambda: seen(user) == [("warm", None)], PATIENCE, "the warm worker")
    monitor = server.connect("monitor")
    ((pid, since),) = monitor.execute("SELECT pid, since <= now() FROM shared_backup_starters")
    assert since
    assert os.path.exists(f"/proc/{pid}")
    assert monitor.execute("SELECT * FROM shared_backups") == []
    monitor.close()
    nobody = server.connect("nobody")
    sources = ("shared_backups", "shared_backup_list()", "shared_backup_starters", "shared_backup_starter_list()")
    for query in (f"SELECT * FROM {source}" for source in sources):
        with pytest.raises(SqlError, match="42501"):
            nobody.execute(query)
    nobody.close()
    user.execute("DROP ROLE monitor")
    user.execute("DROP ROLE nobody")


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("warm", [True, False], ids=["warm worker", "worker of its own"])
def test_a_start_that_is_cut_off_before_it_has_noticed_that_it_is_done_comes_to_an_end(
    server: Cluster, user: Session, points: InjectionPoints, warm: bool, end: str
) -> None:
    """It has taken place or left no trace, and it waits for no worker that has gone."""
    calls = [] if warm else submit_held(server, points, ("other",))  # which has the warm one
    points.attach("start-taken", "late")
    session, pending = submit(server, "late", FAST)
    points.arrived("start-taken", "late", pending.done)
    with stopped(session.pid):
        points.detach()
        server.wait_until(lambda: labels(user)["late"] == "active", PATIENCE, "the worker to start the backup")
        server.wait_until(lambda: "late" not in running(user), PATIENCE, "the worker to have done its work")
        os.kill(session.pid, signal.Signals[end])
    with suppress(SqlError):  # it may say that it was cancelled, and have had its full effect
        pending.result(PATIENCE)
    session.close()
    server.wait_until(lambda: labels(user).get("late") != "starting", PATIENCE, "the start to be undone")
    finish(calls)
    server.wait_until(lambda: seen(user) == [("warm", None)], PATIENCE, "nothing to be left but a warm worker")
