"""A server whose backups are being read back is a server like any other: it shuts down when it is told to."""

from random import Random

import pytest

from harness.building.build import Build
from harness.restore.workload import big_update
from harness.server.cluster import Cluster
from harness.server.durable import STATE_DIR
from harness.server.injection_points import InjectionPoints
from model.operations import Restart, RestartKind
from properties.durable.lockstep import LONG_GAP, durable_server
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


def record_of_restarts(server: Cluster) -> int:
    """Which file it is: whenever it is written, it is another one."""
    return (server.data_dir / STATE_DIR / "server").stat().st_ino
