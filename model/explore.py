"""Exhaustive breadth-first exploration of a small scope: every reachable state, every operation in each.

Breadth first, so the first counterexample found for a promise is a shortest one. States that differ only in how
late it is or in how many start points were given out before are one state (``normal``), so the exploration ends.

``python -m model`` prints states, transitions, depth, rate and verdicts for every named design.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from typing import get_args

from model.design import Design, OnRestart, StopPolicy
from model.numbers import StartPoint, Time
from model.operations import (
    Abort,
    AddMember,
    Advance,
    Connect,
    Disconnect,
    DropRole,
    Fenced,
    Grant,
    Hazard,
    ListBackups,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Revoke,
    Rollback,
    SetLimit,
    SetPolicy,
    SetResults,
    SetRetention,
    SetTtl,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.outcomes import Failed, Ok
from model.promises import PROMISES, Promise, Transition
from model.state import USELESS, Backup, Cluster, Role, Session, StockBackup, initial
from model.transition import run

ROOT = Role("root", superuser=True)
ALICE = Role("alice", execute=True, monitor=True)
BOB = Role("bob", execute=True, member_of=("alice",))
CAROL = Role("carol")

STALE = StartPoint(0)
"""A start that no backup has: what a late caller remembers of a backup long gone."""


@dataclass(frozen=True)
class Scope:
    """What the exploration may use: a few of everything. What the design does not have is left out."""

    design: Design
    roles: tuple[Role, ...] = (ROOT, ALICE)
    sessions: int = 2
    labels: tuple[str | None, ...] = ("a",)
    ttls: tuple[int | None, ...] = (None, 10)
    seconds: tuple[int, ...] = (10,)
    retention: int = 10
    """The setting to begin with; a design that remembers nothing keeps its zero."""
    limits: tuple[int | None, ...] = ()
    settings_ttls: tuple[int | None, ...] = ()
    policies: tuple[StopPolicy, ...] = ()
    retentions: tuple[int, ...] = ()
    results: tuple[int | None, ...] = ()
    administration: tuple[Operation, ...] = ()
    """Grants, revokes and the like."""
    stock: bool = False
    """Do the sessions use core's own functions too?"""
    hazards: tuple[Hazard, ...] = ()
    """Of restarts. Where a restart leaves nothing, there are none."""

    def connected(self) -> list[Role]:
        """Whom the sessions belong to in the beginning: the roles in turn."""
        return [self.roles[number % len(self.roles)] for number in range(self.sessions)]


@dataclass
class Exploration:
    """What was found."""

    scope: Scope
    states: int = 0
    transitions: int = 0
    depth: int = 0
    seconds: float = 0.0
    broken: dict[str, tuple[Operation, ...]] = field(default_factory=dict)
    """Promise to a shortest history that breaks it."""

    def rate(self) -> float:
        """Transitions per second."""
        return self.transitions / self.seconds if self.seconds else 0.0


def start_of(scope: Scope) -> Cluster:
    """Where the exploration begins: every session connected."""
    settings = scope.design.settings
    if settings.result_retention > 0:
        settings = settings._replace(result_retention=scope.retention)
    sessions = tuple(Session(role.name) for role in scope.connected())
    return initial(scope.design, scope.roles, scope.sessions, settings)._replace(sessions=sessions)


def operations(scope: Scope) -> tuple[Operation, ...]:
    """Every operation of the scope, except for those with the right fence, which depend on the state."""
    return tuple(generate(scope))


def generate(scope: Scope) -> Iterator[Operation]:
    """See ``operations``."""
    shared = not scope.design.session_bound
    for number in range(scope.sessions):
        for label in scope.labels:
            yield Stop(number, label)
            for ttl in scope.ttls if scope.design.expiry else (None,):
                yield Start(number, label, ttl)
            yield Rollback(Start(number, label))
            if shared:
                yield Abort(number, label)
            if scope.design.fencing:
                yield from fenced_by(number, label, STALE)
            if scope.design.lease:
                for ttl in scope.ttls:
                    yield Renew(number, label, ttl)
        if shared:
            yield ListBackups(number)
        if scope.stock:
            yield StockStart(number, "stock")
            yield StockStop(number)
        for role in scope.roles:
            yield Connect(number, role.name)
        yield Disconnect(number)
    for kind in RestartKind:
        yield Restart(kind)
    if scope.design.on_restart is not OnRestart.FORGET:
        yield from (Restart(RestartKind.CRASH, hazard) for hazard in scope.hazards)
    yield from (Advance(seconds) for seconds in scope.seconds)
    if shared:
        yield from (SetLimit(limit) for limit in scope.limits)
        yield from (SetPolicy(policy) for policy in scope.policies)
        if scope.design.expiry:
            yield from (SetTtl(ttl) for ttl in scope.settings_ttls)
        if scope.design.settings.result_retention > 0:
            yield from (SetRetention(retention) for retention in scope.retentions)
            yield from (SetResults(results) for results in scope.results)
    yield from scope.administration


def fenced(scope: Scope, cluster: Cluster) -> Iterator[Operation]:
    """What names the right start of a backup that is there."""
    if scope.design.fencing:
        for label, backup in cluster.backups:
            for number in range(scope.sessions):
                yield from fenced_by(number, label, backup.start_point)


def fenced_by(number: int, label: str | None, start_point: StartPoint) -> Iterator[Operation]:
    """All that a session may do with a fence."""
    yield Stop(number, label, start_point)
    yield Abort(number, label, start_point)
    yield Renew(number, label, start_point=start_point)


def administration(roles: tuple[Role, ...]) -> tuple[Operation, ...]:
    """Everything that an administrator may do to the roles that are no superusers."""
    names = [role.name for role in roles if not role.superuser]
    changes = (change(name) for name in names for change in (Grant, Revoke, DropRole))
    return (*changes, *(AddMember(role, group) for role in names for group in names))


def explore(
    scope: Scope,
    promises: tuple[Promise, ...] = PROMISES,
    visit: Visit | None = None,
    first: Cluster | None = None,
) -> Exploration:
    """Every reachable state of the scope, from ``first``, or else with every session connected.

    A claim that is broken ends the exploration early: it is a bug, and what is left may have no end.
    ``visit`` sees each transition, and can ask for the history before it.
    """
    design, began = scope.design, time.perf_counter()
    found = Exploration(scope)
    first = start_of(scope) if first is None else normal(first)
    parents: Parents = {first: None}
    fixed = operations(scope)
    of_states = tuple(promise for promise in promises if not promise.about)
    asked = {
        (kind, outcome, changed): tuple(p for p in promises if p.asked_of(kind, outcome, changed))
        for kind, outcome, changed in product(get_args(Operation), (Ok, Failed), (True, False))
    }
    level, transitions = [first], 0
    while level and not any(promise.claimed_by(design) and promise.name in found.broken for promise in promises):
        following: list[Cluster] = []
        for before in level:
            for operation in (*fixed, *fenced(scope, before)):
                for after, outcome in run(design, before, operation):
                    transitions += 1
                    changed = after is not before
                    questions = asked[type(operation), type(outcome), changed]
                    if changed and (reached := normal(after)) not in parents:
                        parents[reached] = (before, operation)
                        following.append(reached)
                        questions += of_states
                    if not questions and visit is None:
                        continue
                    transition = Transition(design, before, operation, outcome, after)
                    for promise in questions:
                        if not promise.holds(transition) and promise.name not in found.broken:
                            found.broken[promise.name] = concrete(design, first, (*history(parents, before), operation))
                    if visit is not None:
                        visit(transition, parents)
        found.depth += bool(following)
        level = following
    found.states, found.transitions, found.seconds = len(parents), transitions, time.perf_counter() - began
    return found


Parents = dict[Cluster, tuple[Cluster, Operation] | None]
"""How each state was first reached; None: the first one."""

Visit = Callable[[Transition, Parents], None]


def history(parents: Parents, cluster: Cluster) -> tuple[Operation, ...]:
    """A shortest way from the beginning to this state."""
    path: list[Operation] = []
    while (step := parents[cluster]) is not None:
        cluster, operation = step
        path.append(operation)
    return tuple(reversed(path))


def concrete(design: Design, cluster: Cluster, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The same history for a real cluster: fences name start points as given out, not as ``normal`` has them."""
    path: list[Operation] = []
    for operation in operations:
        if isinstance(operation, Fenced) and operation.start_point:
            operation = replace(operation, start_point=sorted(cluster.remembered_points())[operation.start_point - 1])
        path.append(operation)
        ((cluster, _),) = run(design, cluster, operation)
    return tuple(path)


def normal(cluster: Cluster) -> Cluster:
    """The same state at time zero, with its start points numbered from one, and without what no rule looks at."""
    points = sorted(cluster.remembered_points())
    moot = [
        label
        for label, backup in cluster.backups
        if (backup.expires_at is not None and not backup.live)
        or (backup.state in USELESS and (backup.carried or not backup.restorable))
    ]
    places = sorted([backup.ended for _, backup in cluster.backups if backup.ended])
    if cluster.now == 0 and cluster.start_points == len(points) and not moot and places == [*range(1, len(places) + 1)]:
        return cluster
    return Cluster(
        cluster.settings,
        cluster.roles,
        tuple([normal_session(session, points) if session else None for session in cluster.sessions]),
        tuple(
            [
                (label, normal_backup(backup, cluster.now, numbered(backup.start_point, points), place(backup, places)))
                for label, backup in cluster.backups
            ]
        ),
        now=Time(0),
        start_points=StartPoint(len(points)),
        running_backups=cluster.running_backups,
        room=cluster.room,
    )


def numbered(start_point: StartPoint, points: list[StartPoint]) -> StartPoint:
    """The same order, numbered from one."""
    return StartPoint(points.index(start_point) + 1)


def place(backup: Backup, places: list[int]) -> int:
    """The same order, numbered from one."""
    return places.index(backup.ended) + 1 if backup.ended else 0


@cache
def normal_backup(backup: Backup, now: Time, start_point: StartPoint, ended: int) -> Backup:
    """See ``normal``; remembered, since a few backups make up many states."""
    return Backup(
        backup.state,
        backup.owner,
        start_point,
        start_time=Time(0),
        expires_at=None if backup.expires_at is None or not backup.live else Time(backup.expires_at - now),
        stop_time=None if backup.stop_time is None else Time(0),
        forget_at=None if backup.forget_at is None else Time(backup.forget_at - now),
        ended=ended,
        restorable=backup.restorable or backup.state in USELESS,
        carried=backup.carried and backup.state not in USELESS,
    )


def normal_session(session: Session, points: list[StartPoint]) -> Session:
    """See ``normal``."""
    if session.stock is None:
        return session
    return Session(session.role, StockBackup(session.stock.label, numbered(session.stock.start_point, points)))


EVERYONE = (ROOT, ALICE, BOB, CAROL)

SCOPES: dict[str, Callable[[Design], Scope]] = {
    "labels": lambda design: Scope(design, roles=(ALICE, BOB), labels=("a", "b"), limits=(None, 1)),
    "settings": lambda design: Scope(design, settings_ttls=(None, 10), retentions=(0, 10), limits=(None, 0)),
    "results": lambda design: Scope(
        design, roles=(ALICE,), sessions=1, labels=("a", "b", "c"), results=(None, 0, 1, 2), hazards=(Hazard.ABSENCE,)
    ),
    "stock": lambda design: Scope(design, roles=(ALICE, BOB), stock=True),
    "owners": lambda design: Scope(design, roles=EVERYONE, policies=tuple(StopPolicy)),
    "roles": lambda design: Scope(
        design,
        roles=EVERYONE,
        sessions=1,
        ttls=(None,),
        policies=(StopPolicy.OWNER,),
        administration=administration(EVERYONE),
    ),
    "restarts": lambda design: Scope(
        design, roles=(ALICE,), sessions=1, labels=("a", "b"), retentions=(0, 10), hazards=tuple(Hazard), stock=True
    ),
}
"""Small scopes that together show everything: each has much of one thing and little of the rest."""
