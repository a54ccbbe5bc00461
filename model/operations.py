"""What sessions, administrators and the world may do to a cluster.

An operation with a ``session`` is done by that session (a number); the others are done by an administrator or
happen. ``label`` None is SQL's NULL. Durations are whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from model.design import StopPolicy
from model.numbers import StartPoint


class RestartKind(StrEnum):
    """How the server goes down before it comes up again."""

    FAST = "fast"
    IMMEDIATE = "immediate"
    CRASH = "crash"


class Hazard(StrEnum):
    """What may have happened before the core was told again of the backups, so that nobody can vouch for them."""

    PAGE_WRITES_OFF = "page writes off"
    """full_page_writes was off for some time between the first writes of the server and the core being told."""
    WAL_LEVEL = "wal level"
    """wal_level was minimal for a start in between."""
    ABSENCE = "absence"
    """The server ran in between without the extension."""
    CHECKSUMS = "checksums"
    """Data checksums were switched on or off while the server was down: that writes pages, and no WAL."""
    COPY = "copy"
    """The data directory is a restored or cloned copy: what it remembers are backups of another server."""


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a backup under a label. ``ttl`` None: the setting's."""

    session: int
    label: str | None
    ttl: int | None = None
    fast: bool = True


@dataclass(frozen=True, slots=True)
class Stop:
    """End the backup under a label; with ``start_point``, only if it is the one of that start (see ``Cluster``)."""

    session: int
    label: str | None
    start_point: StartPoint | None = None
    wait_for_archive: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """Give the backup up; fenced as a stop may be."""

    session: int
    label: str | None
    start_point: StartPoint | None = None


@dataclass(frozen=True, slots=True)
class Renew:
    """Move the deadline to now + ``ttl``. None: the setting's. Fenced as a stop may be."""

    session: int
    label: str | None
    ttl: int | None = None
    start_point: StartPoint | None = None


@dataclass(frozen=True, slots=True)
class ListBackups:
    """Read the view."""

    session: int


@dataclass(frozen=True, slots=True)
class Rollback:
    """A start in a transaction that is rolled back: nothing about a backup is transactional."""

    start: Start

    @property
    def session(self) -> int:
        """The session of the start."""
        return self.start.session

    @property
    def label(self) -> str | None:
        """The label of the start."""
        return self.start.label


@dataclass(frozen=True, slots=True)
class StockStart:
    """Core's pg_backup_start() in a session."""

    session: int
    label: str


@dataclass(frozen=True, slots=True)
class StockStop:
    """Core's pg_backup_stop() in a session."""

    session: int


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a session as a role."""

    session: int
    role: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The session ends, in whatever way."""

    session: int


@dataclass(frozen=True, slots=True)
class Restart:
    """The server goes down and comes up again."""

    kind: RestartKind
    hazard: Hazard | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """Time passes."""

    seconds: int


@dataclass(frozen=True, slots=True)
class SetLimit:
    """``max_backups``; None: no limit."""

    max_backups: int | None


@dataclass(frozen=True, slots=True)
class SetTtl:
    """``ttl``; None: for ever."""

    ttl: int | None


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """``stop_policy``."""

    stop_policy: StopPolicy


@dataclass(frozen=True, slots=True)
class SetRetention:
    """``result_retention``."""

    result_retention: int


@dataclass(frozen=True, slots=True)
class SetResults:
    """``max_results``; None: no limit."""

    max_results: int | None


@dataclass(frozen=True, slots=True)
class Grant:
    """Give a role EXECUTE on the backup functions."""

    role: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """Take it away."""

    role: str


@dataclass(frozen=True, slots=True)
class AddMember:
    """Make a role a member of a group."""

    role: str
    group: str


@dataclass(frozen=True, slots=True)
class DropRole:
    """Drop a role, whatever it has granted or owns."""

    role: str


Backing = Start | Stop | Abort | Renew | Rollback
"""The operations that name a label."""

Starting = Start | Rollback | StockStart
"""The operations that take a start point, and return it."""

Fenced = Stop | Abort | Renew
"""The operations that may name the start that they mean, by its ``start_point``."""

Operation = (
    Backing
    | ListBackups
    | StockStart
    | StockStop
    | Connect
    | Disconnect
    | Restart
    | Advance
    | SetLimit
    | SetTtl
    | SetPolicy
    | SetRetention
    | SetResults
    | Grant
    | Revoke
    | AddMember
    | DropRole
)
