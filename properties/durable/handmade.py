"""Files made by hand for a copy for which stop hands none out: a negative control of the refusal."""

from dataclasses import replace

from harness.restore.restore import BackupFiles
from harness.server.session import Session
from properties.durable.lockstep import DurableServer, Fall

TORN = "invalid page|checksum verification failed"
"""What a server says of a copy that is torn."""


def standby_label(session: Session) -> str:
    """The label file of a backup that has just been started, as that of a standby."""
    redo, location, walfile, timeline = session.execute(
        "SELECT redo_lsn::text, checkpoint_lsn::text, redo_wal_file, timeline_id FROM pg_control_checkpoint()"
    )[0]
    return (
        f"START WAL LOCATION: {redo} (file {walfile})\nCHECKPOINT LOCATION: {location}\nBACKUP METHOD: streamed\n"
        f"BACKUP FROM: standby\nSTART TIME: 2026-01-01 00:00:00 UTC\nLABEL: by hand\nSTART TIMELINE: {timeline}\n"
    )


def control_file_of_another(here: DurableServer, labelfile: str) -> BackupFiles:
    """That label file, with the stop point and the control file of a later backup: late enough for any earlier copy."""
    here.backups.start("another")
    here.backups.fall(Fall.FAST)
    later = here.backups.stop("another").files
    here.backups.archive()
    return replace(later, labelfile=labelfile)
