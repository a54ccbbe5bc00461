"""Restoring what a stop handed out, and comparing the answer with the model's: the last word on a backup."""

import re
import time
from collections.abc import Callable, Iterable, Mapping

from harness.restore.pages import torn_pages
from harness.restore.restore import BackupFiles, RestoreRefused, restored
from harness.restore.snapshot import Snapshot
from harness.restore.soundness import flaws
from harness.schema.campaign import Restore, SurvivalCase
from harness.server.cluster import Cluster
from harness.server.controldata import CONTROL_FILE, has_checksums
from harness.server.session import Session
from properties.recording.tally import Tally, attempt

NO_CHECKPOINT = "could not locate a valid checkpoint record"
TORN = "invalid page|checksum verification failed"
"""What a server says of a copy."""


def check_restore(
    tally: Tally,
    scenario: str,
    origin: Cluster,
    snapshot: Snapshot,
    files: BackupFiles,
    *,
    restorable: bool = True,
    to_the_end: bool = False,
    timeline: int = 1,
    settings: Mapping[str, str] | None = None,
    look: Callable[[Cluster], Iterable[str]] = lambda _: (),
    survival_case: SurvivalCase | None = None,
) -> Restore:
    """Restores the snapshot with these files, up to the stop point or to the end of the archive, and examines it.

    ``origin`` has the workload (``harness.restore.workload``), and has archived all its WAL. Fails unless the answer is
    what the model says: ``restorable``, that it recovers and is whole; otherwise, that it does not or is not. ``look``
    finds more flaws than others would, and comes first. ``survival_case``: what the backup went through, if that is to
    be told.
    """
    began = time.perf_counter()
    target = None if to_the_end else files.stop_lsn
    try:
        with restored(origin, snapshot, files, to_the_end=to_the_end, settings=settings) as copy:
            said = "; ".join([*look(copy), *flaws(origin, copy, target, timeline)])
        log = ""
    except RestoreRefused as refusal:
        said, log = refusal.reason, str(refusal)
    seconds = time.perf_counter() - began
    torn = torn_pages_of(origin, snapshot)
    restore = attempt(scenario, restorable, said, torn, seconds, survival_case)
    tally.restores.append(restore)
    verdict = "should be restorable" if restorable else "should not be restorable, and was restored whole"
    assert restore.as_expected, f"{scenario}: the backup {verdict}: {said}\n{log}"
    return restore


def label_file_by_hand(session: Session, source: str) -> str:
    """The label file of a backup that has just been started, as somebody might write it who never got one.

    ``source``: what it says the backup is one of, "primary" or "standby".
    """
    redo, checkpoint, walfile, timeline = session.execute(
        "SELECT redo_lsn::text, checkpoint_lsn::text, redo_wal_file, timeline_id FROM pg_control_checkpoint()"
    )[0]
    return (
        f"START WAL LOCATION: {redo} (file {walfile})\nCHECKPOINT LOCATION: {checkpoint}\nBACKUP METHOD: streamed\n"
        f"BACKUP FROM: {source}\nSTART TIME: 2026-01-01 00:00:00 UTC\nLABEL: by hand\nSTART TIMELINE: {timeline}\n"
    )


def torn_pages_of(origin: Cluster, snapshot: Snapshot) -> int:
    """How many pages of the copy are torn; 0 if they have no checksums, which would tell."""
    if not has_checksums(origin, (snapshot.data / CONTROL_FILE).read_bytes()):
        return 0
    return sum(torn_pages(folder) for folder in (snapshot.data, *snapshot.tablespaces.values()))


def check_refusal(
    tally: Tally,
    scenario: str,
    origin: Cluster,
    snapshot: Snapshot,
    files: BackupFiles,
    because: str,
    *,
    to_the_end: bool = False,
    survival_case: SurvivalCase | None = None,
) -> None:
    """A negative control: fails unless the restore is refused, or the copy found not to be whole, for that reason (a
    regular expression)."""
    restore = check_restore(
        tally, scenario, origin, snapshot, files, restorable=False, to_the_end=to_the_end, survival_case=survival_case
    )
    assert re.search(because, restore.said), f"{scenario}: it was refused for another reason: {restore.said}"
