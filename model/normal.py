"""Which situations are one: those that differ in nothing that a rule looks at.

Time begins at zero, the start points that somebody still remembers are numbered from one, and so are the places of
what has ended. ``canonical`` also takes for one what differs only in which session, label or role is which.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from model.numbers import StartPoint, Time
from model.operations import Abort, Start, Stop
from model.state import USELESS, Backup, Cluster, Session, StockBackup
from model.steps import Situation
from model.transition import Pending

FOR_EVER = 1 << 60
"""Seconds: longer than anything is remembered."""


def normal(cluster: Cluster) -> Cluster:
    """The same state, with nothing under way, as ``normal_situation`` has it."""
    return normal_situation(Situation(cluster), FOR_EVER).cluster


def normal_situation(situation: Situation, remembered: int) -> Situation:
    """The same at time zero, with its start points numbered from one, and without what no rule looks at.

    ``remembered``: for how many seconds a result may be at most. What is overdue by more is overdue by that.
    """
    cluster, under_way = situation
    points, places = points_of(situation), sorted(cluster.places())
    if is_normal(situation, points, places):
        return situation

    def normal_of(backup: Backup) -> Backup:
        before = None if backup.before is None else normal_of(backup.before)
        place = places.index(backup.ended) + 1 if backup.ended else 0
        return normal_backup(backup, cluster.now, numbered(backup.start_point, points), place, before, remembered)

    return Situation(
        Cluster(
            cluster.settings,
            cluster.roles,
            tuple([normal_session(session, points) if session else None for session in cluster.sessions]),
            tuple([(label, normal_of(backup)) for label, backup in cluster.backups]),
            now=Time(0),
            start_points=StartPoint(len(points)),
            running_backups=cluster.running_backups,
            room=cluster.room,
        ),
        tuple([one and normal_pending(one, points) for one in under_way]),
    )


def points_of(situation: Situation) -> list[StartPoint]:
    """The numbers of all starts that somebody remembers, sorted."""
    points = situation.cluster.remembered_points()
    points += [one.start_point for one in situation.under_way if one is not None and one.start_point]
    return sorted(points)


def is_normal(situation: Situation, points: list[StartPoint], places: list[int]) -> bool:
    """Is there nothing to do?"""
    cluster, under_way = situation
    return (
        not any(under_way)
        and cluster.now == 0
        and cluster.start_points == len(points)
        and places == [*range(1, len(places) + 1)]
        and not [backup for _, backup in cluster.backups if has_moot_parts(backup)]
    )


def has_moot_parts(backup: Backup) -> bool:
    """Has it something that no rule looks at any more?"""
    if backup.state in USELESS:
        return backup.expires_at is not None or backup.carried or not backup.restorable
    return backup.expires_at is not None and not backup.live


@cache
def normal_backup(
    backup: Backup, now: Time, start_point: StartPoint, ended: int, before: Backup | None, remembered: int
) -> Backup:
    """See ``normal_situation``; remembered, since a few backups make up many states."""
    return Backup(
        backup.state,
        backup.owner,
        start_point,
        start_time=Time(0),
        expires_at=None
        if backup.expires_at is None or not backup.live
        else Time(max(backup.expires_at - now, -remembered)),
        stop_time=None if backup.stop_time is None else Time(0),
        forget_at=None if backup.forget_at is None else Time(max(backup.forget_at - now, 0)),
        ended=ended,
        before=before,
        restorable=backup.restorable or backup.state in USELESS,
        carried=backup.carried and backup.state not in USELESS,
        aborting=backup.aborting,
        ending=backup.ending,
    )


def normal_session(session: Session, points: list[StartPoint]) -> Session:
    """See ``normal_situation``."""
    if session.stock is None:
        return session
    return Session(session.role, StockBackup(session.stock.label, numbered(session.stock.start_point, points)))


def normal_pending(pending: Pending, points: list[StartPoint]) -> Pending:
    """See ``normal_situation``. Once an operation has claimed its backup no rule looks at its fence again."""
    operation = pending.operation
    if not isinstance(operation, Start):
        operation = claimed(operation, operation.session, operation.label)
    return Pending(operation, pending.next_phase, numbered(pending.start_point, points))


def numbered(start_point: StartPoint, points: list[StartPoint]) -> StartPoint:
    """The same order, numbered from one; who has none still has none."""
    return StartPoint(points.index(start_point) + 1) if start_point else start_point


@cache
def claimed(operation: Start | Stop | Abort, session: int, label: str | None) -> Start | Stop | Abort:
    """The same operation of that session on that label, without a fence."""
    if isinstance(operation, Start):
        return replace(operation, session=session, label=label)
    return replace(operation, session=session, label=label, start_point=None)
