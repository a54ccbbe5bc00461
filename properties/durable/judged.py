"""Stops of backups after restarts, judged: if a stop says yes, the restore has the word on the copy."""

import pytest
from msgspec.structs import replace

from harness.clients.implementation import DURABLE, UNFENCED
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Snapshot
from harness.server.session import SqlError
from properties.durable.lockstep import REFUSED, DurableServer, archiving
from properties.recording.tally import Tally
from properties.support.restoring import check_restore


def check_lost_or_whole(here: DurableServer, tally: Tally, label: str, snapshot: Snapshot, detail: str) -> None:
    """Stop refuses the backup with this detail; fails otherwise, and with what the restore of the copy says of it.

    The restart before this need not have compared the view (``Durable.fall``): this does.
    """
    backups = here.backups
    with archiving(here.origin):
        answer = backups.ask(DURABLE.stop, {"label": label, "wait": True, **UNFENCED})
    if not isinstance(answer, SqlError):
        backups.archive()
        scenario, files = f"durable, {backups.survival_cases[label].but}, and stop said yes", BackupFiles(*answer[:4])
        check_restore(tally, scenario, here.origin, snapshot, files, survival_case=backups.survival_cases[label])
        pytest.fail(f"stop said yes to a backup that it cannot vouch for, though its copy is whole: {scenario}")
    refusal = backups.refusal(label)
    assert refusal.detail == detail, f"{refusal}: {refusal.detail}"
    backups.agreed()
    tally.notes.append(f"durable: {backups.survival_cases[label].but}: stop says: {refusal.detail}")


def check_no_wrong_yes(here: DurableServer, tally: Tally, label: str, snapshot: Snapshot, what: str) -> str | None:
    """Stop refuses the backup, which is shown as lost then, and this returns the reason; or else the copy is restored
    whole, to the stop point and beyond it.

    Nothing here asks the model, which does not know everything that can be done to a server that is down.
    """
    backups = here.backups
    survival_case = replace(backups.survival_cases[label], but=what)
    with archiving(here.origin):
        answer = backups.ask(DURABLE.stop, {"label": label, "wait": True, **UNFENCED})
    if isinstance(answer, SqlError):
        assert answer.sqlstate == REFUSED, f"{what}: {answer}"
        assert (label, "lost") in backups.rows(), f"{what}: {answer}"
        tally.refused(survival_case, answer)
        return answer.detail
    backups.archive()
    files = BackupFiles(*answer[:4])
    for to_the_end in (False, True):
        scenario = f"durable, {what}" + (", to the end" if to_the_end else "")
        taken = here.origin, snapshot, files
        check_restore(tally, scenario, *taken, to_the_end=to_the_end, survival_case=survival_case)
    return None
