"""The tour: every class of transitions that a design can reach, and a shortest way to each.

A class says which operation met a label in which state, asked by whom, and what came of it. Some rows of the error
table share an SQLSTATE (a stale fence and a session with a stock backup of its own are both 55000), so the operation
of a class also says what was special about it. An implementation that takes the whole tour has shown every kind of
answer it gives to operations that run one after another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from model.design import Design, StopPolicy, Storage
from model.explore import Reached, concrete, explore, history, operations_of
from model.operations import (
    Abort,
    Advance,
    Backing,
    Disconnect,
    DropRole,
    Fenced,
    Hazard,
    ListBackups,
    Operation,
    Renew,
    Restart,
    Revoke,
    Rollback,
    SetResults,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.outcomes import Ok, Outcome, SqlState
from model.promises import Transition
from model.scope import ALICE, BOB, CAROL, ROOT, Scope, administration
from model.state import Backup, Cluster, initial
from model.steps import Situation
from model.transition import MAX_LABEL_BYTES, acting_as, bad_label, refused, run

ROLES = (ROOT, ALICE, BOB, CAROL)
SESSIONS = 2
"""What every path of a tour begins with: these roles, and so many sessions, none of them connected."""

LONG_LABEL = "x" * (MAX_LABEL_BYTES + 1)
BAD_LABELS = (None, "", "a\nb", LONG_LABEL)
BAD_TTLS = (0, -1)

Path = tuple[Operation, ...]


class TransitionClass(NamedTuple):
    """What transitions have in common that the same rule decides."""

    operation: str
    """The operation's class, and what is special about it: ``Stop``, ``Stop (stale)``, ``Restart (crash, copy)``."""
    label_state: str
    """What the label means before: absent, active, stopped, expired, lost (between phases also starting, stopping).
    Where backups belong to sessions: running or none. For time and restarts also what becomes of the first label:
    ``active to expired``. Where no label matters: ``-``."""
    relation: str
    """What the caller is to the backup's owner: owner, member, superuser, other; or unprivileged (without EXECUTE),
    disconnected. ``-`` where there is no caller or no owner."""
    outcome: str
    """``ok`` or the SQLSTATE."""


def classify(transition: Transition) -> TransitionClass:
    """The class of a transition: what the rule that decided it has looked at, and no more."""
    design, before, operation, outcome, after = transition[:5]
    assert isinstance(operation, Operation)
    assert isinstance(outcome, Outcome)
    kind = type(operation).__name__
    result = "ok" if isinstance(outcome, Ok) else outcome.sqlstate.value
    if (fault := argument_fault(operation)) and result in DECIDED_BY_ARGUMENTS[fault == "NULL label"]:
        return TransitionClass(f"{kind} ({fault})", "-", "-", result)
    state, caller = label_state(design, before, operation), relation(design, before, operation)
    if caller in ("disconnected", "unprivileged") and not isinstance(operation, Disconnect):
        return TransitionClass(kind, state, caller, result)
    special = ", ".join(specialities(design, before, operation, outcome))
    if isinstance(operation, Advance | Restart | SetResults) and before.backups:
        state += becomes(before, after)
    return TransitionClass(f"{kind} ({special})" if special else kind, state, caller, result)


DECIDED_BY_ARGUMENTS = {
    False: (SqlState.INVALID_PARAMETER_VALUE.value,),
    True: (SqlState.NULL_VALUE_NOT_ALLOWED.value, "ok"),
}
"""Outcomes that a bad argument (is it a NULL label?) decides alone; core's own functions do nothing for a NULL."""


def argument_fault(operation: Operation) -> str:
    """What is wrong with the arguments; empty if nothing is."""
    if isinstance(operation, Backing) and bad_label(operation.label):
        return label_fault(operation.label)
    if isinstance(operation, Start | Renew) and operation.ttl is not None and operation.ttl <= 0:
        return "ttl negative" if operation.ttl else "ttl zero"
    return ""


def specialities(design: Design, before: Cluster, operation: Operation, outcome: Outcome) -> Iterator[str]:
    """What is special about an operation: optional arguments, a stock backup held beside ours."""
    if isinstance(operation, Start | Renew) and operation.ttl is not None and isinstance(outcome, Ok):
        yield "ttl"
    if isinstance(operation, Fenced) and operation.start_point is not None:
        backup = concerned(before, operation)
        yield "fenced" if backup is not None and backup.start_point == operation.start_point else "stale"
    if isinstance(operation, Stop) and isinstance(outcome, Ok):
        backup = concerned(before, operation)
        if backup is not None and backup.carried:
            yield "carried"
    if isinstance(operation, Restart):
        yield operation.kind.value
        if operation.hazard is not None:
            yield operation.hazard.value
    if design.session_bound or not isinstance(operation, Start | Stop | Abort | Disconnect):
        return
    if own_backup(before, operation.session) == "running":
        yield "holding a stock backup"


def label_fault(label: str | None) -> str:
    """What is wrong with a label."""
    if label is None:
        return "NULL label"
    if not label:
        return "empty label"
    return "long label" if len(label.encode()) > MAX_LABEL_BYTES else "control character"


def label_state(design: Design, cluster: Cluster, operation: Operation) -> str:
    """See ``TransitionClass.label_state``."""
    match operation:
        case StockStart() | StockStop():
            return own_backup(cluster, operation.session)
        case Start() | Stop() | Rollback() | Disconnect() if design.session_bound:
            return own_backup(cluster, operation.session)
        case Start() | Stop() | Abort() | Renew() | Rollback() | Disconnect() | DropRole():
            backup = concerned(cluster, operation)
            return "absent" if backup is None else backup.state.value
        case Restart() | Advance() | SetResults():
            backup = concerned(cluster, operation)
            return "absent" if backup is None else backup.state.value
        case _:
            return "-"


def relation(design: Design, cluster: Cluster, operation: Operation) -> str:
    """See ``TransitionClass.relation``."""
    match operation:
        case DropRole(role):
            return relation_to_owner(cluster, role, concerned(cluster, operation))
        case Start() | Stop() | Abort() | Renew() | Rollback() | Disconnect():
            about = concerned(cluster, operation)
        case ListBackups() | StockStart() | StockStop():
            about = None
        case _:
            return "-"
    caller = cluster.sessions[operation.session]
    if caller is None:
        return "disconnected"
    if refused(cluster, operation.session):
        return "unprivileged"
    if design.session_bound:
        return "owner" if caller.stock is not None else "other" if cluster.stock_backups() else "-"
    return relation_to_owner(cluster, caller.role, about)


def relation_to_owner(cluster: Cluster, role_name: str, backup: Backup | None) -> str:
    """What a role is to the owner of a backup."""
    if backup is None or cluster.role(role_name) is None:
        return "-"
    if role_name == backup.owner:
        return "owner"
    roles = acting_as(cluster, role_name)
    if any(role.name == backup.owner for role in roles):
        return "member"
    return "superuser" if roles and roles[0].superuser else "other"


def becomes(before: Cluster, after: Cluster) -> str:
    """What becomes of the first label, if anything."""
    label, backup = before.backups[0]
    remains = after.backup(label)
    state = "absent" if remains is None else remains.state.value
    return "" if state == backup.state.value else f" to {state}"


def own_backup(cluster: Cluster, session_number: int) -> str:
    """Does the session hold a backup of core's own?"""
    session = cluster.sessions[session_number]
    return "none" if session is None or session.stock is None else "running"


def concerned(cluster: Cluster, operation: Operation) -> Backup | None:
    """The backup under the operation's label; the first one, if it names none and so is about all of them."""
    if isinstance(operation, Backing):
        return cluster.backup(operation.label or "")
    return cluster.backups[0][1] if cluster.backups else None


# The tour


@cache
def tour(design: Design, hazards: tuple[Hazard, ...] = ()) -> Mapping[TransitionClass, Path]:
    """Every class that is reachable with these hazards, and a shortest history that ends with a transition of it.

    A history begins with ``beginning(design)`` and makes its connections itself.
    """
    paths: dict[TransitionClass, Path] = {}
    for scope in scopes(design, hazards):
        for found, path in tour_of(scope).items():
            if found not in paths or len(path) < len(paths[found]):
                paths[found] = path
    return dict(sorted(paths.items()))


def tour_of(scope: Scope) -> dict[TransitionClass, Path]:
    """See ``tour``; breadth first, so the first history found is a shortest one."""
    first = beginning(scope.design)
    paths: dict[TransitionClass, Path] = {}

    def visit(transition: Transition, reached: Reached) -> None:
        found = classify(transition)
        if found not in paths:
            way = history(reached, transition.situation)
            path = concrete(scope, Situation(first), way, lambda one: classify(one) == found)
            paths[found] = operations_of(path)

    explore(scope, promises=(), visit=visit, first=first)
    return paths


def beginning(design: Design) -> Cluster:
    """The cluster that every path of a tour starts from."""
    return initial(design, ROLES, SESSIONS)


def scopes(design: Design, hazards: tuple[Hazard, ...]) -> tuple[Scope, ...]:
    """Small scopes that together show everything: each has much of one thing and little of the rest."""
    pause = design.settings.result_retention or 10
    little = Scope(design, roles=(ALICE,), sessions=1, ttls=(None,), seconds=(pause,), hazards=hazards)
    everyone = replace(little, roles=ROLES, ttls=(None, pause), limits=(0,), policies=tuple(StopPolicy))
    if design.session_bound:  # few enough states to have everything at once
        everything = replace(everyone, stock=True, labels=("a", *BAD_LABELS))
        return (replace(everything, sessions=2), replace(everything, administration=administration(ROLES)))
    limits = (1,) if design.storage is Storage.DYNAMIC else (1, None)  # the lack of one is refused
    return (
        replace(little, roles=(ALICE, CAROL), labels=("a", *BAD_LABELS), ttls=(None, pause, *BAD_TTLS), stock=True),
        replace(everyone, sessions=2),
        replace(everyone, stock=True),
        replace(little, roles=(ALICE, BOB, CAROL), sessions=2, stock=True),
        replace(little, labels=("a", "b"), ttls=(None, pause), limits=limits, stock=True),
        replace(little, settings_ttls=(None, pause), retentions=(0, pause)),
        replace(little, labels=("a", "b"), ttls=(None, pause), results=(0, 1)),
        replace(
            little,
            roles=ROLES[1:],
            policies=(StopPolicy.OWNER,),
            administration=administration(ROLES),
            hazards=hazards[:1],  # what is lost is lost, by whichever
        ),
        replace(little, roles=(ALICE,), stock=True, administration=(Revoke(ALICE.name), DropRole(ALICE.name))),
    )


def walk_plan(design: Design, paths: Mapping[TransitionClass, Path]) -> list[Path]:
    """Paths that together meet every class of the tour, with fewer operations than its own.

    What changes nothing is asked in passing, by the path that comes by the same state first; and a path that only
    meets what was met before is left out.
    """
    in_passing: dict[Path, list[Operation]] = defaultdict(list)
    for path in paths.values():
        before = cluster_after(design, path[:-1])
        if cluster_after(design, path) == before:
            in_passing[path[:-1]].append(path[-1])
    plan: list[Path] = []
    met: set[TransitionClass] = set()
    for found, path in sorted(paths.items(), key=lambda item: len(item[1]), reverse=True):
        if found not in met:
            plan.append(tuple(detours(path, in_passing)))
            met.update(classes_on(design, plan[-1]))
    return plan


def detours(path: Path, in_passing: dict[Path, list[Operation]]) -> Iterator[Operation]:
    """The path, with what nobody has asked yet in the states that it passes through."""
    for number, operation in enumerate(path):
        yield from in_passing.pop(path[:number], ())
        yield operation


def cluster_after(design: Design, path: Path) -> Cluster:
    """Where a path leads."""
    cluster = beginning(design)
    for operation in path:
        ((cluster, _),) = run(design, cluster, operation)
    return cluster


def classes_on(design: Design, path: Path) -> Iterator[TransitionClass]:
    """The classes that a path meets on its way."""
    cluster = beginning(design)
    for operation in path:
        ((after, outcome),) = run(design, cluster, operation)
        yield classify(Transition(design, cluster, operation, outcome, after))
        cluster = after
