"""Restoring a copy: the files that a stop handed out written into it, tablespaces linked to new places, WAL replayed.

This is the oracle that no mock can fake: a server recovers from the copy, or it says why it cannot.
"""

import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.machine.postgres import server_user
from harness.machine.scratch import scratch_folder
from harness.restore.snapshot import TABLESPACES, Snapshot
from harness.server.cluster import Cluster, ClusterError, serve
from harness.server.controldata import CONTROL_FILE
from harness.server.node import give_all
from harness.server.session import SqlError

PATIENCE = 60.0
SAYS_WHY = re.compile(r"(PANIC|FATAL):  .*")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class BackupFiles:
    """What a stop hands out."""

    stop_lsn: str | None
    """None: nobody has said; such a backup can only be restored to the end."""
    labelfile: str | None
    """The copy's ``backup_label``; None: as the copy has it, or not at all."""
    spcmapfile: str | None = None
    """The copy's ``tablespace_map``, if it is not empty."""
    controlfile: bytes | None = None
    """What replaces the copy's ``global/pg_control``, if there is such a thing."""


class RestoreRefused(Exception):  # noqa: N818 - it is an answer
    """The server did not recover; the message ends with its log, and ``reason`` is the line there that says why."""

    def __init__(self, said: str, reason: str) -> None:
        super().__init__(said)
        self.reason = reason


@contextmanager
def restored(
    origin: Cluster,
    snapshot: Snapshot,
    files: BackupFiles,
    *,
    to_the_end: bool = False,
    archive: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """A new cluster, recovered from a copy of the snapshot and promoted; gone when the block ends.

    Recovery replays the WAL that ``origin`` has archived: up to the backup's own stop point, or all there is. With
    ``archive``, the new cluster archives its own beside it, and can be an origin itself. The snapshot can be restored
    again. Raises RestoreRefused if the server does not recover.
    """
    assert origin.archive_dir is not None, "there is no WAL to recover with: open the cluster with an archive"
    folder = scratch_folder() / f"restore{next(_numbers)}"
    everything = {
        **origin.settings,
        **recovery(origin.archive_dir, None if to_the_end else files.stop_lsn),
        "archive_mode": "on" if archive else "off",
        "unix_socket_directories": str(folder),
        **(settings or {}),
    }
    archive_dir = origin.archive_dir if archive else None
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        lay_out(snapshot, files, folder)
        try:
            cluster = stack.enter_context(serve(origin.build, folder, everything, archive_dir))
            await_promotion(cluster)
        except ClusterError as error:
            if why := SAYS_WHY.search(str(error)):
                raise RestoreRefused(str(error), why.group()) from None
            raise  # it said nothing: that is no answer
        yield cluster


def lay_out(snapshot: Snapshot, files: BackupFiles, folder: Path) -> None:
    """Writes what the server is to start from into a new folder, all of it the server's own."""
    data = folder / "data"
    shutil.copytree(snapshot.data, data, symlinks=True)
    data.chmod(0o700)
    for link in (data / TABLESPACES).iterdir():
        link.unlink()
    places = {}
    for oid, copy in snapshot.tablespaces.items():
        places[oid] = folder / "tablespaces" / oid
        shutil.copytree(copy, places[oid])
    (data / "standby.signal").unlink(missing_ok=True)  # the copy of a standby is to be no standby
    (data / "recovery.signal").touch()
    if files.labelfile is not None:
        (data / "backup_label").write_text(files.labelfile, encoding="utf-8")
    if files.spcmapfile:
        (data / "tablespace_map").write_text(relinked(files.spcmapfile, places), encoding="utf-8")
    if files.controlfile is not None:
        (data / CONTROL_FILE).write_bytes(files.controlfile)
    give_all(folder, server_user())


def await_promotion(cluster: Cluster) -> None:
    """Waits until recovery has ended: with hot_standby, sessions are let in before. Raises ClusterError if it fails."""
    try:
        session = cluster.connect()
        ended = "SELECT NOT pg_is_in_recovery()"
        cluster.wait_until(lambda: session.execute(ended) == [(True,)], PATIENCE, "recovery to end")
        session.close()
    except SqlError as error:
        raise ClusterError(f"the server went down in recovery ({error}):\n{cluster.log_since(0)}") from None


def relinked(spcmapfile: str, places: Mapping[str, Path]) -> str:
    """A tablespace map (lines of an OID and a place) that leads to new places."""
    lines = (line.partition(" ") for line in spcmapfile.splitlines())
    return "".join(f"{oid} {places[oid]}\n" for oid, _, _ in lines)


def recovery(archive_dir: Path, target_lsn: str | None) -> dict[str, str]:
    """Settings for a recovery that ends just before what was written at that point, or with the archive.

    Nobody can connect until it has ended (``hot_standby``), so that a server that answers has recovered.
    """
    return {
        "restore_command": f'cp "{archive_dir}/%f" "%p"',
        "hot_standby": "off",
        "primary_conninfo": "",
        "recovery_target_lsn": target_lsn or "",
        "recovery_target_inclusive": "off",
        "recovery_target_action": "promote",
        "recovery_target_timeline": "current" if target_lsn is not None else "latest",
    }
