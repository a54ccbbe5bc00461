"""Files for a copy for which stop hands none out, made by hand: a negative control of the refusal."""

from dataclasses import replace

from harness.restore.restore import BackupFiles
from properties.durable.lockstep import DurableServer, Fall


def control_file_of_another(here: DurableServer, labelfile: str) -> BackupFiles:
    """That label file, with the stop point and the control file of a later backup: late enough for any earlier copy."""
    here.backups.start("another")
    here.backups.fall(Fall.FAST)
    later = here.backups.stop("another").files
    here.backups.archive()
    return replace(later, labelfile=labelfile)
