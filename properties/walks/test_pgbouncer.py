"""Through a pooler in transaction mode, where a client has another session for each transaction, all works as before.

Core's own functions do not: their backup belongs to the session that the start happened to have.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.clients.labelfile import parse_label_file
from harness.server.cluster import Cluster
from harness.server.injection_points import InjectionPoints
from harness.server.pooler import Pool, find_pooler, open_pool
from harness.server.probes import forced_full_page_writes
from harness.server.session import Session, SqlError
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "tokens", "instruments")]

PATIENCE = 30.0
PID = "SELECT pg_backend_pid()"
START = "SELECT pg_backend_pid(), token FROM shared_backup_start('pooled', true)"
STOP = "SELECT pg_backend_pid(), labelfile, repeated FROM shared_backup_stop('pooled', false)"
STATES = "SELECT pg_backend_pid(), state FROM shared_backups"
CORE_START = "SELECT pg_backend_pid(), pg_backup_start('pooled', true)"
CORE_STOP = "SELECT * FROM pg_backup_stop(false)"


@pytest.fixture
def program() -> str:
    found = find_pooler()
    if found is None:
        pytest.skip("there is no PgBouncer here (Debian and Ubuntu: pgbouncer)")
    return found


@pytest.fixture
def clients(program: str, cluster: Cluster, clean_session: Session) -> Iterator["Clients"]:
    """Clients of a pool of two sessions."""
    with open_pool(program, cluster, 2) as pool, ExitStack() as stack:
        yield Clients(pool, stack)


class Clients:
    """They come and go, and two of them can keep the pool's sessions to themselves."""

    def __init__(self, pool: Pool, stack: ExitStack) -> None:
        self.pool = pool
        self.stack = stack

    def new(self) -> Session:
        """One more."""
        session = self.pool.connect()
        self.stack.callback(session.close)
        return session

    def keeping(self) -> tuple[Session, int]:
        """One that keeps the session that it has got, until it commits; and the number of that session's process."""
        client = self.new()
        client.execute("BEGIN")
        return client, client.execute(PID)[0][0]

    def at_another(self, start: str) -> tuple[int, Session]:
        """Has somebody start a backup who then leaves; returns its session's process, and a client of the other one."""
        first, free = self.keeping()
        starter = self.pool.connect()
        used = starter.execute(start)[0][0]
        starter.close()
        _, kept = self.keeping()
        assert (kept, used == free) == (used, False)
        first.execute("COMMIT")
        return used, first


def test_a_backup_is_stopped_at_another_session_than_it_was_started_at(clients: Clients, tally: Tally) -> None:
    with tally.example():
        used, client = clients.at_another(START)
        ((pid, text, repeated),) = client.execute(STOP)
        assert (parse_label_file(text).label, repeated) == ("pooled", False)
        assert pid != used
        tally.steps += 2


def test_a_backup_by_core_is_not(clients: Clients, clean_session: Session, tally: Tally) -> None:
    with tally.example():
        used, client = clients.at_another(CORE_START)
        with pytest.raises(SqlError) as refused:
            client.execute(CORE_STOP)
        assert refused.value.sqlstate == "55000"
        clean_session.execute("SELECT pg_terminate_backend(%s, 30000)", (used,))
        assert not forced_full_page_writes(clean_session)
        tally.steps += 2


def test_a_backup_lives_through_a_session_for_each_of_its_calls(
    program: str, cluster: Cluster, clean_session: Session, tally: Tally
) -> None:
    """A pooler may close each session when it has served."""
    with tally.example(), open_pool(program, cluster, 2, server_lifetime="0") as pool:
        client = pool.connect()
        ((_, token),) = client.execute(START)
        renewed = client.execute("SELECT pg_backend_pid(), shared_backup_renew('pooled', '1 day', %s)", (token,))
        shown = client.execute(STATES)
        answers = [client.execute(STOP) for _ in range(2)]
        assert [repeated for ((_, _, repeated),) in answers] == [False, True]
        assert [state for _, state in shown] == ["active"]
        assert len({rows[0][0] for rows in (renewed, shown, *answers)}) == 4
        client.close()
        tally.steps += 5


def test_a_call_cancelled_through_the_pool_leaves_no_trace(
    clients: Clients, clean_session: Session, tally: Tally
) -> None:
    with tally.example():
        points = InjectionPoints(clean_session)
        points.attach("start-reserved", "pooled")
        client = clients.new()
        starting = client.submit(START)
        assert points.arrived("start-reserved", "pooled", starting.done)
        starting.cancel()
        with pytest.raises(SqlError) as cancelled:
            starting.result(PATIENCE)
        assert cancelled.value.sqlstate == "57014"
        points.detach()
        assert client.execute(STATES) == []
        assert not forced_full_page_writes(clean_session)
        tally.steps += 1


def test_a_client_that_is_lost_in_its_start_leaves_a_backup_or_none(
    clients: Clients, clean_session: Session, cluster: Cluster, tally: Tally
) -> None:
    """... and not a start that never ends; others go on meanwhile."""
    with tally.example():
        points = InjectionPoints(clean_session)
        points.attach("start-taken", "pooled")
        client = clients.new()
        starting = client.submit(START)
        assert points.arrived("start-taken", "pooled", starting.done)
        client.vanish()
        with pytest.raises(SqlError):
            starting.result(PATIENCE)
        other = clients.new()
        assert [state for _, state in other.execute(STATES)] in (["starting"], [])
        points.detach()
        ended = "SELECT NOT EXISTS (SELECT FROM shared_backups WHERE state = 'starting')"
        cluster.wait_until(lambda: other.execute(ended) == [(True,)], PATIENCE, "the start to end")
        states = [state for _, state in other.execute(STATES)]
        assert states in (["active"], [])
        assert forced_full_page_writes(clean_session) is bool(states)
        other.execute("SELECT shared_backup_abort(label) FROM shared_backups")
        tally.steps += 2
