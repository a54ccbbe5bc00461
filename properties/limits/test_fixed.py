"""With fixed storage there is room for what the limits allow, and no more; a start that lacks some says so."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, SHARED, Implementation
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Session, SqlError
from harness.server.shared_memory import dynamic_shared_memory, main_shared_memory
from harness.server.tablespaces import add_tablespace
from properties.recording.tally import Tally
from properties.support.servers import server_settings

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "result_limits", "durable_backups")]
PATIENCE = 30.0

NO_MEMORY = "53000"
LIMIT_REACHED = "53400"
REGISTRY = "shared_backup registry"
ROOM = {"shared": 1000, "durable": 300}
"""Backups, and as many results: more than what processes may have under way, for which there is room beside."""
LENGTHS = (1, 40, 300, 1024)
"""Of labels, in bytes."""
ROUNDS = 500
AGAIN = 100
"""So often a start that fails is tried again: if it kept something, another thing would be lacking before long."""
FEW = 50
TABLESPACES, FOLDERS = 60, ("x" * 200,) * 4
START = "SELECT shared_backup_start(%s, true)"
STOP = "SELECT lsn FROM shared_backup_stop(%s, false)"
ABORT = "SELECT shared_backup_abort(%s)"


def fixed(implementation: Implementation, backups: int, results: int) -> Implementation:
    """The same, with memory for so many."""
    settings = {
        "shared_backup.storage": "fixed",
        "shared_backup.max_backups": str(backups),
        "shared_backup.max_results": str(results),
        "shared_backup.max_results_size": "-1",
    }
    return replace(implementation, server_settings={**implementation.server_settings, **settings})


@pytest.fixture
def server(request: pytest.FixtureRequest, instrumented: Build) -> Iterator[Cluster]:
    """A server with room for as many backups and results as the test says."""
    implementation, backups, results = getattr(request, "param", (SHARED, 3, 2))
    with open_cluster(instrumented, settings=server_settings(fixed(implementation, backups, results))) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.execute("CREATE EXTENSION shared_backup_instruments")
        prepare_probe(session)
        session.close()
        yield server


@pytest.fixture
def user(server: Cluster) -> Iterator[Session]:
    session = server.connect()
    yield session
    session.close()


def sqlstate(session: Session, sql: str, label: str) -> str:
    """What comes of a statement about a label."""
    try:
        session.execute(sql, (label,))
    except SqlError as error:
        return error.sqlstate
    return "ok"


def long_label(number: int, length: int) -> str:
    """A label of that length, or a bit longer if the number is, and no other's."""
    return str(number).ljust(length, "x")


def configure(server: Cluster, session: Session, **settings: str) -> str:
    """Changes settings, waits until the reaper has them, and returns what the server has logged."""
    position, loaded = server.log_position(), "SELECT settings_loaded FROM shared_backup_reaper()"
    before = session.execute(loaded)
    server.configure({f"shared_backup.{name}": value for name, value in settings.items()})
    server.reload(sessions=[session])
    server.wait_until(lambda: session.execute(loaded) != before, PATIENCE, "the reaper to load its settings")
    return server.log_since(position)


def states(session: Session) -> dict[str, int]:
    """How many there are of each state."""
    return dict(session.execute("SELECT state, count(*)::int FROM shared_backups GROUP BY 1"))


def started(session: Session, label: str = "") -> int:
    """How many backups can be started, up to the first refusal, which is that of the limit."""
    number = 0
    while (came := sqlstate(session, START, f"{label}{number}")) == "ok":
        number += 1
    assert came == LIMIT_REACHED
    return number


@pytest.mark.parametrize(
    "server",
    [pytest.param((one, ROOM[one.name], ROOM[one.name]), id=one.name) for one in (SHARED, DURABLE)],
    indirect=True,
)
def test_what_the_limits_allow_there_is_room_for(server: Cluster, user: Session, tally: Tally) -> None:
    """... in whatever order backups come and go, and whatever the lengths of their labels."""
    room, chance = int(server.settings["shared_backup.max_backups"]), Random(0)
    segments, live, number = dynamic_shared_memory(server), list[str](), 0
    with tally.example():
        for _ in range(2):  # first for the results
            for label in live:
                assert sqlstate(user, STOP, label) == "ok"
            live = [long_label(number + one, 1024) for one in range(room)]
            number += room
            for label in live:
                assert sqlstate(user, START, label) == "ok", f"of {room} backups only {len(states(user))} have room"
        assert states(user) == {"active": room, "stopped": room}
        assert sqlstate(user, START, long_label(number, 1024)) == LIMIT_REACHED
        for one in range(number, number + ROUNDS):
            tally.steps += 1
            ended = live.pop(chance.randrange(len(live)))
            assert sqlstate(user, chance.choice([STOP, ABORT]), ended) == "ok"
            live.append(long_label(one, chance.choice(LENGTHS)))
            assert sqlstate(user, START, live[-1]) == "ok", "there is less room than there was"
        assert states(user) == {"active": room, "stopped": room}
        assert sqlstate(user, START, "one too many") == LIMIT_REACHED
        assert dynamic_shared_memory(server) == segments, "it has taken dynamic shared memory"


def test_what_one_backup_leaves_free_is_enough_for_any_other(server: Cluster, user: Session) -> None:
    """... because short labels and files take as much memory as longer ones, and memory does not go to pieces."""
    sizes = set()
    for label in ("a", "b" * 1024):
        user.execute(START, (label,))
        user.execute(STOP, (label,))
        (((results, size),)) = user.execute("SELECT results, results_size FROM shared_backup_counts()")
        sizes.add(size // results)
    assert len(sizes) == 1


@pytest.fixture
def large_maps(server: Cluster, user: Session) -> None:
    """Backups have tablespace maps of many pages."""
    for number in range(TABLESPACES):
        add_tablespace(server, user, f"t{number}", FOLDERS)


@pytest.mark.parametrize(
    "server", [pytest.param((one, FEW, FEW), id=one.name) for one in (SHARED, DURABLE)], indirect=True
)
@pytest.mark.usefixtures("large_maps")
def test_a_start_without_room_for_a_large_tablespace_map_leaves_no_trace(
    server: Cluster, user: Session, tally: Tally
) -> None:
    """... and says so; others are stopped, aborted and renewed, and their memory is there for the next."""
    with tally.example():
        number = 0
        while (came := sqlstate(user, START, f"{number}")) == "ok":
            number += 1
        assert came == NO_MEMORY, f"{number} backups had room: {came}"
        assert 0 < number < FEW
        with pytest.raises(SqlError) as refused:
            user.execute(START, ("one too many",))
        assert "preallocated" in refused.value.message
        assert "shared_backup.max_backups" in (refused.value.hint or "")
        for _ in range(AGAIN):
            assert sqlstate(user, START, "one too many") == NO_MEMORY, "there is less room than there was, or more"
            tally.steps += 1
        assert states(user) == {"active": number}
        assert user.execute("SELECT live FROM shared_backup_reaper()") == [(number,)]
        user.execute("SELECT shared_backup_renew('0', '1 h')")
        user.execute(ABORT, ("0",))
        assert sqlstate(user, START, "one too many") == "ok", "what was aborted still takes its memory"
        for label in ("one too many", *map(str, range(1, number))):
            user.execute(ABORT, (label,))
        assert states(user) == {}
        assert not forced_full_page_writes(user), "core counts a backup that has failed to start"


@pytest.mark.parametrize("server", [(SHARED, FEW, FEW)], indirect=True)
@pytest.mark.usefixtures("large_maps")
def test_large_results_leave_live_backups_their_room(server: Cluster, user: Session) -> None:
    """However long the results are: the oldest of them are forgotten, and their memory is there for others."""
    position = server.log_position()
    for number in range(4 * FEW):
        assert sqlstate(user, START, f"{number}") == "ok", f"{states(user)} leave no room for another"
        user.execute(STOP, (f"{number}",))
    kept = states(user)["stopped"]
    assert 0 < kept < FEW
    assert user.execute("SELECT count(*)::int FROM shared_backups WHERE label::int >= %s", (4 * FEW - kept,)) == [
        (kept,)
    ]
    assert server.log_since(position).count("was forgotten early") == 4 * FEW - kept


@pytest.mark.parametrize("server", [(SHARED, ROOM["shared"], ROOM["shared"])], indirect=True)
@pytest.mark.usefixtures("large_maps")
def test_large_results_take_nothing_of_what_is_for_live_backups(server: Cluster, user: Session) -> None:
    for number in range(FEW * 3):
        user.execute(START, (f"{number}",))
        user.execute(STOP, (f"{number}",))
    assert states(user)["stopped"] < FEW * 3, "there is still room for more results"
    for number in range(TABLESPACES):
        user.execute(f"DROP TABLESPACE t{number}")
    assert started(user, "live ") == ROOM["shared"]


def test_a_limit_above_what_there_is_room_for_applies_from_the_next_start_on(server: Cluster, user: Session) -> None:
    """... and the server's log says so, as does the refusal."""
    said = configure(server, user, max_backups="5")
    assert '"shared_backup.max_backups" = 5 will apply only when the server is restarted' in said
    assert started(user) == 3
    with pytest.raises(SqlError) as refused:
        user.execute(START, ("one too many",))
    assert "preallocated" in str(refused.value.detail)
    assert "restart" in str(refused.value.hint)
    server.restart()
    again = server.connect()
    assert states(again) == {}
    assert started(again) == 5
    again.close()


def test_a_limit_may_be_lowered_and_raised_again(server: Cluster, user: Session) -> None:
    """... without a word, up to what there is room for."""
    assert "WARNING" not in configure(server, user, max_backups="1", max_results="1")
    assert started(user) == 1
    assert "WARNING" not in configure(server, user, max_backups="3", max_results="2")
    assert started(user, "more ") == 2
    for label in ("0", "more 0", "more 1"):
        user.execute(STOP, (label,))
    assert states(user) == {"stopped": 2}


def test_results_are_no_more_than_there_is_room_for(server: Cluster, user: Session) -> None:
    said = configure(server, user, max_results="100")
    assert '"shared_backup.max_results" = 100 will apply only when the server is restarted' in said
    user.execute("SELECT shared_backup_clock_freeze()")
    for number in range(3):  # they have no files, so that it is not their size that matters
        for label in ("a", "b", "c"):
            user.execute("SELECT shared_backup_start(%s, true, '1 s')", (f"{label}{number}",))
        user.execute("SELECT shared_backup_clock_advance('1 s')")
    assert states(user) == {"expired": 2}


@pytest.mark.parametrize("name", ["max_backups", "max_results"])
def test_a_running_server_refuses_to_have_no_limit(server: Cluster, user: Session, name: str) -> None:
    """With ALTER SYSTEM at once, or else the next start would fail; and a reload goes on with the limit that it has."""
    with pytest.raises(SqlError) as refused:
        user.execute(f"ALTER SYSTEM SET shared_backup.{name} = -1")
    assert refused.value.sqlstate == "22023"
    assert "shared_backup.storage" in str(refused.value.detail)
    assert refused.value.hint
    position, before = server.log_position(), user.execute(f"SHOW shared_backup.{name}")
    server.configure({f"shared_backup.{name}": "-1"})
    server.reload(sessions=[user])
    assert f'invalid value for parameter "shared_backup.{name}": -1' in server.log_since(position)
    assert user.execute(f"SHOW shared_backup.{name}") == before


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("max_backups", "-1", "must be set"),
        ("max_results", "-1", "must be set"),
        ("max_backups", "1000001", "must not be greater than 1000000"),
        ("max_results", "2147483647", "must not be greater than 1000000"),
    ],
)
def test_what_no_memory_can_be_preallocated_for_refuses_the_server_start(
    server: Cluster, name: str, value: str, says: str
) -> None:
    """In one sentence, with what to do; corrected, it starts."""
    before = server.settings[f"shared_backup.{name}"]
    server.configure({f"shared_backup.{name}": value})
    server.stop()
    position = server.log_position()
    with pytest.raises(Exception, match="did not start"):
        server.start()
    said = server.log_since(position)
    assert said.count("FATAL:") == 1
    assert f'FATAL:  "shared_backup.{name}" {says}' in said
    assert "DETAIL:" in said
    assert f'HINT:  {"Set" if value == "-1" else "Lower"} "shared_backup.{name}"' in said
    server.configure({f"shared_backup.{name}": before})
    server.start()


def test_all_that_is_preallocated_has_one_name(server: Cluster) -> None:
    """... under which its size can be read, which is what the settings ask for, before any backup is started."""
    sizes = []
    for backups in ("3", "1003"):
        server.configure({"shared_backup.max_backups": backups})
        server.restart()
        session = server.connect()
        sizes.append(main_shared_memory(session, REGISTRY))
        ours = session.execute("SELECT count(*)::int FROM pg_shmem_allocations WHERE name LIKE %s", (f"%{REGISTRY}%",))
        session.close()
        assert ours == [(1,)]
    assert 1000 * (1024 + 1024) < sizes[1] - sizes[0] < 1000 * 8192


def test_the_room_stays_what_it_was_over_a_crash_of_a_process(server: Cluster, user: Session) -> None:
    """The server allocates anew then, and not what settings ask for that were changed meanwhile."""
    size = main_shared_memory(user, REGISTRY)
    configure(server, user, max_backups="1000")
    victim = server.connect()
    os.kill(victim.pid, signal.SIGKILL)
    victim.close()
    server.wait_until(lambda: not user.answers(), PATIENCE, "the server to end its sessions")
    again = server.await_session()
    assert main_shared_memory(again, REGISTRY) == size
    assert started(again) == 3
    again.close()


@pytest.mark.parametrize("server", [(DURABLE, ROOM["durable"], ROOM["durable"])], indirect=True)
def test_backups_that_survive_a_restart_have_room_whatever_the_limits_are_then(server: Cluster, user: Session) -> None:
    """As with dynamic storage, what is beyond the limit goes on, and no other can be started."""
    for number in range(ROOM["durable"]):
        user.execute(START, (long_label(number, 1024),))
    server.configure({"shared_backup.max_backups": "0", "shared_backup.max_results": "0"})
    again = durable.restart(server, "fast")
    assert states(again) == {"active": ROOM["durable"]}
    assert sqlstate(again, START, "new") == LIMIT_REACHED
    for number in range(ROOM["durable"]):
        again.execute(STOP, (long_label(number, 1024),))
    assert states(again) == {}
    again.close()
