"""A backup outlives the session that started it, however that session ends: the causes the thread names, one by one.

Beside each stands the same with core's own functions, where the backup is lost: the problem is real, and the
check can fail.
"""

from collections.abc import Callable, Iterator

import pytest

from harness.clients.client import Client
from harness.clients.implementation import STOCK, UNFENCED, Implementation
from harness.clients.labelfile import parse_label_file
from harness.machine.processes import wait_gone
from harness.server.cluster import Cluster
from harness.server.probes import forced_full_page_writes
from harness.server.session import Pending, Session, SqlError
from properties.recording.tally import Tally

pytestmark = pytest.mark.server
PATIENCE = 30.0

Cause = Callable[[Cluster, Session], object]


def by_idle_session_timeout(cluster: Cluster, session: Session) -> None:
    session.execute("SET idle_session_timeout = '1ms'")


def by_a_clean_close(cluster: Cluster, session: Session) -> None:
    session.close()


def by_a_client_that_vanished(cluster: Cluster, session: Session) -> None:
    session.vanish()


def by_a_client_that_vanished_in_mid_query(cluster: Cluster, session: Session) -> Pending:
    session.execute("SET client_connection_check_interval = '10ms'")
    query = session.submit("SELECT pg_sleep(600)")
    admin = cluster.connect()
    running = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
    cluster.wait_until(lambda: bool(admin.execute(running, (session.pid,))), PATIENCE, "the query to run")
    admin.close()
    session.vanish()
    return query


def by_pg_terminate_backend(cluster: Cluster, session: Session) -> None:
    admin = cluster.connect()
    admin.execute("SELECT pg_terminate_backend(%s)", (session.pid,))
    admin.close()


def by_a_clean_close_after_its_role_was_dropped(cluster: Cluster, session: Session) -> None:
    admin = cluster.connect()
    admin.execute("DROP OWNED BY starter")
    admin.execute("DROP ROLE starter")
    admin.close()
    session.close()


CAUSES: tuple[Cause, ...] = (
    by_idle_session_timeout,
    by_a_clean_close,
    by_a_client_that_vanished,
    by_a_client_that_vanished_in_mid_query,
    by_pg_terminate_backend,
    by_a_clean_close_after_its_role_was_dropped,
)


@pytest.fixture
def admin(cluster: Cluster, client: Client) -> Iterator[Session]:
    """A superuser, beside the role ``starter`` that may take backups."""
    client.afresh()
    session = cluster.connect()
    session.execute("CREATE ROLE starter LOGIN")
    yield session
    if session.execute("SELECT 1 FROM pg_roles WHERE rolname = 'starter'"):
        session.execute("DROP OWNED BY starter")
        session.execute("DROP ROLE starter")
    session.close()


def start_and_lose(cluster: Cluster, admin: Session, implementation: Implementation, cause: Cause) -> str:
    """Starts a backup as ``starter`` and ends that session by the cause; returns the start point."""
    for function in implementation.functions:
        admin.execute(f"GRANT EXECUTE ON FUNCTION {function} TO starter")
    session = cluster.connect("starter")
    label = {"label": "nightly", "fast": True, "ttl": None}
    start_point = str(session.execute(implementation.start, label)[0][0])
    pending = cause(cluster, session)
    assert wait_gone([session.pid], PATIENCE), "the session did not end"
    if isinstance(pending, Pending):
        with pytest.raises(SqlError):
            pending.result(PATIENCE)
    return start_point


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_a_backup_whose_session_ended(
    cluster: Cluster, implementation: Implementation, multi_session: None, admin: Session, cause: Cause, tally: Tally
) -> None:
    """... is stopped from another session, and its label file is right."""
    with tally.example():
        start_point = start_and_lose(cluster, admin, implementation, cause)
        assert forced_full_page_writes(admin), "core gave the backup up when the session ended"
        other = cluster.connect()
        parameters = {"label": "nightly", "wait": False, **UNFENCED}
        lsn, text, _ = other.execute(implementation.stop, parameters)[0][:3]
        other.close()
        tally.steps += 2
    label_file = parse_label_file(text)
    assert (label_file.start_lsn, label_file.label) == (start_point, "nightly")
    assert (label_file.method, label_file.source) == ("streamed", "primary")
    assert not forced_full_page_writes(admin), f"core still forces full-page writes after the stop at {lsn}"


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_a_backup_by_core_is_lost_with_its_session(
    cluster: Cluster, admin: Session, cause: Cause, tally: Tally
) -> None:
    with tally.example():
        start_and_lose(cluster, admin, STOCK, cause)
        other = cluster.connect()
        with pytest.raises(SqlError) as refusal:
            other.execute(STOCK.stop, {"wait": False})
        other.close()
        tally.steps += 2
    assert refusal.value.sqlstate == "55000"
    assert not forced_full_page_writes(admin), "core kept a backup that nobody can stop"
