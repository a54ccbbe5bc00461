"""What is remembered of backups that have ended is bounded, in number and bytes; what ended first is forgotten."""

from collections.abc import Iterator

import psycopg
import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, SHARED
from harness.machine.processes import stopped
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session, SqlError
from harness.server.shared_memory import dynamic_shared_memory
from harness.server.tablespaces import add_tablespace
from model.operations import Hazard
from properties.support.servers import server_settings

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("result_limits", "durable_backups", "instruments")]
PATIENCE = 30.0

LABEL = "x" * 1000
MANY = 3000
"""Backups with long labels: without a limit their results need more than 3 MB."""
LIMIT = 512
"""KiB that they may need."""
SLACK = 2 << 20
"""Bytes of shared memory beyond the limit: memory comes in segments of a megabyte and more."""
TABLESPACES, FOLDERS = 20, ("x" * 200,) * 4
MAP = TABLESPACES * 800
"""Bytes of a tablespace map, at least."""
WITH_MAPS = 500
"""Backups with such maps: their results need more than 8 MB."""
AT_ONCE, ROUNDS = 10, 30
"""Backups that expire together, and how often."""
START = "SELECT shared_backup_start(%s, true, '1 h')"
STOP = "SELECT lsn, labelfile FROM shared_backup_stop(%s, false)"
FORGOTTEN = 'shared backup "{}" has ended and was forgotten early'


@pytest.fixture(params=[SHARED, DURABLE], ids=["shared", "durable"])
def server(request: pytest.FixtureRequest, instrumented: Build) -> Iterator[Cluster]:
    with open_cluster(instrumented, settings=server_settings(request.param)) as server:
        yield server


@pytest.fixture
def user(server: Cluster) -> Iterator[Session]:
    session = server.connect()
    session.execute("CREATE EXTENSION shared_backup")
    session.execute("CREATE EXTENSION shared_backup_instruments")
    yield session
    session.close()


def configure(server: Cluster, session: Session, **settings: str | None) -> None:
    """Changes settings, and waits until the reaper has them."""
    loaded = "SELECT settings_loaded FROM shared_backup_reaper()"
    before = session.execute(loaded)
    server.configure({f"shared_backup.{name}": value for name, value in settings.items()})
    server.reload(sessions=[session])
    server.wait_until(lambda: session.execute(loaded) != before, PATIENCE, "the reaper to load its settings")


def stop(session: Session, label: str) -> None:
    session.execute(START, (label,))
    assert session.execute(STOP, (label,))[0][1], "no label file"


def labels(session: Session) -> list[str]:
    return [row[0] for row in session.execute("SELECT label FROM shared_backups ORDER BY label")]


def state_files(server: Cluster) -> int:
    return len([*(server.data_dir / "pg_shared_backup").glob("*.backup")])


def test_what_ended_first_is_forgotten_and_that_is_said(server: Cluster, user: Session) -> None:
    configure(server, user, max_results="2")
    position = server.log_position()
    for label in ("c", "a", "b"):
        user.execute(START, (label,))
    for label in ("b", "c", "a"):
        user.execute(STOP, (label,))
    assert labels(user) == ["a", "c"]
    said = server.log_since(position)
    assert f"LOG:  {FORGOTTEN.format('b')}" in said, "it is for the log, and nobody's message"
    assert '"shared_backup.max_results"' in said
    assert said.count("was forgotten early") == 1
    with pytest.raises(SqlError) as refusal:
        user.execute(STOP, ("b",))
    assert refusal.value.sqlstate == "42704"
    hint, survive = refusal.value.hint or "", (server.data_dir / "pg_shared_backup").exists()
    assert '"shared_backup.max_results"' in hint
    assert ("do not survive a restart" in hint) is not survive
    if survive:
        assert state_files(server) == 2


def test_a_result_that_is_forgotten_early_is_named_as_it_was(server: Cluster, user: Session) -> None:
    """... and not with the end of a longer label that was forgotten before it."""
    configure(server, user, max_results="1")
    position, names = server.log_position(), [LABEL, "a", "ab" * 300, "b"]
    for label in (*names, "last"):
        stop(user, label)
    said = server.log_since(position)
    assert [said.count(FORGOTTEN.format(label)) for label in names] == [1] * len(names)


def test_a_lowered_limit_holds_from_the_reload_on(server: Cluster, user: Session) -> None:
    for label in ("a", "b", "c", "d"):
        stop(user, label)
    user.execute(START, ("open",))
    configure(server, user, max_results="1")
    assert labels(user) == ["d", "open"]
    configure(server, user, max_results="-1")
    stop(user, "e")
    assert labels(user) == ["d", "e", "open"]


@pytest.mark.parametrize("limit", ["max_results", "max_results_size"])
def test_nothing_is_remembered_if_nothing_may_be_but_a_stop_has_its_answer(
    server: Cluster, user: Session, limit: str
) -> None:
    configure(server, user, **{limit: "0"})
    for _ in range(3):
        stop(user, "a")
        assert labels(user) == []
    user.execute("SELECT shared_backup_clock_freeze()")
    user.execute(START, ("b",))
    user.execute("SELECT shared_backup_clock_advance('2 h')")
    assert labels(user) == []
    if (server.data_dir / "pg_shared_backup").exists():
        assert state_files(server) == 0


def test_what_was_not_to_be_remembered_is_not_forgotten_early(server: Cluster, user: Session) -> None:
    configure(server, user, max_results="0", result_retention="0")
    position = server.log_position()
    stop(user, "a")
    with pytest.raises(SqlError) as refusal:
        user.execute(STOP, ("a",))
    assert refusal.value.sqlstate == "42704"
    assert "max_results" not in (refusal.value.hint or "")
    assert "was forgotten early" not in server.log_since(position)


def test_a_repeated_stop_says_up_to_when_the_copy_is_covered(server: Cluster, user: Session) -> None:
    """Not when core was done with it, nor what the time is."""
    stop(user, "a")
    ((stop_time,),) = user.execute("SELECT stop_time::text FROM shared_backups")
    told: list[str | None] = []
    with psycopg.connect(**server.parameters(), autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
        connection.execute(STOP, ("a",))
    assert told == [f'shared backup "a" had already been stopped at {stop_time}']


def test_a_copy_is_covered_up_to_the_time_before_core_was_told_to_end_the_backup(
    server: Cluster, user: Session
) -> None:
    """However long core takes for that: what is copied meanwhile may be torn."""
    points, stopper = InjectionPoints(user), server.connect()
    ((now,),) = user.execute("SELECT shared_backup_clock_freeze()")
    user.execute(START, ("a",))
    points.attach("stop-core-ended", "a")
    pending = stopper.submit("SELECT stop_time FROM shared_backup_stop('a', false)")
    points.arrived("stop-core-ended", "a", pending.done)
    user.execute("SELECT shared_backup_clock_advance('1 min')")
    points.detach()
    assert pending.result(PATIENCE) == [(now,)]
    stopper.close()


def test_a_stop_needs_no_reaper_to_keep_the_limit(server: Cluster, user: Session) -> None:
    configure(server, user, max_results="1")
    (pid,) = user.execute("SELECT pid FROM shared_backup_reaper()")[0]
    with stopped(pid):
        for label in ("a", "b"):
            stop(user, label)
        assert labels(user) == ["b"]


def test_a_result_that_is_replaced_before_it_is_forgotten_early_takes_nothing_with_it(
    server: Cluster, user: Session
) -> None:
    """Whoever was about to forget it does not take the backup for it that has its label now."""
    points, other = InjectionPoints(user), server.connect()
    configure(server, user, max_results="1")
    stop(user, "a")
    user.execute(START, ("b",))
    points.attach("result-doomed", "a")
    pending = other.submit(STOP, ("b",))
    points.arrived("result-doomed", "a", pending.done)
    user.execute(START, ("a",))
    points.detach()
    pending.result(PATIENCE)
    assert user.execute("SELECT label, state FROM shared_backups ORDER BY 1") == [("a", "active"), ("b", "stopped")]
    user.execute(STOP, ("a",))
    other.close()


def test_a_result_that_was_to_be_replaced_comes_back_within_the_limit(server: Cluster, user: Session) -> None:
    points = InjectionPoints(user)
    configure(server, user, max_results="1")
    stop(user, "a")
    points.attach("start-reserved", "a")
    session = server.connect()
    pending = session.submit(START, ("a",))
    points.arrived("start-reserved", "a")
    stop(user, "b")
    assert labels(user) == ["a", "b"], "a is starting"
    pending.cancel()
    with pytest.raises(SqlError, match="57014"):
        pending.result(PATIENCE)
    assert labels(user) == ["b"]
    points.detach()
    session.close()


def test_a_result_that_comes_back_is_forgotten_in_time(server: Cluster, user: Session) -> None:
    """The reaper did not know of it when it looked for what it has to do next."""
    points = InjectionPoints(user)
    stop(user, "a")
    points.attach("start-reserved", "a")
    session = server.connect()
    user.execute("SELECT shared_backup_clock_advance('9 min 55 s')")
    pending = session.submit(START, ("a",))
    points.arrived("start-reserved", "a")
    user.execute("SELECT shared_backup_reaper_settle()")
    pending.cancel()
    with pytest.raises(SqlError, match="57014"):
        pending.result(PATIENCE)
    points.detach()
    rounds = "SELECT rounds FROM shared_backup_reaper()"
    ((before,),) = user.execute(rounds)
    server.wait_until(lambda: user.execute(rounds) != [(before,)], PATIENCE, "the reaper to look for what is due")
    server.wait_until(lambda: labels(user) == [], PATIENCE, "the result to be forgotten")
    session.close()


def test_what_a_restart_lost_ended_when_the_server_started(instrumented: Build) -> None:
    """... and what was stopped before is forgotten first."""
    with open_cluster(instrumented, settings=server_settings(DURABLE)) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.execute(START, ("open",))
        stop(session, "stopped")
        session.close()
        server.configure({"shared_backup.max_results": "1"})
        session = durable.restart(server, "fast", Hazard.PAGE_WRITES_OFF)
        assert session.execute("SELECT label, state FROM shared_backups") == [("open", "lost")]
        session.close()


def test_what_was_stopped_at_the_same_moment_is_forgotten_in_that_order(server: Cluster, user: Session) -> None:
    user.execute("SELECT shared_backup_clock_freeze()")
    for label in "cadeb":
        user.execute(START, (label,))
    for label in "bdcea":
        user.execute(STOP, (label,))
    configure(server, user, max_results="1")
    assert labels(user) == ["a"]


def test_what_expires_at_the_same_moment_is_forgotten_in_the_order_of_the_starts(
    server: Cluster, user: Session
) -> None:
    """In whatever order the reaper has found them."""
    order, limit = "kcfadlhebigj", 5
    configure(server, user, result_retention="1d")
    user.execute("SELECT shared_backup_clock_freeze()")
    for label in order:
        user.execute(START, (label,))
    user.execute("SELECT shared_backup_clock_advance('2 h')")
    configure(server, user, max_results=str(limit))
    assert labels(user) == sorted(order[-limit:])


def test_what_is_beyond_the_limit_is_gone_at_once_for_everybody(server: Cluster, user: Session) -> None:
    """The reaper, held when a backup has just expired, has yet to remove what that is too much for."""
    points, timekeeper = InjectionPoints(user), server.connect()
    configure(server, user, max_results="1", result_retention="1d")
    stop(user, "a")
    user.execute(START, ("b",))
    points.attach("reaper-expired")
    moved = timekeeper.submit("SELECT shared_backup_clock_advance('2 h')")
    assert points.arrived("reaper-expired")
    assert labels(user) == ["b"]
    with pytest.raises(SqlError, match="42704"):
        user.execute(STOP, ("a",))
    points.detach()
    moved.result(PATIENCE)
    timekeeper.close()


def test_expired_backups_are_forgotten_in_the_order_of_their_deadlines(server: Cluster, user: Session) -> None:
    user.execute("SELECT shared_backup_clock_freeze()")
    configure(server, user, max_results="3")
    deadlines = {"a": 30, "b": 10, "c": 50, "d": 20, "e": 40, "f": 10}
    for label, ttl in deadlines.items():
        user.execute("SELECT shared_backup_start(%s, true, %s::interval)", (label, f"{ttl} s"))
    user.execute("SELECT shared_backup_clock_advance('1 min')")
    assert labels(user) == ["a", "c", "e"]


def test_results_take_no_more_memory_than_they_may(server: Cluster, user: Session) -> None:
    """... nor do those that expire: nobody will ask for their files."""
    configure(server, user, max_results="-1", max_results_size=f"{LIMIT}kB")
    before, position = dynamic_shared_memory(server), server.log_position()
    for number in range(MANY):
        stop(user, f"{number} {LABEL}")
    held = dynamic_shared_memory(server) - before
    assert held <= LIMIT * 1024 + SLACK, f"{held} bytes of shared memory are held by results"
    remembered = labels(user)
    assert 0 < len(remembered) < LIMIT, "each has more than 1,000 bytes"
    assert f"{MANY - 1} {LABEL}" in remembered
    assert '"shared_backup.max_results_size"' in server.log_since(position)


def test_what_has_been_replaced_takes_no_room(server: Cluster, user: Session) -> None:
    configure(server, user, max_results_size="16kB")
    stop(user, "a")
    for _ in range(50):  # of more than 300 bytes each
        stop(user, "b")
    assert labels(user) == ["a", "b"]


def test_unless_it_is_limited_it_takes_that_memory(server: Cluster, user: Session) -> None:
    """What the limit is measured by can be seen."""
    make_tablespaces(server, user)
    configure(server, user, max_results="-1", max_results_size="-1")
    before = dynamic_shared_memory(server)
    for number in range(WITH_MAPS):
        stop(user, f"{number} {LABEL}")
    assert dynamic_shared_memory(server) - before > WITH_MAPS * MAP
    assert len(labels(user)) == WITH_MAPS


def test_what_expires_keeps_no_files(server: Cluster, user: Session) -> None:
    """Nobody will ask for them; and tablespaces with long names make them large."""
    make_tablespaces(server, user)
    configure(server, user, max_results="-1", max_results_size="-1")
    user.execute("SELECT shared_backup_clock_freeze()")
    expire(user, 0)
    before = dynamic_shared_memory(server)
    for number in range(1, ROUNDS):
        expire(user, number)
    held = dynamic_shared_memory(server) - before
    assert len(labels(user)) == ROUNDS * AT_ONCE
    assert held < ROUNDS * AT_ONCE * MAP // 2, f"{held} bytes of shared memory are held by what has expired"


def make_tablespaces(server: Cluster, session: Session) -> None:
    for number in range(TABLESPACES):
        add_tablespace(server, session, f"t{number}", FOLDERS)


def expire(session: Session, round_number: int) -> None:
    for number in range(AT_ONCE):
        session.execute("SELECT shared_backup_start(%s, true, '1 s')", (f"{round_number} {number}",))
    session.execute("SELECT shared_backup_clock_advance('1 s')")


@pytest.mark.parametrize("size", ["1GB", "2GB", "3GB", "4GB", "2147483647kB"])
def test_what_fits_into_a_limit_is_kept_however_large_that_is(server: Cluster, user: Session, size: str) -> None:
    configure(server, user, max_results_size=size)
    kept = [f"{number}" for number in range(4)]
    for label in kept:
        stop(user, label)
    assert labels(user) == kept
