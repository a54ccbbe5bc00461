"""Promises about who may do what: fences, policies, label files."""

from __future__ import annotations

from typing import get_args

from model.design import Design, StopPolicy
from model.numbers import StartPoint
from model.operations import Abort, Backing, Fenced, Operation, Renew, Rollback, Start, Stop
from model.outcomes import Failed, Ok, SqlState, stop_row
from model.promises.declaring import Transition, everyone, fences, multi_session, promise
from model.state import ACTIVE, Backup
from model.transition import Pending, acting_as, may_execute, run


@promise(
    "A stop, abort or renewal that names a start never touches the backup of another one.",
    claimed_by=fences,
    about=get_args(Fenced),
    when=(Ok, Pending),
)
def fence_holds(t: Transition) -> bool:
    assert isinstance(t.operation, Fenced)
    backup = t.before.backup(t.operation.label or "")
    return t.operation.start_point is None or (backup is not None and backup.start_point == t.operation.start_point)


def tells_starts_apart(design: Design) -> bool:
    """A start can be named; or it needs no name, since its session has no other."""
    return design.fencing or design.session_bound


@promise(
    "A caller who comes late can make sure that he stops the backup that was started for him, and no later one.",
    claimed_by=tells_starts_apart,
)
def a_late_stop_can_be_told_apart(t: Transition) -> bool:
    """A look ahead: of each running backup, a stop that means another start; it is offered, and refused."""
    if t.design.session_bound:
        return True
    for label, backup in t.after.backups:
        for number in range(len(t.after.sessions)) if backup.state is ACTIVE else ():
            other = StartPoint(backup.start_point + 1)
            for _, outcome in run(t.design, t.after, Stop(number, label, other)):
                if not isinstance(outcome, Failed) or outcome.sqlstate is SqlState.UNDEFINED_FUNCTION:
                    return False
    return True


@promise(
    "Under policy owner, only the owner, its members and superusers stop, abort, renew or replace a backup.",
    claimed_by=multi_session,
    about=(Start, Rollback, Stop, Abort, Renew),
    when=(Ok, Pending),
)
def only_the_owner_ends_it(t: Transition) -> bool:
    """Whoever had the right when he began may go on to the end."""
    assert isinstance(t.operation, Backing)
    backup = t.before.backup(t.operation.label or "")
    return t.pending is not None or backup is None or owns(t, t.operation.session, backup)


def owns(t: Transition, number: int, backup: Backup) -> bool:
    """Has the session the right to a backup under the policy that holds now?"""
    session = t.before.sessions[number]
    if session is None or t.before.settings.stop_policy is StopPolicy.ANY:
        return True
    roles = acting_as(t.before, session.role)
    return bool(roles) and (roles[0].superuser or backup.owner in (role.name for role in roles))


@promise(
    "Nobody reads the label file of a backup who may not stop it.",
    claimed_by=everyone,
    about=get_args(Operation),
)
def label_files_are_for_those_who_may_stop(t: Transition) -> bool:
    """A stop hands it out, first or again; and nothing else does. Whoever has begun to stop it may see what comes."""
    row = stop_row(t.outcome)
    if row is None:
        return True
    number = getattr(t.operation, "session", None)
    session = t.before.sessions[number] if number is not None else None
    if session is None or number is None:
        return False
    backup = t.before.backup(row.label)
    allowed = may_execute(t.before.roles, session.role) and (backup is None or owns(t, number, backup))
    return t.pending is not None or allowed
