"""Promises about restarts of the server, and about copies that restore."""

from __future__ import annotations

from collections.abc import Iterator

from model.design import Design
from model.operations import Restart, Stop
from model.outcomes import stop_row
from model.promises.callers import remembers_nothing
from model.promises.declaring import Transition, forgets_or_resumes, promise, resumes
from model.state import LOST, STARTING, Backup, Cluster
from model.transition import Pending, finish, give_up, resume


@promise(
    "A stop that succeeds hands out a backup that can be restored.",
    claimed_by=forgets_or_resumes,
    about=(Stop,),
)
def success_can_be_restored(t: Transition) -> bool:
    row = stop_row(t.outcome)
    return row is None or row.restorable


@promise(
    "A restart without a hazard loses no backup: each keeps its start point, deadline and owner, or its result.",
    claimed_by=resumes,
    about=(Restart,),
)
def survives_a_restart(t: Transition) -> bool:
    """All is as it was, but what is open is now carried. What is cut off has taken place or leaves no trace."""
    assert isinstance(t.operation, Restart)
    if t.operation.hazard is not None:
        return True
    amid = {one.operation.label for one in t.under_way if one is not None}
    told = as_told(t.after, amid)
    before = t.before._replace(room=t.after.room)
    busy = [one for one in t.under_way if one is not None]
    return not stock_is_lost(t) and any(
        as_told(carried(cluster), amid) == told for cluster in may_be_left(t.design, before, busy)
    )


def may_be_left(design: Design, cluster: Cluster, busy: list[Pending]) -> Iterator[Cluster]:
    """The clusters that there may be when each of these operations has taken place, or left no trace, in any order."""
    if not busy:
        yield cluster
    for number, pending in enumerate(busy):
        others = [*busy[:number], *busy[number + 1 :]]
        traceless = give_up(cluster, pending)
        if traceless is not None:
            yield from may_be_left(design, traceless, others)
        for after, _ in finish(design, resume(design, cluster, pending)):
            yield from may_be_left(design, after, others)


def carried(cluster: Cluster) -> Cluster:
    """What is open goes on as carried."""
    backups = [(label, backup._replace(carried=backup.carried or backup.live)) for label, backup in cluster.backups]
    return cluster.with_backups(tuple(backups))


def as_told(cluster: Cluster, amid: set[str | None]) -> list[tuple[str, Backup]]:
    """What a restart may not change. Of these labels it may be either whether they are carried."""
    return [
        (label, backup._replace(ended=0, carried=backup.carried and label not in amid))
        for label, backup in cluster.backups
    ]


@promise(
    "A label does not vanish in a restart, and what the restart made useless is said to be lost.",
    claimed_by=resumes,
    about=(Restart,),
)
def a_loss_is_told(t: Transition) -> bool:
    """An administrator who has results forgotten has waived it. What nobody has been told of yet, or is being given
    up, may vanish, and what is overdue for so long that it would be forgotten.
    """
    limit = t.before.settings.max_results
    if remembers_nothing(t) or (limit is not None and limit < len(t.before.backups)):
        return True
    known = [(label, backup.before if backup.state is STARTING else backup) for label, backup in t.before.backups]
    return not stock_is_lost(t) and all(
        backup is None or backup.aborting or long_overdue(t, backup) or is_told(t.after.backup(label), backup)
        for label, backup in known
    )


def is_told(now: Backup | None, before: Backup) -> bool:
    """Is the backup there, and as good as it is said to be?"""
    return now is not None and (now.restorable or now.state is LOST or not before.live)


def long_overdue(t: Transition, backup: Backup) -> bool:
    """Is its time over, and that by as much as anything is remembered?"""
    retention = t.before.settings.result_retention
    forget_at = backup.forget_at if backup.expires_at is None or not backup.live else backup.expires_at + retention
    return forget_at is not None and forget_at <= t.before.now


def stock_is_lost(t: Transition) -> bool:
    """Has a restart ended a backup by core's functions? Called beside ours, they keep their own rule."""
    return t.design.session_bound and bool(t.before.stock_backups())
