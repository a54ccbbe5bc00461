"""Scopes: how much of everything an exploration may use, and the operations that this makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from model.design import Design, OnRestart, StopPolicy
from model.numbers import StartPoint
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
from model.state import Cluster, Role, Session, initial

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
    phases: bool = False
    """Do operations overlap, phase by phase, and are they cut off? Else they run one after the other."""
    symmetry: bool = False
    """Are situations one that differ only in which session, label or role is which?"""

    def connected(self) -> list[Role]:
        """Whom the sessions belong to in the beginning: the roles in turn."""
        return [self.roles[number % len(self.roles)] for number in range(self.sessions)]

    def longest_retention(self) -> int:
        """What is overdue by so many seconds is forgotten as soon as it ends, whatever the setting."""
        return max((self.retention, *self.retentions))


def start_of(scope: Scope) -> Cluster:
    """Where the exploration begins: every session connected."""
    settings = scope.design.settings
    if settings.result_retention > 0:
        settings = settings._replace(result_retention=scope.retention)
    sessions = tuple(Session(role.name) for role in scope.connected())
    return initial(settings, scope.roles, scope.sessions)._replace(sessions=sessions)


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


def fenced(scope: Scope, cluster: Cluster) -> Iterator[Fenced]:
    """What names the right start of a backup that is there."""
    if scope.design.fencing:
        for label, backup in cluster.backups:
            for number in range(scope.sessions if backup.start_point else 0):
                yield from fenced_by(number, label, backup.start_point)


def fenced_by(number: int, label: str | None, start_point: StartPoint) -> Iterator[Fenced]:
    """All that a session may do with a fence."""
    yield Stop(number, label, start_point)
    yield Abort(number, label, start_point)
    yield Renew(number, label, start_point=start_point)


def administration(roles: tuple[Role, ...]) -> tuple[Operation, ...]:
    """Everything that an administrator may do to the roles that are no superusers."""
    names = [role.name for role in roles if not role.superuser]
    changes = (change(name) for name in names for change in (Grant, Revoke, DropRole))
    return (*changes, *(AddMember(role, group) for role in names for group in names))


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

DAVE = Role("dave", execute=True)
ERIN = Role("erin", execute=True)
"""May start backups, and are nobody to others; they are alike."""

OVERLAPPING: dict[str, Callable[[Design], Scope]] = {
    "overlapping": lambda design: Scope(
        design, roles=(DAVE,), labels=("a", "b"), ttls=(None,), results=(1,), phases=True, symmetry=True
    ),
    "amid settings": lambda design: Scope(
        design, settings_ttls=(None, 10), retentions=(0, 10), limits=(None, 1), phases=True, symmetry=True
    ),
    "amid rights": lambda design: Scope(
        design,
        roles=(DAVE, ERIN),
        ttls=(None,),
        policies=tuple(StopPolicy),
        administration=(Grant(DAVE.name), Grant(ERIN.name), Revoke(DAVE.name), Revoke(ERIN.name)),
        phases=True,
        symmetry=True,
    ),
    "amid restarts": lambda design: Scope(
        design, roles=(DAVE,), hazards=tuple(Hazard), stock=True, phases=True, symmetry=True
    ),
}
"""The same, where operations overlap and are cut off."""


def to_look_at(design: Design) -> Scope:
    """Small enough for a person to walk about in."""
    return Scope(design, roles=(DAVE, ERIN), hazards=(Hazard.ABSENCE,), phases=True)


DEEP: dict[str, Callable[[Design], Scope]] = {
    "three sessions": lambda design: Scope(
        design,
        roles=(DAVE, ERIN),
        sessions=3,
        labels=("a", "b"),
        hazards=(Hazard.ABSENCE,),
        phases=True,
        symmetry=True,
    ),
    "three labels": lambda design: Scope(
        design, roles=(DAVE,), sessions=3, labels=("a", "b", "c"), ttls=(10,), results=(2,), phases=True, symmetry=True
    ),
}
"""Minutes and more: explored when asked for."""


def scope_of(name: str, design: Design) -> Scope:
    """The scope of that name."""
    return (SCOPES | OVERLAPPING | DEEP)[name](design)
