"""What a design promises: named predicates over a state, or over one transition.

Each says in a sentence what a user may rely on, and which designs claim it. ``explore`` checks every promise in
every reachable state of a small scope, claimed or not: a claim with a counterexample is a bug. What a design does not
claim it should be seen to break, unless it lacks what the promise is about.
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


@dataclass(frozen=True, slots=True)
class Promise:
    """``holds`` is asked of every reachable transition of the kinds of operation that the promise is about.

    A promise about no kind is about states: it is asked of every reachable state, once, as the ``after`` of a
    transition that leads there. Where time or start points begin must not matter to it.
    """

    name: str
    sentence: str
    claimed_by: Callable[[Design], bool]
    holds: Callable[[Transition], bool]
    about: tuple[type, ...] = ()
    """The kinds of operation; empty: it is about states."""
    when: type[Ok] | type[Failed] = Ok
    """Only of operations that end so."""
    of_changes: bool = False
    """Only of operations that have changed something."""

    def asked_of(self, kind: type, outcome: type, changed: bool) -> bool:
        """Is it about such transitions?"""
        return kind in self.about and outcome is self.when and (changed or not self.of_changes)


def everyone(design: Design) -> bool:
    """Every design claims it."""
    return True


def multi_session(design: Design) -> bool:
    """Every design but core's own."""
    return not design.session_bound


def forgets_or_resumes(design: Design) -> bool:
    """The core and the list of backups agree after a restart."""
    return design.on_restart is not OnRestart.KEEP


def refusal_leaves_no_trace(t: Transition) -> bool:
    """See the sentence."""
    return t.after == t.before


def core_counts_what_runs(t: Transition) -> bool:
    """See the sentence."""
    active = [label for label, backup in t.after.backups if backup.state is ACTIVE]
    return t.after.running_backups == len(active) + len(t.after.stock_backups())


def limit_is_kept(t: Transition) -> bool:
    """See the sentence. A start of core's own is no start of ours, but for the design that is core's."""
    limit = t.design.limit(t.after.settings)
    return limit is None or held(t.design, t.after) <= limit


def oldest_results_go_first(t: Transition) -> bool:
    """See the sentence."""
    limit = t.after.settings.max_results
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


def nothing_outlives_its_deadline(t: Transition) -> bool:
    """See the sentence."""
    return all(
        backup.expires_at is None or backup.expires_at > t.after.now
        for _, backup in t.after.backups
        if backup.state is ACTIVE
    )


def start_points_differ(t: Transition) -> bool:
    """See the sentence."""
    assert isinstance(t.outcome, Ok)
    given = t.outcome.value
    return not isinstance(given, int) or all(point < given for point in t.before.remembered_points())


def outlives_its_session(t: Transition) -> bool:
    """See the sentence. Core's functions, called beside ours, keep their own rule."""
    assert isinstance(t.operation, Disconnect)
    session = t.before.sessions[t.operation.session]
    lost = t.design.session_bound and session is not None and session.stock is not None
    return t.after.backups == t.before.backups and not lost


def any_session_stops_it(t: Transition) -> bool:
    """See the sentence; refused only for want of a right, by the fence, or to a session that holds a stock backup."""
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


def stop_can_be_asked_again(t: Transition) -> bool:
    """See the sentence. An administrator who has nothing remembered has waived it."""
    row = stop_row(t.outcome)
    assert row is not None
    same = Ok(replace(row, repeated=True))
    return remembers_nothing(t) or all(again == same for _, again in run(t.design, t.after, t.operation))


def remembers_nothing(t: Transition) -> bool:
    """Has an administrator turned the memory of results off that the design has?"""
    settings = t.before.settings
    return (settings.result_retention == 0 or settings.max_results == 0) and t.design.settings.result_retention > 0


def a_stop_too_early_is_told(t: Transition) -> bool:
    """See the sentence. Core's own function has nothing to repeat."""
    assert isinstance(t.operation, Stop)
    row, backup = stop_row(t.outcome), t.before.backup(t.operation.label or "")
    if t.design.session_bound:
        return row is None or not row.repeated
    return row is None or (backup is not None and row.repeated is (backup.state is not ACTIVE))


def fence_holds(t: Transition) -> bool:
    """See the sentence."""
    assert isinstance(t.operation, Fenced)
    backup = t.before.backup(t.operation.label or "")
    return t.operation.start_point is None or (backup is not None and backup.start_point == t.operation.start_point)


def only_the_owner_ends_it(t: Transition) -> bool:
    """See the sentence."""
    assert isinstance(t.operation, Backing)
    if t.before.settings.stop_policy is StopPolicy.ANY:
        return True
    backup, session = t.before.backup(t.operation.label or ""), t.before.sessions[t.operation.session]
    if backup is None or session is None:
        return True
    roles = acting_as(t.before, session.role)
    return bool(roles) and (roles[0].superuser or backup.owner in (role.name for role in roles))


def success_can_be_restored(t: Transition) -> bool:
    """See the sentence."""
    row = stop_row(t.outcome)
    return row is None or row.restorable


def survives_a_restart(t: Transition) -> bool:
    """See the sentence; all is as it was, but what is open is now carried."""
    assert isinstance(t.operation, Restart)
    if t.operation.hazard is not None:
        return True
    return not stock_is_lost(t) and all(
        t.after.backup(label) == backup._replace(carried=backup.carried or backup.live)
        for label, backup in t.before.backups
    )


def a_loss_is_told(t: Transition) -> bool:
    """See the sentence. An administrator who has results forgotten has waived it."""
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


PROMISES = (
    Promise(
        "refusal_leaves_no_trace",
        "An operation that fails has changed nothing.",
        everyone,
        refusal_leaves_no_trace,
        get_args(Operation),
        Failed,
        of_changes=True,
    ),
    Promise(
        "core_counts_what_runs",
        "Core forces full-page writes exactly while a backup runs.",
        forgets_or_resumes,
        core_counts_what_runs,
    ),
    Promise(
        "limit_is_kept",
        "No start takes the live backups over the limit.",
        multi_session,
        limit_is_kept,
        (Start, Rollback),
    ),
    Promise(
        "oldest_results_go_first",
        "No more results are remembered than may be, and those that ended first are forgotten first.",
        multi_session,
        oldest_results_go_first,
        (Stop, Advance, SetResults),
    ),
    Promise(
        "nothing_outlives_its_deadline",
        "At its deadline a backup is expired, whether or not anyone calls anything.",
        everyone,
        nothing_outlives_its_deadline,
    ),
    Promise(
        "start_points_differ",
        "A new start has a number, as it has a token, that is beyond those of all backups that are remembered.",
        everyone,
        start_points_differ,
        (Start, Rollback),
    ),
    Promise(
        "outlives_its_session",
        "The end of a session ends no backup that a label names.",
        multi_session,
        outlives_its_session,
        (Disconnect,),
    ),
    Promise(
        "any_session_stops_it",
        "A running backup can be stopped from any session that has the right.",
        multi_session,
        any_session_stops_it,
        (Stop,),
        Failed,
    ),
    Promise(
        "stop_can_be_asked_again",
        "A stop whose answer was lost can be asked again, and answers the same.",
        lambda design: not design.session_bound and design.settings.result_retention > 0,
        stop_can_be_asked_again,
        (Stop,),
    ),
    Promise(
        "a_stop_too_early_is_told",
        "A stop says whether it has itself ended the backup, or another one had before.",
        everyone,
        a_stop_too_early_is_told,
        (Stop,),
    ),
    Promise(
        "fence_holds",
        "A stop, abort or renewal that names a start never touches the backup of another one.",
        lambda design: design.fencing,
        fence_holds,
        get_args(Fenced),
    ),
    Promise(
        "only_the_owner_ends_it",
        "Under policy owner, only the owner, its members and superusers stop, abort, renew or replace a backup.",
        multi_session,
        only_the_owner_ends_it,
        (Start, Rollback, Stop, Abort, Renew),
    ),
    Promise(
        "success_can_be_restored",
        "A stop that succeeds hands out a backup that can be restored.",
        forgets_or_resumes,
        success_can_be_restored,
        (Stop,),
    ),
    Promise(
        "survives_a_restart",
        "A restart without a hazard loses no backup: each keeps its start point, deadline and owner, or its result.",
        lambda design: design.on_restart is OnRestart.RESUME,
        survives_a_restart,
        (Restart,),
    ),
    Promise(
        "a_loss_is_told",
        "A label does not vanish in a restart, and what the restart made useless is said to be lost.",
        lambda design: design.on_restart is OnRestart.RESUME,
        a_loss_is_told,
        (Restart,),
    ),
)
