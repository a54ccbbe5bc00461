"""The state of a cluster, as far as backups are concerned: frozen and hashable.

Times are whole seconds of one clock that starts at zero. Starts are numbered in the order in which they took their
start points, from one. A number names a start, as its token does, and is no other's. It is no LSN: on a primary the
start point of a larger number is a larger LSN, and on a standby two starts may share theirs.

The parts are named tuples, not dataclasses: exploration makes and hashes millions of them (three times the rate).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from model.design import Design, Room, Settings
from model.numbers import StartPoint, Time


class BackupState(StrEnum):
    """Where a label is in its life; a label without a backup is absent."""

    STARTING = "starting"
    ACTIVE = "active"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXPIRED = "expired"
    LOST = "lost"
    """A restart made it useless, and whoever asks for it is told so."""


STARTING, ACTIVE, STOPPING, STOPPED, EXPIRED, LOST = BackupState
"""By their own names: on Python 3.11 finding a member of an enum takes longer than most rules do."""

LIVE = frozenset({STARTING, ACTIVE, STOPPING})
"""The states that count against the limit."""

USELESS = frozenset({EXPIRED, LOST})
"""The states of what is remembered and has no result."""


class Backup(NamedTuple):
    """What is remembered under a label."""

    state: BackupState
    owner: str
    """The role that started it."""
    start_point: StartPoint = StartPoint(0)
    start_time: Time = Time(0)
    expires_at: Time | None = None
    """The deadline; None: it never expires."""
    stop_time: Time | None = None
    """When core was told of its end: what was copied until then is covered."""
    forget_at: Time | None = None
    """When a finished, expired or lost backup is forgotten."""
    ended: int = 0
    """The place of a finished, expired or lost backup in the order in which they ended: a larger number came later."""
    before: Backup | None = None
    """While STARTING: the finished backup it replaces, to be put back if the start fails."""
    restorable: bool = True
    """Ghost: full-page writes have been forced without a gap since the start point."""
    carried: bool = False
    """It was carried over a restart while it was open, and is handed out as a backup of a standby would be."""
    aborting: bool = False
    """While STOPPING: to be given up, not to be handed out."""
    ending: bool = False
    """While STOPPING: its state file says that core has been told of its end. Only where there are state files."""

    @property
    def live(self) -> bool:
        """Does it count against the limit?"""
        return self.state in LIVE


class StockBackup(NamedTuple):
    """A backup by core's own functions: it belongs to a session."""

    label: str
    start_point: StartPoint


class Session(NamedTuple):
    """An open connection."""

    role: str
    stock: StockBackup | None = None


class Role(NamedTuple):
    """A role, its privileges and the roles it was made a member of."""

    name: str
    superuser: bool = False
    execute: bool = False
    """EXECUTE on the backup functions, ours and core's."""
    monitor: bool = False
    """A member of pg_monitor."""
    member_of: tuple[str, ...] = ()


def lower(limit: int | None, other: int | None) -> int | None:
    """The lower one of two limits; None: no limit."""
    return other if limit is None else limit if other is None else min(limit, other)


class Cluster(NamedTuple):
    """A running server."""

    settings: Settings
    roles: tuple[Role, ...]
    sessions: tuple[Session | None, ...]
    """By number; None: not connected."""
    backups: tuple[tuple[str, Backup], ...] = ()
    """By label, sorted."""
    now: Time = Time(0)
    start_points: StartPoint = StartPoint(0)
    """How many start points have been taken: the number of the latest start."""
    running_backups: int = 0
    """Ghost: core's counter ``XLogCtl->Insert.runningBackups``; above zero, full-page writes are forced.

    Core counts all backups that were carried over a restart as one, until the last of them ends. Here each counts one,
    so a server can be held to the sign only. It is a plain integer: the stop of a backup that core does not know of any
    more (KEEP) takes it below zero, and then the next start does not make it positive. (Assertions would stop that.)
    """
    room: Room = Room()
    """What memory was preallocated for when the server started."""

    @property
    def max_backups(self) -> int | None:
        """Live backups allowed at once: as the setting says, but no more than there is memory for; None: no limit."""
        return lower(self.settings.max_backups, self.room.max_backups)

    @property
    def max_results(self) -> int | None:
        """The same of results that are remembered."""
        return lower(self.settings.max_results, self.room.max_results)

    def backup(self, label: str) -> Backup | None:
        """The backup under a label, None if the label is absent."""
        for name, backup in self.backups:
            if name == label:
                return backup
        return None

    def role(self, name: str) -> Role | None:
        """The role of that name, None if it does not exist (any more)."""
        for role in self.roles:
            if role.name == name:
                return role
        return None

    def live_backups(self) -> int:
        """How many backups count against the limit."""
        return len([label for label, backup in self.backups if backup.state in LIVE])

    def stock_backups(self) -> list[StockBackup]:
        """The backups that sessions hold through core's own functions."""
        return [session.stock for session in self.sessions if session is not None and session.stock is not None]

    def remembered_points(self) -> list[StartPoint]:
        """The numbers of the starts of all backups that are remembered, whoever holds them."""
        points = [one.start_point for one in self.remembered() if one.start_point]
        return points + [s.stock.start_point for s in self.sessions if s is not None and s.stock is not None]

    def places(self) -> list[int]:
        """The places of those that have ended, in the order in which they ended."""
        return [one.ended for one in self.remembered() if one.ended]

    def remembered(self) -> list[Backup]:
        """All backups under a label, and those that are to be put back under theirs if a start fails."""
        backups = [backup for _, backup in self.backups]
        return backups + [backup.before for backup in backups if backup.before is not None]

    def with_backups(self, backups: tuple[tuple[str, Backup], ...]) -> Cluster:
        """The same but for the backups. No ``_replace``, which takes five times as long."""
        return Cluster(
            self.settings,
            self.roles,
            self.sessions,
            backups,
            self.now,
            self.start_points,
            self.running_backups,
            self.room,
        )

    def with_session(self, number: int, session: Session | None) -> Cluster:
        """The same but for one session."""
        sessions = (*self.sessions[:number], session, *self.sessions[number + 1 :])
        return Cluster(
            self.settings,
            self.roles,
            sessions,
            self.backups,
            self.now,
            self.start_points,
            self.running_backups,
            self.room,
        )

    def with_core(self, start_points: StartPoint, running_backups: int) -> Cluster:
        """The same but for what core counts."""
        return Cluster(
            self.settings,
            self.roles,
            self.sessions,
            self.backups,
            self.now,
            start_points,
            running_backups,
            self.room,
        )


def initial(design: Design, roles: tuple[Role, ...], sessions: int, settings: Settings | None = None) -> Cluster:
    """A fresh cluster with nobody connected, started as the design says; ``settings``: as they were changed since."""
    return Cluster(settings or design.settings, roles, (None,) * sessions, room=design.room(design.settings))
