"""Promises about time: when a backup ends that nobody stops, and that it does not end before."""

from __future__ import annotations

from typing import get_args

from model.design import Design
from model.operations import Advance, Operation, Renew
from model.outcomes import Ok
from model.promises.declaring import Transition, everyone, expires, forgets_or_resumes, promise
from model.state import ACTIVE, Backup, Cluster
from model.steps import Cancel, Lose
from model.transition import Pending, finish, may_execute, may_stop, resume, run


@promise("At its deadline a backup is expired, whether or not anyone calls anything.", claimed_by=everyone)
def nothing_outlives_its_deadline(t: Transition) -> bool:
    """What somebody is stopping is not killed under his hands: it ends when he has done, or expires if he gives up."""
    return all(
        backup.expires_at is None or backup.expires_at > t.after.now
        for _, backup in t.after.backups
        if backup.state is ACTIVE
    )


@promise(
    "A deadline moves only when its backup is renewed, and then to what the caller is told.",
    claimed_by=expires,
    about=(*get_args(Operation), Cancel, Lose),
    when=(Ok, Pending, type(None)),
    of_changes=True,
)
def deadlines_are_as_told(t: Transition) -> bool:
    renewed = t.operation.label if isinstance(t.operation, Renew) else None
    for label, backup in t.after.backups:
        before = t.before.backup(label)
        if before is None or before.start_point != backup.start_point:
            continue
        told = t.outcome.value if label == renewed and isinstance(t.outcome, Ok) else before.expires_at
        if backup.expires_at != told:
            return False
    return True


def ends_by_itself(design: Design) -> bool:
    """Its backups may have a time to live, also over restarts."""
    return expires(design) and forgets_or_resumes(design)


@promise(
    "No backup stays open for ever if nobody calls anything, unless it was asked for without an end.",
    claimed_by=ends_by_itself,
)
def nothing_is_open_for_ever(t: Transition) -> bool:
    """Liveness, as a look ahead that is long enough: operations under way go on to their end, nobody calls anything
    else, and time passes beyond all deadlines. Then nothing is live but what has no deadline, although it could have
    had one.
    """
    for cluster in let_end(t.design, t.after, t.left):
        last = max([backup.expires_at or 0 for _, backup in cluster.backups], default=0)
        ((later, _),) = run(t.design, cluster, Advance(max(0, last - cluster.now)))
        endless = [backup for _, backup in later.backups if backup.live and not has_no_end(t.design, backup)]
        if endless or (t.design.session_bound and later.stock_backups()):
            return False
    return True


def has_no_end(design: Design, backup: Backup) -> bool:
    """Does it run without a deadline, although it could have had one?"""
    return design.expiry and backup.state is ACTIVE and backup.expires_at is None


def let_end(design: Design, cluster: Cluster, under_way: tuple[Pending | None, ...]) -> list[Cluster]:
    """Where it leads if each operation under way goes on to its end, one after the other."""
    clusters = [cluster]
    for pending in under_way:
        if pending is not None:
            clusters = [after for one in clusters for after, _ in finish(design, resume(design, one, pending))]
    return clusters


def never_kills(design: Design) -> bool:
    """There is no time to live, or it may be renewed."""
    return not design.expiry or design.lease


@promise(
    "A copy that is slow but alive is not killed: whoever may stop a backup may also renew it, as often as he needs.",
    claimed_by=never_kills,
)
def a_slow_copy_can_go_on(t: Transition) -> bool:
    """Of each running backup with a deadline: a look ahead beyond it, after a renewal by a session that has the right
    and is in the middle of nothing.
    """
    for label, backup in t.after.backups:
        if backup.state is not ACTIVE or backup.expires_at is None:
            continue
        rest = backup.expires_at - t.after.now
        for number, session in enumerate(t.after.sessions):
            if session is None or (t.left and t.left[number]) or not may_execute(t.after.roles, session.role):
                continue
            if may_stop(t.after, session, backup):
                ((renewed, _),) = run(t.design, t.after, Renew(number, label, rest + 1))
                ((later, _),) = run(t.design, renewed, Advance(rest))
                going = later.backup(label)
                if going is None or going.state is not ACTIVE:
                    return False
    return True
