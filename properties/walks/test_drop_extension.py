"""Dropping the extension while backups are live is warned of: the server goes on with them, and nobody sees them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
import pytest
from psycopg.errors import Diagnostic

from harness.server.cluster import Cluster
from harness.server.session import Session

pytestmark = pytest.mark.server


class Warned(NamedTuple):
    message: str | None
    detail: str | None
    hint: str | None


WAYS = {
    "by name": ("DROP EXTENSION shared_backup",),
    "in a transaction": ("BEGIN", "DROP EXTENSION shared_backup CASCADE", "COMMIT"),
    "with its schema": ("DROP SCHEMA gone CASCADE",),
    "with others": ("DROP EXTENSION plpgsql, shared_backup",),
}
START = "SELECT shared_backup_start('nightly', true)"
ABORT = "SELECT shared_backup_abort('nightly')"


@pytest.fixture
def database(
    cluster: Cluster, only_the_extension: None, clean_session: Session
) -> Iterator[tuple[Session, psycopg.Connection, list[Warned]]]:
    """A session in the database that the bench uses; a connection to another one, and the warnings there."""
    clean_session.execute("CREATE DATABASE other")
    with listening(cluster, "other") as (connection, warnings):
        connection.execute("CREATE SCHEMA gone")
        connection.execute("CREATE EXTENSION shared_backup SCHEMA gone")
        yield clean_session, connection, warnings
    clean_session.execute("DROP DATABASE other")


@contextmanager
def listening(cluster: Cluster, dbname: str) -> Iterator[tuple[psycopg.Connection, list[Warned]]]:
    warnings: list[Warned] = []

    def hear(notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            warnings.append(Warned(notice.message_primary, notice.message_detail, notice.message_hint))

    with psycopg.connect(**cluster.parameters(dbname=dbname), autocommit=True) as connection:
        connection.add_notice_handler(hear)
        yield connection, warnings


@pytest.mark.parametrize("way", WAYS)
def test_live_backups_are_warned_of_and_can_be_had_again(
    database: tuple[Session, psycopg.Connection, list[Warned]], way: str
) -> None:
    session, connection, warnings = database
    session.execute(START)
    for statement in WAYS[way]:
        connection.execute(statement)
    (warning,) = warnings
    assert "1 shared backup is live" in (warning.message or "")
    assert "full pages" in (warning.detail or "")
    assert "CREATE EXTENSION" in (warning.hint or "")
    connection.execute("CREATE EXTENSION shared_backup")
    assert connection.execute("SELECT label, state FROM shared_backups").fetchall() == [("nightly", "active")]
    connection.execute(ABORT)


def test_nothing_is_said_if_none_is_live_or_another_one_is_dropped(
    database: tuple[Session, psycopg.Connection, list[Warned]],
) -> None:
    session, connection, warnings = database
    session.execute(START)
    connection.execute("DROP EXTENSION plpgsql")
    session.execute("SELECT shared_backup_stop('nightly', false)")
    connection.execute("DROP EXTENSION shared_backup")
    assert warnings == []
