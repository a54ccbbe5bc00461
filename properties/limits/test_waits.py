"""What a process waits for can be told: each kind of lock has a name of its own."""

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE
from harness.server.cluster import open_cluster
from harness.server.injection_points import InjectionPoints
from properties.support.servers import server_settings

pytestmark = pytest.mark.server
PATIENCE = 30.0

WAIT = "SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = %s"
RENEW = "SELECT shared_backup_renew('a', '1 h')"
NAMES = ("Change", "Registry", "Starter", "Reaper", "Table", "Area", "File")


@pytest.mark.usefixtures("durable_backups", "instruments")
def test_a_wait_for_a_state_file_is_called_that(instrumented: Build) -> None:
    """One process is held when it has written a file, which it does under the file's lock; others wait for that."""
    with open_cluster(instrumented, settings=server_settings(DURABLE)) as server:
        admin, first, second = server.connect(), server.connect(), server.connect()
        admin.execute("CREATE EXTENSION shared_backup")
        admin.execute("CREATE EXTENSION shared_backup_instruments")
        admin.execute("SELECT shared_backup_start('a', true)")
        points = InjectionPoints(admin)
        points.attach("file-written", "a")
        held = first.submit(RENEW)
        points.arrived("file-written", "a", held.done)
        waiting = second.submit(RENEW)
        server.wait_until(
            lambda: admin.execute(WAIT, (second.pid,)) == [("LWLock", "SharedBackupFile")], PATIENCE, "the wait"
        )
        points.detach()
        held.result(PATIENCE)
        waiting.result(PATIENCE)
        for session in (admin, first, second):
            session.close()


def test_the_release_flavour_names_them_all(release: Build) -> None:
    library = (release.stage / "lib" / "shared_backup.so").read_bytes()
    for name in NAMES:
        assert f"SharedBackup{name}\0".encode() in library
