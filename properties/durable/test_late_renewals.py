"""A renewal that comes too late, because the backup was claimed meanwhile, leaves no trace: not in its file either."""

from contextlib import ExitStack

import pytest

from harness.building.build import Build
from harness.server.durable import resumed
from harness.server.injection_points import InjectionPoints
from harness.server.session import Pending, Session, SqlError
from model.operations import RestartKind
from properties.durable.losses import CALLS, START, open_server
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups", "instruments")]

PATIENCE = 30.0
CLAIMED = "stop-claimed"
DEADLINE = "SELECT state, expires_at FROM shared_backups"
WRITING = ("file-written", "file-flushed", "file-renamed")
"""Where the renewal has begun to write, and nobody else knows of it."""


@pytest.mark.parametrize("point", WRITING)
def test_a_renewal_that_was_overtaken_leaves_the_deadline_as_it_was(
    instrumented: Build, tally: Tally, point: str
) -> None:
    """A stop claims the backup while the renewal writes, and gives up; what counts after a restart is what was told."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session, renewer, stopper = resumed(server), server.connect(), server.connect()
        session.execute(START, ("1 hour",))
        before = session.execute(DEADLINE)
        points = InjectionPoints(session)
        points.attach(point, "a")
        renewal = renewer.submit("SELECT shared_backup_renew('a', '2 hours')")
        points.arrived(point, "a", renewal.done)
        points.attach(CLAIMED, "a")
        stop = stopper.submit(CALLS["stop"])
        points.arrived(CLAIMED, "a", stop.done)
        points.detach(point)
        with pytest.raises(SqlError) as overtaken:
            renewal.result(PATIENCE)
        assert overtaken.value.sqlstate == "55006", overtaken.value
        stop.cancel()
        with pytest.raises(SqlError, match="57014"):
            stop.result(PATIENCE)
        points.detach()
        assert session.execute(DEADLINE) == before
        for one in (session, renewer, stopper):
            one.close()
        server.restart(RestartKind.CRASH)
        session = resumed(server)
        assert session.execute(DEADLINE) == before, "the file has the deadline of a renewal that failed"
        session.close()
        tally.steps += 3


@pytest.mark.parametrize("point", WRITING)
def test_a_renewal_that_is_overtaken_by_the_deadline_revives_nothing(
    instrumented: Build, tally: Tally, point: str
) -> None:
    """It has expired for everybody who has looked meanwhile, and stays so, also after a restart."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session, renewer = resumed(server), server.connect()
        points = InjectionPoints(session)
        renewal = renewal_in_time(renewer, points, point)
        state = "SELECT state FROM shared_backups"
        server.wait_until(lambda: session.execute(state) == [("expired",)], PATIENCE, "the deadline to pass")
        points.detach()
        with pytest.raises(SqlError) as overtaken:
            renewal.result(PATIENCE)
        assert overtaken.value.sqlstate == "55000", overtaken.value
        assert session.execute(state) == [("expired",)]
        for one in (session, renewer):
            one.close()
        server.restart(RestartKind.CRASH)
        session = resumed(server)
        assert session.execute(state) == [("expired",)], "the file has a deadline that was not given"
        session.close()
        tally.steps += 2


def renewal_in_time(renewer: Session, points: InjectionPoints, point: str) -> Pending:
    """A renewal that is held there before the deadline, however slow that is."""
    for ttl in ("1 s", "5 s", "20 s"):
        points.detach()
        renewer.execute(START, (ttl,))
        points.attach(point, "a")
        renewal = renewer.submit("SELECT shared_backup_renew('a', '5 hours')")
        if points.arrived(point, "a", renewal.done):
            return renewal
    raise AssertionError("a renewal came too late each time")
