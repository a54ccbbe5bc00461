"""WAL that programs removed before it was archived, or that a life without the extension did not archive.

A stop that waits for the archive says that all is there only if it is; otherwise it warns, of a backup that had been
stopped before, too.
"""

from collections.abc import Callable
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, UNFENCED
from harness.faults.foreign import postmaster_life
from harness.faults.offline import remove_wal, reset_wal
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace
from harness.restore.workload import switch_wal, transfers
from harness.server.cluster import Cluster
from harness.server.durable import configured, resumed
from harness.server.session import SqlError
from properties.durable.lockstep import DurableServer, archiving, durable_server
from properties.recording.tally import Tally
from properties.support.restoring import check_refusal, check_restore
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

SETTINGS = {"log_min_messages": "notice", "wal_keep_size": "256MB"}
"""What stop tells its caller is in the log, too; and WAL that waits for the archive is there when the server goes down,
whatever else there is."""
ALL = "all required WAL segments have been archived"
NOT_ALL = "are known to be archived"
"""What stop says."""
STOP_AT_ONCE = "SELECT shared_backup_stop('a', false)"


def life_without_archiving(server: Cluster) -> None:
    """Without the extension, and with archive_mode off; checkpoints remove the WAL that waited for the archive."""
    with configured(server, {"archive_mode": "off", "wal_keep_size": "0"}):
        postmaster_life(server, ("SELECT pg_switch_wal()", "CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"))


WORKS: dict[str, tuple[Callable[[Cluster], None], bool]] = {
    "pg_resetwal": (reset_wal, True),
    "pg_archivecleanup in pg_wal": (remove_wal, True),
    "pg_archivecleanup in pg_wal, the backup being open": (remove_wal, False),
    "a life without the extension and without archiving": (life_without_archiving, True),
}
"""What is done while the server is down, and whether the backup was stopped before: if not, the others lose it."""


def go_down_unarchived(here: DurableServer, *, stopped: bool) -> None:
    """The backup has several segments of WAL, none of which is archived when the server is down."""
    server, working = here.origin, here.origin.settings["archive_command"]
    server.configure({"archive_command": "false"})
    server.reload(sessions=[here.session])
    for _ in range(3):
        transfers(here.session, Random(1))
        switch_wal(here.session, Random(1))
    if stopped:
        here.session.execute(STOP_AT_ONCE)
    here.session.close()
    server.stop()
    server.configure({"archive_command": working})


@pytest.mark.xfail(strict=True, reason="what was removed while the server was down is not missed")
@pytest.mark.parametrize("what", WORKS)
def test_wal_that_was_removed_before_it_was_archived_is_told(
    instrumented: Build, tally: Tally, what: str, exhaustive: bool
) -> None:
    work, stopped = WORKS[what]
    with durable_server(instrumented, tally, SETTINGS) as here:
        backups, server = here.backups, here.origin
        backups.start("a")
        snapshot = copy_while(server, here.copies / "copy", [lambda: None], Pace(rounds=1))
        go_down_unarchived(here, stopped=stopped)
        work(server)
        server.start()
        backups.session = resumed(server)
        position = server.log_position()
        with archiving(server):
            answer = backups.ask(DURABLE.stop, {"label": "a", "wait": True, **UNFENCED})
        assert not isinstance(answer, SqlError), answer
        said = server.log_since(position)
        backups.archive()
        scenario, taken = f"durable, {what}, and stop said: {ALL}", (server, snapshot, BackupFiles(*answer[:4]))
        if ALL in said and NOT_ALL not in said:
            check_restore(tally, scenario, *taken)
        assert NOT_ALL in said, f"after {what}, stop says nothing of the WAL that is missing: {said}"
        if exhaustive:
            check_refusal(tally, f"control: durable, {what}", *taken, "could not locate")
