"""A server whose backups are being read back is a server like any other: it shuts down when it is told to."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.machine.processes import wait_gone
from harness.restore.workload import big_update
from harness.server.cluster import Cluster
from harness.server.durable import BUSY, STATE_DIR, resumed
from harness.server.injection_points import HOLDER, PATIENCE, RESUMING, InjectionPoints
from harness.server.session import Session, SqlError
from model.operations import Restart, RestartKind
from properties.durable.lockstep import LONG_GAP, durable_server
from properties.durable.losses import CALLS, START, check_released, counted, open_server
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

BEGUN, HELD = "resume-begun", "resume-held"


def test_a_shutdown_does_not_wait_until_a_gap_has_been_read(instrumented: Build, tally: Tally) -> None:
    """It is read after the next start, and the backup goes on."""
    with durable_server(instrumented, tally, LONG_GAP) as here:
        server, backups, chance = here.origin, here.backups, Random(1)
        backups.start("a")
        points = InjectionPoints(here.session)
        points.attach(BEGUN)
        points.attach(HELD)
        here.session.execute("SELECT shared_backup_injection_points_keep()")
        here.session.close()
        server.restart()
        points = InjectionPoints(server.connect())
        assert points.arrived(BEGUN)
        big_update(points.session, chance)
        points.detach(BEGUN)
        assert points.arrived(HELD)
        record = record_of_restarts(server)
        points.session.close()
        server.stop()  # which sends the reaper on its way
        assert record_of_restarts(server) == record, "the reaper read the gap to its end before it ended"
        server.start()
        backups.back(Restart(RestartKind.FAST))
        assert backups.stop("a").restorable


def restarted_to(server: Cluster, session: Session, point: str, action: str = "wait") -> InjectionPoints:
    """Restarts a server, and holds whoever comes to the point then; what was attached already stays so."""
    InjectionPoints(session).attach(point, action=action)
    session.execute("SELECT shared_backup_injection_points_keep()")
    session.close()
    server.restart("fast")
    points = InjectionPoints(server.connect())
    assert points.arrived(point)
    return points


@pytest.mark.parametrize("left", [START, f"{START.replace('%s', 'NULL')}; {CALLS['stop']}"], ids=["active", "stopped"])
def test_a_reaper_that_is_told_to_end_before_it_has_decided_is_replaced(
    instrumented: Build, tally: Tally, left: str
) -> None:
    """Whatever it was to decide about."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session = resumed(server)
        for statement in left.split(";"):
            session.execute(statement, (None,) if "%s" in statement else None)
        before = session.execute("SELECT label, state FROM shared_backups")
        points = restarted_to(server, session, BEGUN, action="hold")
        (reaper,) = points.waiting(BEGUN)
        os.kill(reaper, signal.SIGTERM)
        points.session.close()
        session = resumed(server)
        assert session.execute("SELECT label, state FROM shared_backups") == before
        session.close()
        tally.steps += 1


@pytest.mark.parametrize("late", ["goes on", "is told to end"])
def test_core_is_held_once_however_many_workers_were_sent_to_do_so(
    instrumented: Build, tally: Tally, late: str
) -> None:
    """The reaper begins anew while a worker is slow. Its successor sends another one, and the first comes second."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack, **LONG_GAP)
        session = resumed(server)
        session.execute(START, (None,))
        InjectionPoints(session).attach(HOLDER, action="hold")
        points = restarted_to(server, session, BEGUN)
        (reaper,) = points.waiting(BEGUN)
        points.detach(BEGUN)
        assert points.arrived(HOLDER)
        (slow,) = points.waiting(HOLDER)
        os.kill(reaper, signal.SIGINT)
        points.session.close()
        session = resumed(server)
        if late == "goes on":
            InjectionPoints(session).detach(HOLDER)
        else:
            os.kill(slow, signal.SIGTERM)
        assert wait_gone([slow], PATIENCE), "the worker that came second does not end"
        assert counted(server, session), "the worker that came second has let go of what the first one holds"
        session.execute(CALLS["stop"])
        check_released(server, session)
        session.close()
        tally.steps += 1


@pytest.mark.parametrize("point", RESUMING)
def test_nobody_sees_a_backup_before_all_are_back(instrumented: Build, tally: Tally, point: str) -> None:
    """Who looks too early might take what is not there yet for gone."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session = resumed(server)
        session.execute(START, (None,))
        points = restarted_to(server, session, point)
        for call in ("SELECT FROM shared_backups", *CALLS.values()):
            with pytest.raises(SqlError) as refusal:
                points.session.execute(call)
            assert refusal.value.sqlstate == BUSY, f"{call}: {refusal.value}"
        points.detach()
        points.session.close()
        resumed(server).close()
        tally.steps += 1


def test_the_reaper_leaves_no_state_file_open(instrumented: Build, tally: Tally) -> None:
    """It has read them all, once per life of the server, and may open only so many files."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session = resumed(server)
        for label in ("stopped", "active"):
            session.execute(START.replace("'a'", f"'{label}'"), (None,))
        session.execute("SELECT shared_backup_stop('stopped', false)")
        session.close()
        server.restart("fast")
        session = resumed(server)
        ((reaper,),) = session.execute("SELECT pid FROM shared_backup_reaper()")
        opened = [os.readlink(file) for file in Path("/proc", str(reaper), "fd").iterdir()]
        assert [name for name in opened if STATE_DIR in name] == []
        session.close()
        tally.steps += 1


def record_of_restarts(server: Cluster) -> int:
    """Which file it is: whenever it is written, it is another one."""
    return (server.data_dir / STATE_DIR / "server").stat().st_ino
