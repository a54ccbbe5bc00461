"""A backup that nobody stops ends at its deadline, whether or not anyone calls anything."""

import time
from collections.abc import Iterator

import pytest

from harness.building.build import Build
from harness.clients.client import Client
from harness.server.cluster import Cluster, open_cluster
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Session
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
    session = server.connect()
    yield session
    session.close()


def reaper(session: Session) -> int | None:
    """The process number of the reaper, None while there is none."""
    rows = session.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'shared_backup reaper'")
    return int(rows[0][0]) if rows else None


def test_core_is_released_at_the_deadline_though_nobody_calls_anything(server: Cluster, user: Session) -> None:
    user.execute("SELECT shared_backup_start('alone', true, '200 ms')")
    assert forced_full_page_writes(user)
    server.wait_until(lambda: not forced_full_page_writes(user), PATIENCE, "core to be released at the deadline")
    assert user.execute("SELECT state FROM shared_backups WHERE label = 'alone'") == [("expired",)]


def test_a_renewed_backup_outlives_its_first_deadline(server: Cluster, user: Session) -> None:
    user.execute("SELECT shared_backup_start('leased', true, '300 ms')")
    user.execute("SELECT shared_backup_renew('leased', '1 hour')")
    time.sleep(0.5)
    assert forced_full_page_writes(user)
    assert user.execute("SELECT state FROM shared_backups WHERE label = 'leased'") == [("active",)]
    user.execute("SELECT shared_backup_abort('leased')")


def test_a_reaper_that_dies_is_replaced_and_the_backup_expires(server: Cluster, user: Session) -> None:
    first = reaper(user)
    assert first is not None
    user.execute("SELECT shared_backup_start('orphan', true, '200 ms'), pg_terminate_backend(%s)", (first,))
    server.wait_until(lambda: reaper(user) not in (None, first), PATIENCE, "another reaper")
    server.wait_until(lambda: not forced_full_page_writes(user), PATIENCE, "core to be released")
    assert user.execute("SELECT state FROM shared_backups WHERE label = 'orphan'") == [("expired",)]


def test_an_expired_backup_makes_room_under_the_limit(server: Cluster, user: Session) -> None:
    server.configure({"shared_backup.max_backups": "1"})
    server.reload()
    user.execute("SELECT shared_backup_start('first', true, '200 ms')")
    time.sleep(0.3)
    user.execute("SELECT shared_backup_start('second', true)")
    user.execute("SELECT shared_backup_abort('second')")
    server.configure({"shared_backup.max_backups": "-1"})
    server.reload()


def test_a_result_is_forgotten_after_its_retention(server: Cluster, user: Session) -> None:
    server.configure({"shared_backup.result_retention": "1s"})
    server.reload()
    user.execute("SELECT shared_backup_start('brief', true)")
    user.execute("SELECT shared_backup_stop('brief', false)")
    shown = "SELECT 1 FROM shared_backups WHERE label = 'brief'"
    assert user.execute(shown)
    server.wait_until(lambda: not user.execute(shown), PATIENCE, "the result to be forgotten")
    server.configure({"shared_backup.result_retention": "10min"})
    server.reload()


def test_the_reaper_sleeps_until_the_next_deadline(cluster: Cluster, client: Client) -> None:
    """It makes no rounds while nothing is due, and it is woken when a nearer deadline comes up."""
    client.clear()
    client.set_all(client.implementation.design.settings)
    session = cluster.connect()
    session.execute("SELECT shared_backup_clock_release()")
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
    session.execute("SELECT shared_backup_abort('later')")
    session.close()
    client.freeze()
    client.clear()
