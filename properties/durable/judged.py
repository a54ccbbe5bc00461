"""Stops of lost backups, judged: a stop has to say no; if it says yes, the restore has the word on its copy."""

import pytest

from harness.clients.implementation import DURABLE
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Snapshot
from harness.server.session import SqlError
from properties.durable.lockstep import DurableServer, archiving
from properties.recording.tally import Tally
from properties.support.restoring import check_restore


def check_lost_or_whole(here: DurableServer, tally: Tally, label: str, snapshot: Snapshot, detail: str) -> None:
    """Stop refuses the backup with this detail; fails otherwise, and with what the restore of the copy says of it.

    The restart before this need not have compared the view (``Durable.fall``): this does.
    """
    backups = here.backups
    with archiving(here.origin):
        answer = backups.ask(DURABLE.stop, {"label": label, "wait": True, "start_lsn": None})
    if not isinstance(answer, SqlError):
        backups.archive()
        scenario, files = f"durable, {backups.survival_cases[label].but}, and stop said yes", BackupFiles(*answer[:4])
        check_restore(tally, scenario, here.origin, snapshot, files, survival_case=backups.survival_cases[label])
        pytest.fail(f"stop said yes to a backup that it cannot vouch for, though its copy is whole: {scenario}")
    refusal = backups.refusal(label)
    assert refusal.detail == detail, f"{refusal}: {refusal.detail}"
    backups.agreed()
    tally.notes.append(f"durable: {backups.survival_cases[label].but}: stop says: {refusal.detail}")
