"""Promises about numbers: what core counts, live backups, results."""

from __future__ import annotations

from model.design import Design, OnRestart
from model.operations import Advance, Rollback, SetResults, Start, Stop
from model.outcomes import Ok
from model.promises.declaring import Transition, everyone, forgets_or_resumes, multi_session, promise
from model.state import ACTIVE, Cluster
from model.transition import Pending, end_backup, publish_start, release


@promise(
    "Core forces full-page writes exactly while a backup runs.",
    claimed_by=forgets_or_resumes,
)
def core_counts_what_runs(t: Transition) -> bool:
    """A start counts from its start point on, a stop or an abort until core is told."""
    active = [label for label, backup in t.after.backups if backup.state is ACTIVE]
    amid = [one for one in t.left if one is not None and one.next_phase in (publish_start, end_backup, release)]
    return t.after.running_backups == len(active) + len(t.after.stock_backups()) + len(amid)


@promise(
    "No start takes the live backups over the limit.",
    claimed_by=multi_session,
    about=(Start, Rollback),
    when=(Ok, Pending),
)
def limit_is_kept(t: Transition) -> bool:
    """It takes its room when it begins. A start of core's own is no start of ours, but for the design that is core's.

    What an administrator lowers the limit to does not end what is live.
    """
    limit, live = t.after.max_backups, held(t.design, t.after)
    return limit is None or live <= limit or live <= held(t.design, t.before)


def held(design: Design, cluster: Cluster) -> int:
    """The backups that the design's own functions hold open."""
    return len(cluster.stock_backups()) if design.session_bound else cluster.live_backups()


def bounded(design: Design) -> bool:
    """Core's own are as many as there are sessions, and what is preallocated is as much as there is.

    A table that outlives the server has as many rows as it had, whatever was preallocated.
    """
    fixed = design.room(design.settings).max_backups is not None
    return design.session_bound or (fixed and design.on_restart is not OnRestart.KEEP)


@promise(
    "Whatever is set, live backups are no more than the server has set room aside for.",
    claimed_by=bounded,
)
def live_backups_are_bounded(t: Transition) -> bool:
    """Core's own are each in a session, and sessions are limited. Those that are read back have room beside."""
    live, room = [backup for _, backup in t.after.backups if backup.live], t.after.room.max_backups
    fits = room is not None and len(live) <= room
    return t.design.session_bound or fits or (room is not None and all(backup.carried for backup in live))


@promise(
    "No more results are remembered than may be, and those that ended first are forgotten first.",
    claimed_by=multi_session,
    about=(Stop, Advance, SetResults),
)
def oldest_results_go_first(t: Transition) -> bool:
    limit = t.after.max_results
    kept = [backup.ended for _, backup in t.after.backups if backup.ended]
    gone = [
        backup.ended
        for label, backup in t.before.backups
        if backup.forget_at is not None and backup.forget_at > t.after.now and t.after.backup(label) is None
    ]
    return (limit is None or len(kept) <= limit) and (not kept or not gone or max(gone) < min(kept))


@promise(
    "A new start has a number, as it has a token, that is beyond those of all backups that are remembered.",
    claimed_by=everyone,
    about=(Start, Rollback),
    when=(Ok, Pending),
)
def start_points_differ(t: Transition) -> bool:
    """It has it before it tells it."""
    match t.outcome:
        case Pending(_, _, int(given)) if given:
            pass
        case Ok(int(given)) if t.pending is None:
            pass
        case _:
            return True
    others = [one.start_point for one in t.under_way if one is not None]
    return all(point < given for point in (*t.before.remembered_points(), *others))
