"""A token names a start: whoever has it means that backup, as long as there is anything of it, and no other ever."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, SHARED, Implementation, install
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Row, Session, SqlError
from model.operations import RestartKind
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "tokens", "durable_backups")]
GIVEN: dict[str, Any] = {"label": "nightly", "fast": True, "ttl": None, "wait": False}


@pytest.fixture(scope="module", params=[SHARED, DURABLE], ids=lambda by: by.name)
def by(request: pytest.FixtureRequest) -> Implementation:
    """The extension, with its backups in shared memory only and with state files."""
    chosen: Implementation = request.param
    return chosen


@pytest.fixture(scope="module")
def server(instrumented: Build, by: Implementation) -> Iterator[Cluster]:
    """A server with the extension."""
    with open_cluster(instrumented, settings={"shared_preload_libraries": "shared_backup", **by.server_settings}) as it:
        install(by, it.connect())
        yield it


def start(session: Session, by: Implementation) -> str:
    """Starts a backup; returns its token."""
    return str(session.execute(by.start, GIVEN)[0][1])


def perform(session: Session, operation: str | None, token: str) -> Row:
    """A stop, abort or renewal with this token."""
    return session.execute(str(operation), {**GIVEN, "token": token})[0]


def refused(session: Session, by: Implementation, token: str) -> bool:
    """Is whatever the token is passed to refused, because of it? Or does all of it find no such backup?"""
    states = set()
    for operation in (by.stop, by.abort, by.renew):
        with pytest.raises(SqlError) as refusal:
            perform(session, operation, token)
        states.add((refusal.value.sqlstate, "does not have the token" in refusal.value.message))
    assert states in ({("55000", True)}, {("42704", False)}), states
    return states == {("55000", True)}


def restarted(server: Cluster, by: Implementation, kind: RestartKind) -> Session:
    """A session of the server after a restart."""
    if by.durable:
        return durable.restart(server, kind)
    server.restart(kind)
    return server.connect()


def test_the_token_of_a_start_whose_answer_was_lost_is_in_the_view(
    server: Cluster, by: Implementation, tally: Tally
) -> None:
    with tally.example():
        session, starter = server.connect(), server.connect()
        with pytest.raises(SqlError):
            starter.execute("SELECT shared_backup_start('nightly', true), pg_terminate_backend(pg_backend_pid())")
        token = str(session.execute("SELECT token FROM shared_backups WHERE label = 'nightly'")[0][0])
        perform(session, by.renew, token)
        perform(session, by.stop, token)
        assert str(session.execute("SELECT token FROM shared_backups")[0][0]) == token, "it is another's when stopped"
        session.close()


def test_no_start_has_the_token_of_another(server: Cluster, by: Implementation, tally: Tally) -> None:
    with tally.example():
        session = server.connect()
        tokens = [start(session, by)]
        for _ in range(20):
            perform(session, by.abort, tokens[-1])
            tokens.append(start(session, by))
            assert refused(session, by, tokens[-2])
        perform(session, by.abort, tokens[-1])
        assert len(set(tokens)) == len(tokens)
        session.close()


def test_each_digit_of_a_token_counts(server: Cluster, by: Implementation, tally: Tally) -> None:
    with tally.example():
        session = server.connect()
        token = start(session, by)
        for position, digit in enumerate(token):
            if digit != "-":
                other = "0" if digit != "0" else "1"
                assert refused(session, by, f"{token[:position]}{other}{token[position + 1 :]}")
        perform(session, by.abort, token)
        session.close()


@pytest.mark.parametrize("kind", RestartKind)
def test_a_token_from_before_a_restart_means_what_it_meant(
    server: Cluster, by: Implementation, tally: Tally, kind: RestartKind
) -> None:
    """A durable backup is still that token's. One that was forgotten leaves a token that no later start is given, not
    even the first one of another life of the server, if it was the first one of its own."""
    with tally.example():
        session = restarted(server, by, kind)
        before = start(session, by)
        session.close()
        session = restarted(server, by, kind)
        if by.durable:
            perform(session, by.renew, before)
            stopped = perform(session, by.stop, before)
            assert stopped[5] is False, "the stop is said to be a repeated one"
        else:
            assert not refused(session, by, before), "the backup is there after the restart"
        after = start(session, by)
        assert refused(session, by, before), "a token from before the restart is that of a start after it"
        session.close()
        session = restarted(server, by, kind)
        if by.durable:
            perform(session, by.stop, after)
            session.close()
            session = restarted(server, by, kind)
            assert refused(session, by, before)
            assert perform(session, by.stop, after)[5] is True
        session.close()
