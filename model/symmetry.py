"""Which sessions, labels and roles may take each other's part: what differs only in that is one situation.

Any session may connect as any role, so all of them are alike, and so are all labels. Roles are alike if a scope says
the same of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import permutations

from model.normal import claimed
from model.operations import AddMember, DropRole, Grant, Operation, Revoke, Start
from model.scope import Scope
from model.state import Backup, Cluster, Role, Session
from model.steps import Situation, UnderWay
from model.transition import Pending

Names = Mapping[str, str]
"""What each is called otherwise, by its name."""


class Symmetry:
    """What is alike in a scope."""

    def __init__(self, scope: Scope) -> None:
        """Of roles, the ways to call them otherwise that change nothing in the scope."""
        self.labels = sorted([label for label in scope.labels if label])
        self.order = tuple([role.name for role in scope.roles])
        self.renamings = renamings(scope)

    def canonical(self, situation: Situation) -> Situation:
        """The one among all that are alike which stands for them; ``situation`` is normal."""
        if len(self.renamings) == 1:
            return in_order(situation, self.labels)
        called_otherwise = [with_roles(situation, names, self.order) for names in self.renamings[1:]]
        alike = [in_order(one, self.labels) for one in (situation, *called_otherwise)]
        return min(alike, key=told_apart)


def in_order(situation: Situation, labels: list[str]) -> Situation:
    """The same, with labels and sessions in an order that does not depend on what they are called.

    Start points tell labels apart, and labels tell operations under way apart: what neither tells apart is the same.
    """
    cluster, under_way = situation
    ordered = cluster.backups
    if len(ordered) > 1:
        ordered = tuple(sorted(ordered, key=lambda item: label_key(situation, *item)))
    names = dict(zip([label for label, _ in ordered], labels, strict=False))
    keys = [session_key(session, under_way, number, names) for number, session in enumerate(cluster.sessions)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    if not [name for name, label in names.items() if name != label] and order == [*range(len(keys))]:
        return situation
    return Situation(
        Cluster(
            cluster.settings,
            cluster.roles,
            tuple([cluster.sessions[number] for number in order]),
            tuple([(names[label], backup) for label, backup in ordered]),
            cluster.now,
            cluster.start_points,
            cluster.running_backups,
            cluster.room,
        ),
        moved(under_way, order, names) if any(under_way) else under_way,
    )


def told_apart(situation: Situation) -> tuple[object, ...]:
    """What tells a situation, in order, from one in which the roles are called otherwise."""
    cluster, under_way = situation
    return (
        cluster.roles,
        [role_key(session) for session in cluster.sessions],
        [(one.owner, one.start_point, one.before.owner if one.before else "") for _, one in cluster.backups],
        [(one.operation.label, one.next_phase.__name__, one.start_point) if one else () for one in under_way],
    )


def label_key(situation: Situation, label: str, backup: Backup) -> tuple[int | str, ...]:
    """What tells a label from others."""
    cluster, under_way = situation
    if backup.start_point:
        return (backup.start_point,)
    earlier = (backup.start_point, backup.owner, backup.restorable, backup.before.start_point if backup.before else 0)
    for session, pending in zip(cluster.sessions, under_way, strict=False):
        if pending is not None and pending.operation.label == label:
            ttl = pending.operation.ttl if isinstance(pending.operation, Start) else None
            return (*earlier, pending.start_point, pending.next_phase.__name__, ttl or 0, *role_key(session))
    return earlier


def role_key(session: Session | None) -> tuple[str, int]:
    """What tells a session from others, whatever it is in the middle of."""
    if session is None:
        return ("", 0)
    return (session.role, session.stock.start_point if session.stock else 0)


def session_key(session: Session | None, under_way: UnderWay, number: int, names: Names) -> tuple[str, int, str]:
    """What tells a session from others."""
    pending = under_way[number] if under_way else None
    return (*role_key(session), names[pending.operation.label or ""] if pending else "")


def moved(under_way: UnderWay, order: list[int], names: Names) -> UnderWay:
    """What is under way, with the sessions in that order and the labels so named."""
    found: list[Pending | None] = []
    for number, was in enumerate(order):
        pending = under_way[was]
        if pending is not None:
            operation = claimed(pending.operation, number, names[pending.operation.label or ""])
            pending = Pending(operation, pending.next_phase, pending.start_point)
        found.append(pending)
    return tuple(found)


# Roles


def renamings(scope: Scope) -> list[Names]:
    """The ways to call the roles otherwise that change nothing in the scope; the first one changes nothing at all."""
    names = [role.name for role in scope.roles]
    found: list[Names] = []
    for order in permutations(names):
        new = dict(zip(names, order, strict=True))
        roles = {
            role._replace(name=new[role.name], member_of=tuple(sorted([new[group] for group in role.member_of])))
            for role in scope.roles
        }
        if roles == set(scope.roles) and {renamed(one, new) for one in scope.administration} == {*scope.administration}:
            found.append(new)
    return found


def renamed(change: Operation, names: Names) -> Operation:
    """What an administrator does to roles, done to those so named."""
    match change:
        case AddMember(role, group):
            return AddMember(names[role], names[group])
        case Grant(role) | Revoke(role) | DropRole(role):
            return type(change)(names[role])
        case _:
            return change


def with_roles(situation: Situation, names: Names, order: tuple[str, ...]) -> Situation:
    """The same, with the roles called so, and in that order."""
    cluster, under_way = situation
    pairs = tuple(names.items())
    return Situation(
        Cluster(
            cluster.settings,
            roles_called(cluster.roles, pairs, order),
            tuple([one and Session(names[one.role], one.stock) for one in cluster.sessions]),
            tuple([(label, owned(backup, pairs)) for label, backup in cluster.backups]),
            cluster.now,
            cluster.start_points,
            cluster.running_backups,
            cluster.room,
        ),
        under_way,
    )


Pairs = tuple[tuple[str, str], ...]
"""Names, to remember what became of them."""


@cache
def roles_called(roles: tuple[Role, ...], pairs: Pairs, order: tuple[str, ...]) -> tuple[Role, ...]:
    """The same roles, called so, and in that order."""
    names = dict(pairs)
    called = [
        role._replace(name=names[role.name], member_of=tuple(sorted([names[group] for group in role.member_of])))
        for role in roles
    ]
    return tuple(sorted(called, key=lambda role: order.index(role.name)))


@cache
def owned(backup: Backup, pairs: Pairs) -> Backup:
    """The same backup, with its owner called so; remembered, since a few backups make up many states."""
    before = backup.before and owned(backup.before, pairs)
    return backup._replace(owner=dict(pairs)[backup.owner], before=before)
