"""WAL that programs removed before it was archived, or that a life without the extension did not archive.

A stop that waits for the archive says that all is there only if it is; otherwise it warns, of a backup that had been
stopped before, too.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.labelfile import parse_label_file
from harness.faults.foreign import postmaster_life
from harness.faults.offline import remove_wal, reset_wal
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Snapshot, take
from harness.restore.workload import archive_all, switch_wal, transfers
from harness.server.cluster import Cluster
from harness.server.durable import configured, resumed
from properties.durable.lockstep import archiving
from properties.durable.losses import LABEL, START, open_server
from properties.recording.tally import Tally
from properties.support.restoring import check_refusal

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

SETTINGS = {"log_min_messages": "notice", "wal_keep_size": "256MB"}
"""What stop tells its caller is in the log, too; and WAL that waits for the archive is there when the server goes down,
whatever else there is."""
ALL = "all required WAL segments have been archived"
NOT_ALL = "are known to be archived"
"""What stop says."""
STOP = "SELECT lsn::text, labelfile, spcmapfile, controlfile FROM shared_backup_stop(%s, %s)"


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


@pytest.fixture(scope="module")
def server(instrumented: Build, durable_backups: None) -> Iterator[Cluster]:
    """One that all cases share."""
    with ExitStack() as stack:
        yield open_server(instrumented, stack, **SETTINGS)


def go_down_unarchived(server: Cluster, *, stopped: bool, copy: Path | None) -> None:
    """A backup has several segments of WAL, none of which is archived when the server is down."""
    working = server.settings["archive_command"]
    session = resumed(server)
    server.configure({"archive_command": "false"})
    server.reload(sessions=[session])
    session.execute(START, (None,))
    if copy is not None:
        take(server.data_dir, copy)
    for _ in range(3):
        transfers(session, Random(1))
        switch_wal(session, Random(1))
    if stopped:
        session.execute(STOP, (LABEL, False))
    session.close()
    server.stop()
    server.configure({"archive_command": working})


@pytest.mark.parametrize("what", WORKS)
def test_wal_that_was_removed_before_it_was_archived_is_told(
    server: Cluster, tally: Tally, copies: Path, what: str, exhaustive: bool
) -> None:
    """At night the copy is restored, which fails: the warning is no false one."""
    work, stopped = WORKS[what]
    assert server.archive_dir is not None
    with tally.example():
        go_down_unarchived(server, stopped=stopped, copy=copies / "copy" if exhaustive else None)
        work(server)
        server.start()
        session = resumed(server)
        position = server.log_position()
        with archiving(server):
            files = BackupFiles(*session.execute(STOP, (LABEL, True))[0])
        said = server.log_since(position)
        archive_all(server, session)
        session.close()
        first = parse_label_file(files.labelfile or "").walfile
        assert not (server.archive_dir / first).exists(), "no WAL is missing"
        assert NOT_ALL in said, f"after {what}, {first} is not in the archive, and stop says: {said}"
        assert ALL not in said, said
        if exhaustive:
            taken = server, Snapshot(copies / "copy" / "data"), files
            check_refusal(tally, f"control: durable, {what}", *taken, "could not locate")
