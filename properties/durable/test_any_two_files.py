"""Operations that change two state files at once come to an end, whichever two they are."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.building.build import Build
from harness.server.cluster import Cluster
from harness.server.durable import resumed, state_files
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session
from properties.durable.losses import open_server
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups", "instruments")]

PATIENCE = 30.0
FAR = 33
"""Numbers that lie between two files, at most: more than there could be locks for files."""
START, STOP = "SELECT shared_backup_start('{}', true)", "SELECT shared_backup_stop('{}', false)"
ABORT = "SELECT shared_backup_abort('{}')"


@pytest.fixture
def server(instrumented: Build) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield open_server(instrumented, stack, **{"shared_backup.max_results": "1"})


@pytest.fixture
def session(server: Cluster) -> Iterator[Session]:
    session = resumed(server)
    yield session
    session.close()


def does(session: Session, *statements: str) -> None:
    """One after the other, none of which hangs."""
    for statement in statements:
        session.submit(statement).result(PATIENCE)


def test_a_backup_and_the_result_that_it_has_replaced_end_together(session: Session, tally: Tally) -> None:
    with tally.example():
        for between in range(FAR):
            does(session, START.format("a"), STOP.format("a"))
            pass_numbers(session, between)
            does(session, START.format("a"), ABORT.format("a"))
            tally.steps += 4


def test_a_stop_that_pushes_out_a_result_ends(session: Session, tally: Tally) -> None:
    with tally.example():
        for between in range(FAR):
            does(session, START.format("pushed out"), STOP.format("pushed out"))
            pass_numbers(session, between)
            does(session, START.format("a"), STOP.format("a"), START.format("a"), ABORT.format("a"))
            tally.steps += 6


def test_a_result_that_is_pushed_out_takes_with_it_what_it_has_replaced(
    server: Cluster, session: Session, tally: Tally
) -> None:
    """Its start has yet to remove that, and if the server crashes before it does, nobody else would."""
    with tally.example():
        does(session, START.format("a"), STOP.format("a"))
        points, starter = InjectionPoints(session), server.connect()
        points.attach("start-published", "a")
        again = starter.submit(START.format("a"))
        assert points.arrived("start-published", "a", again.done)
        does(session, STOP.format("a"), START.format("b"), STOP.format("b"))
        assert len(state_files(server)) == 1, "there is more than the result that may be remembered"
        points.detach()
        again.result(PATIENCE)
        starter.close()
        tally.steps += 6


def pass_numbers(session: Session, number: int) -> None:
    """So many more files are made, and go."""
    for _ in range(number % 17):
        session.execute(START.format("between"))
        session.execute(ABORT.format("between"))
