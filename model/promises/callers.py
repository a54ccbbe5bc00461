"""Promises to callers: what they are told, from which sessions, and what a call leaves that fails or is cut off."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never, get_args

from model.operations import Abort, Connect, Disconnect, Operation, Rollback, Start, Stop
from model.outcomes import Failed, Ok, SqlState, stop_row
from model.promises.declaring import Transition, everyone, multi_session, promise, remembers_results
from model.state import ACTIVE, EXPIRED, STARTING, STOPPED, Backup, Cluster
from model.steps import Cancel, CutOff, Lose
from model.transition import Pending, invoke, may_execute, may_stop, publish_stop, refused, run


@promise(
    "An operation that fails has changed nothing.",
    claimed_by=everyone,
    about=get_args(Operation),
    when=(Failed,),
    of_changes=True,
)
def refusal_leaves_no_trace(t: Transition) -> bool:
    return t.after == t.before


@promise(
    "An operation that is cut off takes place or leaves no trace; if it has ended the backup, it takes place.",
    claimed_by=everyone,
    about=(Cancel, Lose),
    when=(Failed, type(None)),
)
def a_cut_is_all_or_nothing(t: Transition) -> bool:
    """Its label is as if it had ended, or as it was before, as far as time allows; and others are untouched."""
    assert isinstance(t.operation, CutOff)
    pending = t.under_way[t.operation.session]
    assert pending is not None
    label = pending.operation.label or ""
    backup = t.before.backup(label)
    assert backup is not None
    was = backup.before if backup.state is STARTING else backup._replace(state=ACTIVE, aborting=False)
    undone = pending.next_phase is not publish_stop and remains(t, label, was)
    return (undone or took_place(t, pending)) and all(
        remains(t, other, one) for other, one in t.before.backups if other != label
    )


def took_place(t: Transition, pending: Pending) -> bool:
    """Is the label as the operation leaves it when it succeeds?"""
    now = t.after.backup(pending.operation.label or "")
    match pending.operation:
        case Start():
            return now is not None and now.state is ACTIVE and now.start_point == pending.start_point
        case Stop():
            return forgettable(t) if now is None else now.state is STOPPED
        case Abort():
            return now is None
        case _:
            assert_never(pending.operation)


def remains(t: Transition, label: str, was: Backup | None) -> bool:
    """Is the backup under the label still as it was? Or has it expired, or been forgotten, since its time is over?"""
    now = t.after.backup(label)
    if now == was:
        return True
    if was is None:
        return False
    ends_at = was.expires_at if was.state is ACTIVE else None
    if now is not None:
        overdue = ends_at is not None and ends_at <= t.after.now
        return overdue and now.state is EXPIRED and now.start_point == was.start_point
    forget_at = was.forget_at if ends_at is None else ends_at + t.after.settings.result_retention
    return forget_at is not None and (forget_at <= t.after.now or forgettable(t))


def forgettable(t: Transition) -> bool:
    """Are there as many results as may be remembered?"""
    limit = t.after.max_results
    return t.after.settings.result_retention == 0 or (limit is not None and len(t.after.places()) >= limit)


@promise(
    "A start in a transaction that is rolled back is as any other: nothing is lost with the transaction.",
    claimed_by=everyone,
    about=(Rollback,),
    when=(Ok, Failed, Pending),
)
def a_rollback_loses_nothing(t: Transition) -> bool:
    """Where operations overlap its first phase says so: those that follow are a start's."""
    assert isinstance(t.operation, Rollback)
    alike = invoke if t.under_way else run
    return (t.after, t.outcome) in alike(t.design, t.before, t.operation.start)


@promise(
    "The end of a session ends no backup that a label names.",
    claimed_by=multi_session,
    about=(Disconnect,),
)
def outlives_its_session(t: Transition) -> bool:
    """Core's functions, called beside ours, keep their own rule."""
    assert isinstance(t.operation, Disconnect)
    session = t.before.sessions[t.operation.session]
    lost = t.design.session_bound and session is not None and session.stock is not None
    return t.after.backups == t.before.backups and not lost


@promise(
    "A backup needs no connection: if all sessions end, it goes on, and a new one can stop it.",
    claimed_by=multi_session,
)
def it_holds_no_connection(t: Transition) -> bool:
    """A look ahead from where nothing is under way: all sessions end, and somebody who has the right connects."""
    if t.design.session_bound:
        return not t.after.stock_backups()
    running = [label for label, backup in t.after.backups if backup.state is ACTIVE]
    if any(t.left) or not running:
        return True
    alone = t.after
    for number in range(len(alone.sessions)):
        ((alone, _),) = run(t.design, alone, Disconnect(number))
    return all(can_be_stopped(t, alone, label) for label in running)


def can_be_stopped(t: Transition, alone: Cluster, label: str) -> bool:
    """Can a new session stop the backup, as somebody who has the right to?"""
    for role in t.after.roles:
        if may_execute(alone.roles, role.name):
            ((connected, _),) = run(t.design, alone, Connect(0, role.name))
            session, backup = connected.sessions[0], connected.backup(label)
            if session is None or backup is None:
                return False
            if may_stop(connected, session, backup):
                ((_, outcome),) = run(t.design, connected, Stop(0, label))
                return stop_row(outcome) is not None
    return True


@promise(
    "A running backup can be stopped from any session that has the right.",
    claimed_by=multi_session,
    about=(Stop,),
    when=(Failed,),
)
def any_session_stops_it(t: Transition) -> bool:
    """Refused only for want of a right, by the fence, or to a session that holds a stock backup."""
    assert isinstance(t.operation, Stop)
    session = t.before.sessions[t.operation.session]
    assert isinstance(t.outcome, Failed)
    if session is None or session.stock is not None:
        return True
    if t.design.session_bound:
        runs = any(stock.label == t.operation.label for stock in t.before.stock_backups())
        return not runs or t.outcome.sqlstate is SqlState.INSUFFICIENT_PRIVILEGE
    backup = t.before.backup(t.operation.label or "")
    if backup is None or backup.state is not ACTIVE or t.operation.start_point not in (None, backup.start_point):
        return True
    return t.outcome.sqlstate in (SqlState.INSUFFICIENT_PRIVILEGE, SqlState.UNDEFINED_FUNCTION)


@promise(
    "A stop whose answer was lost can be asked again, and answers the same.",
    claimed_by=remembers_results,
    about=(Stop,),
)
def stop_can_be_asked_again(t: Transition) -> bool:
    """An administrator who has nothing remembered, or has taken the right away meanwhile, has waived it."""
    assert isinstance(t.operation, Stop)
    row = stop_row(t.outcome)
    assert row is not None
    same = Ok(replace(row, repeated=True))
    return remembers_nothing(t) or right_is_gone(t) or all(a == same for _, a in run(t.design, t.after, t.operation))


def right_is_gone(t: Transition) -> bool:
    """Has the session that is stopping a backup no right to any more?"""
    assert isinstance(t.operation, Stop)
    session, backup = t.after.sessions[t.operation.session], t.after.backup(t.operation.label or "")
    if t.pending is None or session is None or backup is None:
        return False
    return refused(t.after, t.operation.session) is not None or not may_stop(t.after, session, backup)


def remembers_nothing(t: Transition) -> bool:
    """Has an administrator turned the memory of results off that the design has?"""
    settings = t.before.settings
    return (settings.result_retention == 0 or t.before.max_results == 0) and t.design.settings.result_retention > 0


@promise(
    "A stop says whether it has itself ended the backup, or another one had before.",
    claimed_by=everyone,
    about=(Stop,),
)
def a_stop_too_early_is_told(t: Transition) -> bool:
    """Core's own function has nothing to repeat."""
    assert isinstance(t.operation, Stop)
    row, backup = stop_row(t.outcome), t.before.backup(t.operation.label or "")
    if t.design.session_bound:
        return row is None or not row.repeated
    return row is None or (backup is not None and row.repeated is (backup.state is STOPPED))


@promise(
    "A label names one live backup: a start under a label that is live is refused.",
    claimed_by=multi_session,
    about=(Start, Rollback),
    when=(Ok, Pending),
)
def a_label_is_not_used_twice(t: Transition) -> bool:
    """Core's own functions take whatever label they are given."""
    assert isinstance(t.operation, Start | Rollback)
    label = t.operation.label or ""
    if t.design.session_bound:
        return all(stock.label != label for stock in t.before.stock_backups())
    backup = t.before.backup(label)
    return t.pending is not None or backup is None or not backup.live
