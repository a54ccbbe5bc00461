"""A table instead of shared memory, on a real server: where it does what the model says of ``catalog``, and where not.

The model's design is a table as one would wish it: any session can stop, nothing is transactional, and a restart keeps
the rows. A table with core's own functions (``catalog.sql``) keeps the rows. For the rest, its rows are transactional,
and core's backup is the session's: each of the differences is a test. What a copy is worth whose backup was kept over a
restart by other means is in ``durable/test_catalogue.py``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.server.cluster import Cluster, open_cluster, open_standby
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Session, SqlError
from model.design import CATALOG
from model.operations import Connect, Disconnect, Operation, Restart, RestartKind, Rollback, Start, Stop
from model.outcomes import Ok, Outcome, StopRow
from model.scope import ROOT
from model.state import Cluster as State
from model.state import initial
from model.transition import DONE, LABEL_IN_USE, run, view
from properties.support.servers import PROBED

pytestmark = pytest.mark.server

SCRIPT = Path(__file__).with_name("catalog.sql")
FIRST, SECOND = 0, 1
"""Sessions of the model."""
START = "SELECT catalog_backup_start('a', true)"
STOP = "SELECT lsn, labelfile, spcmapfile FROM catalog_backup_stop('a', false)"
ROWS = "SELECT label, state FROM catalog_backups"
NOT_IN_PROGRESS = "55000"
READ_ONLY = "25006"
LOCK_NOT_AVAILABLE = "55P03"


@pytest.fixture
def server(request: pytest.FixtureRequest, instrumented: Build) -> Iterator[Cluster]:
    """A server with the table; core's hidden counter can be read, unless a test needs full pages."""
    with open_cluster(instrumented, settings=getattr(request, "param", PROBED)) as server:
        admin = server.connect()
        admin.execute(SCRIPT.read_text())
        prepare_probe(admin)
        admin.close()
        yield server


@pytest.fixture
def session(server: Cluster) -> Iterator[Session]:
    session = server.connect()
    yield session
    session.close()


def predicted(*operations: Operation) -> tuple[State, Outcome]:
    """What the model says comes of these operations by two sessions of a superuser: the state, and the last outcome."""
    state = initial(CATALOG, (ROOT,), 2)
    outcome: Outcome = DONE
    for operation in (Connect(FIRST, ROOT.name), Connect(SECOND, ROOT.name), *operations):
        ((state, outcome),) = run(CATALOG, state, operation)
    return state, outcome


def shown(state: State) -> list[tuple[str, str]]:
    """What the model says that a list of the backups shows."""
    return [(row.label, row.state) for row in view(state)]


def refusal(session: Session, sql: str) -> str:
    """The SQLSTATE with which a statement is refused."""
    with pytest.raises(SqlError) as refused:
        session.execute(sql)
    return refused.value.sqlstate


def test_within_one_session_it_does_what_the_model_says(server: Cluster, session: Session) -> None:
    """... and remembers its result, so that a stop can be repeated."""
    state, _ = predicted(Start(FIRST, "a"))
    session.execute(START)
    assert session.execute(ROWS) == shown(state) == [("a", "active")]
    assert forced_full_page_writes(session)
    state, outcome = predicted(Start(FIRST, "a"), Stop(FIRST, "a"), Stop(SECOND, "a"))
    first = session.execute(STOP)
    other = server.connect()
    assert other.execute(STOP) == first
    other.close()
    assert isinstance(outcome, Ok)
    assert isinstance(outcome.value, StopRow)
    assert outcome.value.repeated
    assert session.execute(ROWS) == shown(state) == [("a", "stopped")]
    assert not forced_full_page_writes(session)


@pytest.mark.parametrize("kind", RestartKind)
def test_a_restart_keeps_the_row_and_core_counts_nothing(server: Cluster, session: Session, kind: RestartKind) -> None:
    """As the model says: a backup is listed that nobody protects, and that keeps its label from being used."""
    state, _ = predicted(Start(FIRST, "a"), Restart(kind))
    session.execute(START)
    server.restart(kind.value)
    again = server.connect()
    assert again.execute(ROWS) == shown(state) == [("a", "active")]
    assert state.running_backups == 0
    assert not forced_full_page_writes(again)
    _, outcome = predicted(Start(FIRST, "a"), Restart(kind), Connect(FIRST, ROOT.name), Start(FIRST, "a"))
    assert outcome == LABEL_IN_USE
    assert refusal(again, START) == LABEL_IN_USE.sqlstate
    again.close()


def test_after_a_restart_it_cannot_be_stopped(server: Cluster, session: Session) -> None:
    """Otherwise than in the model, where the stop hands out what cannot be restored: core knows nothing to stop."""
    _, outcome = predicted(Start(FIRST, "a"), Restart(RestartKind.FAST), Connect(FIRST, ROOT.name), Stop(FIRST, "a"))
    assert isinstance(outcome, Ok)
    assert isinstance(outcome.value, StopRow)
    assert not outcome.value.restorable
    session.execute(START)
    server.restart("fast")
    again = server.connect()
    assert refusal(again, STOP) == NOT_IN_PROGRESS
    assert again.execute(ROWS) == [("a", "active")]
    again.close()


def test_a_rollback_undoes_the_row_and_not_the_backup(session: Session) -> None:
    """Otherwise than in the model: core goes on, nobody is told for whom, and only its own function ends it."""
    state, _ = predicted(Rollback(Start(FIRST, "a")))
    assert shown(state) == [("a", "active")]
    session.execute("BEGIN")
    session.execute(START)
    session.execute("ROLLBACK")
    assert session.execute(ROWS) == []
    assert state.running_backups == 1
    assert forced_full_page_writes(session)
    assert refusal(session, STOP) == "42704"
    assert refusal(session, START) == NOT_IN_PROGRESS, "core has no second one for a session"
    session.execute("SELECT pg_backup_stop(false)")
    assert not forced_full_page_writes(session)


def test_a_rolled_back_stop_loses_the_label_file(session: Session) -> None:
    """Core has ended the backup, and the row says that it runs; the model knows no such stop."""
    session.execute(START)
    session.execute("BEGIN")
    session.execute(STOP)
    session.execute("ROLLBACK")
    assert session.execute(ROWS) == [("a", "active")]
    assert not forced_full_page_writes(session)
    assert refusal(session, STOP) == NOT_IN_PROGRESS


def test_an_uncommitted_start_is_seen_by_nobody_and_holds_up_the_next(server: Cluster, session: Session) -> None:
    """Otherwise than in the model: others see no backup, and one who wants its label waits instead of being refused."""
    state, outcome = predicted(Start(FIRST, "a"), Start(SECOND, "a"))
    assert shown(state) == [("a", "active")]
    assert outcome == LABEL_IN_USE
    other = server.connect()
    session.execute("BEGIN")
    session.execute(START)
    assert other.execute(ROWS) == []
    assert forced_full_page_writes(other)
    other.execute("SET lock_timeout = '100ms'")
    assert refusal(other, START) == LOCK_NOT_AVAILABLE
    session.execute("COMMIT")
    assert refusal(other, START) == LABEL_IN_USE.sqlstate
    other.close()


def test_no_other_session_can_stop_it(server: Cluster, session: Session) -> None:
    """Otherwise than in the model: that is core's, and the table does not change it."""
    _, outcome = predicted(Start(FIRST, "a"), Stop(SECOND, "a"))
    assert isinstance(outcome, Ok)
    session.execute(START)
    other = server.connect()
    assert refusal(other, STOP) == NOT_IN_PROGRESS
    other.close()
    assert session.execute(STOP)


def test_the_end_of_the_session_ends_the_backup_and_not_the_row(server: Cluster) -> None:
    """Otherwise than in the model, where it goes on without its session: the row says that it does."""
    state, _ = predicted(Start(FIRST, "a"), Disconnect(FIRST))
    assert state.running_backups == 1
    starter, other = server.connect(), server.connect()
    starter.execute(START)
    starter.close()
    server.wait_until(lambda: not forced_full_page_writes(other), 30.0, "core to release the backup")
    assert other.execute(ROWS) == shown(state) == [("a", "active")]
    assert refusal(other, STOP) == NOT_IN_PROGRESS
    other.close()


@pytest.mark.parametrize("server", [{}], ids=["primary"], indirect=True)
def test_on_a_standby_no_backup_can_be_started(server: Cluster, session: Session) -> None:
    """A standby writes no rows; it shows those of its primary, whose backups they are."""
    session.execute(START)
    with open_standby(server) as standby:
        there = standby.connect()
        standby.wait_until(lambda: there.execute(ROWS) == [("a", "active")], 30.0, "the primary's row")
        assert refusal(there, "SELECT catalog_backup_start('b', true)") == READ_ONLY
        assert refusal(there, STOP) == READ_ONLY
        assert there.execute("SELECT pg_backup_start('core', true) IS NOT NULL") == [(True,)], "core alone could"
        there.execute("SELECT pg_backup_stop(false)")
        there.close()
