"""What a design promises: named predicates over a state, or over one transition.

Each says in a sentence what a user may rely on, which designs claim it, and, as a function right below, when it is
kept. ``explore`` checks every promise in every reachable state of a small scope, claimed or not: a claim with a
counterexample is a bug. What a design does not claim it should be seen to break, unless it lacks what the promise is
about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, get_args

from model.design import Design, OnRestart, StopPolicy
from model.operations import (
    Abort,
    Advance,
    Backing,
    Disconnect,
    Fenced,
    Operation,
    Renew,
    Restart,
    Rollback,
    SetResults,
    Start,
    Stop,
)
from model.outcomes import Failed, Ok, Outcome, SqlState, stop_row
from model.state import ACTIVE, LOST, Cluster
from model.transition import acting_as, run


class Transition(NamedTuple):
    """One operation, run without interruption."""

    design: Design
    before: Cluster
    operation: Operation
    outcome: Outcome
    after: Cluster


Claim = Callable[[Design], bool]
"""Does a design claim a promise?"""
Predicate = Callable[[Transition], bool]
"""Is a promise kept?"""


@dataclass(frozen=True, slots=True)
class Promise:
    """``holds`` is asked of every reachable transition of the kinds of operation that the promise is about.

    A promise about no kind is about states: it is asked of every reachable state, once, as the ``after`` of a
    transition that leads there. Where time or start points begin must not matter to it.
    """

    name: str
    sentence: str
    claimed_by: Claim
    holds: Predicate
    about: tuple[type, ...] = ()
    """The kinds of operation; empty: it is about states."""
    when: type[Ok] | type[Failed] = Ok
    """Only of operations that end so."""
    of_changes: bool = False
    """Only of operations that have changed something."""

    def asked_of(self, kind: type, outcome: type, changed: bool) -> bool:
        """Is it about such transitions?"""
        return kind in self.about and outcome is self.when and (changed or not self.of_changes)


# Who claims a promise


def everyone(design: Design) -> bool:
    """Every design claims it."""
    return True


def multi_session(design: Design) -> bool:
    """Every design but core's own."""
    return not design.session_bound


def forgets_or_resumes(design: Design) -> bool:
    """The core and the list of backups agree after a restart."""
    return design.on_restart is not OnRestart.KEEP


def remembers_results(design: Design) -> bool:
    """It has a label's result after the backup has ended."""
    return not design.session_bound and design.settings.result_retention > 0


def expires(design: Design) -> bool:
    """Its backups may have a time to live."""
    return design.expiry


def fences(design: Design) -> bool:
    """A start can be named by more than its label."""
    return design.fencing


def resumes(design: Design) -> bool:
    """Its backups go on after a restart."""
    return design.on_restart is OnRestart.RESUME


# The promises, each with the function that says whether it is kept

_declared: list[Promise] = []
"""Those that were declared so far, in the order of this file."""


def promise(
    sentence: str,
    *,
    claimed_by: Claim = everyone,
    about: tuple[type, ...] = (),
    when: type[Ok] | type[Failed] = Ok,
    of_changes: bool = False,
) -> Callable[[Predicate], Predicate]:
    """Declares a promise. The function that stands right below says when it is kept, and lends it its name.

    What the other words mean is said in ``Promise``.
    """

    def declare(holds: Predicate) -> Predicate:
        _declared.append(Promise(holds.__name__, sentence, claimed_by, holds, about, when, of_changes))
        return holds

    return declare


@promise(
    "An operation that fails has changed nothing.",
    about=get_args(Operation),
    when=Failed,
    of_changes=True,
)
def refusal_leaves_no_trace(t: Transition) -> bool:
    return t.after == t.before


@promise(
    "Core forces full-page writes exactly while a backup runs.",
    claimed_by=forgets_or_resumes,
)
def core_counts_what_runs(t: Transition) -> bool:
    active = [label for label, backup in t.after.backups if backup.state is ACTIVE]
    return t.after.running_backups == len(active) + len(t.after.stock_backups())


@promise(
    "No start takes the live backups over the limit.",
    claimed_by=multi_session,
    about=(Start, Rollback),
)
def limit_is_kept(t: Transition) -> bool:
    """A start of core's own is no start of ours, but for the design that is core's."""
    limit = t.after.max_backups
    return limit is None or held(t.design, t.after) <= limit


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


def held(design: Design, cluster: Cluster) -> int:
    """The backups that the design's own functions hold open."""
    return len(cluster.stock_backups()) if design.session_bound else cluster.live_backups()


@promise("At its deadline a backup is expired, whether or not anyone calls anything.")
def nothing_outlives_its_deadline(t: Transition) -> bool:
    return all(
        backup.expires_at is None or backup.expires_at > t.after.now
        for _, backup in t.after.backups
        if backup.state is ACTIVE
    )


@promise(
    "A deadline moves only when its backup is renewed, and then to what the caller is told.",
    claimed_by=expires,
    about=get_args(Operation),
    of_changes=True,
)
def deadlines_are_as_told(t: Transition) -> bool:
    renewed = t.operation.label if isinstance(t.operation, Renew) else None
    assert isinstance(t.outcome, Ok)
    for label, backup in t.after.backups:
        before = t.before.backup(label)
        if before is None or before.start_point != backup.start_point:
            continue
        if backup.expires_at != (t.outcome.value if label == renewed else before.expires_at):
            return False
    return True


@promise(
    "A new start has a number, as it has a token, that is beyond those of all backups that are remembered.",
    about=(Start, Rollback),
)
def start_points_differ(t: Transition) -> bool:
    assert isinstance(t.outcome, Ok)
    given = t.outcome.value
    return not isinstance(given, int) or all(point < given for point in t.before.remembered_points())


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
    "A running backup can be stopped from any session that has the right.",
    claimed_by=multi_session,
    about=(Stop,),
    when=Failed,
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
    """An administrator who has nothing remembered has waived it."""
    row = stop_row(t.outcome)
    assert row is not None
    same = Ok(replace(row, repeated=True))
    return remembers_nothing(t) or all(again == same for _, again in run(t.design, t.after, t.operation))


def remembers_nothing(t: Transition) -> bool:
    """Has an administrator turned the memory of results off that the design has?"""
    settings = t.before.settings
    return (settings.result_retention == 0 or settings.max_results == 0) and t.design.settings.result_retention > 0


@promise(
    "A stop says whether it has itself ended the backup, or another one had before.",
    about=(Stop,),
)
def a_stop_too_early_is_told(t: Transition) -> bool:
    """Core's own function has nothing to repeat."""
    assert isinstance(t.operation, Stop)
    row, backup = stop_row(t.outcome), t.before.backup(t.operation.label or "")
    if t.design.session_bound:
        return row is None or not row.repeated
    return row is None or (backup is not None and row.repeated is (backup.state is not ACTIVE))


@promise(
    "A stop, abort or renewal that names a start never touches the backup of another one.",
    claimed_by=fences,
    about=get_args(Fenced),
)
def fence_holds(t: Transition) -> bool:
    assert isinstance(t.operation, Fenced)
    backup = t.before.backup(t.operation.label or "")
    return t.operation.start_point is None or (backup is not None and backup.start_point == t.operation.start_point)


@promise(
    "Under policy owner, only the owner, its members and superusers stop, abort, renew or replace a backup.",
    claimed_by=multi_session,
    about=(Start, Rollback, Stop, Abort, Renew),
)
def only_the_owner_ends_it(t: Transition) -> bool:
    assert isinstance(t.operation, Backing)
    if t.before.settings.stop_policy is StopPolicy.ANY:
        return True
    backup, session = t.before.backup(t.operation.label or ""), t.before.sessions[t.operation.session]
    if backup is None or session is None:
        return True
    roles = acting_as(t.before, session.role)
    return bool(roles) and (roles[0].superuser or backup.owner in (role.name for role in roles))


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
    """All is as it was, but what is open is now carried."""
    assert isinstance(t.operation, Restart)
    if t.operation.hazard is not None:
        return True
    return not stock_is_lost(t) and all(
        t.after.backup(label) == backup._replace(carried=backup.carried or backup.live)
        for label, backup in t.before.backups
    )


@promise(
    "A label does not vanish in a restart, and what the restart made useless is said to be lost.",
    claimed_by=resumes,
    about=(Restart,),
)
def a_loss_is_told(t: Transition) -> bool:
    """An administrator who has results forgotten has waived it."""
    limit = t.before.settings.max_results
    if remembers_nothing(t) or (limit is not None and limit < len(t.before.backups)):
        return True
    return not stock_is_lost(t) and all(
        (now := t.after.backup(label)) is not None and (now.restorable or now.state is LOST or not backup.live)
        for label, backup in t.before.backups
    )


def stock_is_lost(t: Transition) -> bool:
    """Has a restart ended a backup by core's functions? Called beside ours, they keep their own rule."""
    return t.design.session_bound and bool(t.before.stock_backups())


PROMISES = tuple(_declared)
"""All of them."""
