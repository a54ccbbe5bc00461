"""The choices that the hackers' thread debates, and the designs that have names.

A design is fixed for the life of a cluster. What an administrator may change while the server runs is in
``Settings``; the design gives the values it starts with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Storage(StrEnum):
    """Where the backups are kept (question Q1 of the thread)."""

    DYNAMIC = "dynamic"
    FIXED = "fixed"


class StopPolicy(StrEnum):
    """Who may stop, abort, renew or replace a backup (Q4)."""

    ANY = "any"
    OWNER = "owner"


class OnRestart(StrEnum):
    """What a restart of the server leaves of the backups that were open (Q3)."""

    FORGET = "forget"
    """Shared memory is gone, and the backups with it."""
    KEEP = "keep"
    """A catalogue table still lists them; nobody tells the core to go on forcing full-page writes."""
    RESUME = "resume"
    """They are read back from state files, and the core is told again before anyone can see or stop them."""


class Room(NamedTuple):
    """What memory is preallocated for when the server starts. It stays so until the next start; None: no bound."""

    max_backups: int | None = None
    max_results: int | None = None


class Settings(NamedTuple):
    """What an administrator may change by a reload."""

    max_backups: int | None = None
    """Live backups allowed at once; None: no limit."""
    ttl: int | None = None
    """Seconds that a backup started without its own time to live may last; None: for ever."""
    stop_policy: StopPolicy = StopPolicy.ANY
    result_retention: int = 600
    """Seconds that a finished or expired backup is remembered."""
    max_results: int | None = 1000
    """Finished, expired and lost backups that are remembered at once; None: no limit."""


@dataclass(frozen=True, slots=True)
class Design:
    """One answer to the questions of the thread."""

    name: str
    session_bound: bool = False
    """The backup belongs to the session that started it, and only that session may stop it."""
    storage: Storage = Storage.DYNAMIC
    settings: Settings = field(default_factory=Settings)
    expiry: bool = True
    """A backup may have a time to live (Q2)."""
    lease: bool = True
    """The time to live may be renewed."""
    fencing: bool = True
    """A stop, an abort and a renewal may name the start that they mean."""
    on_restart: OnRestart = OnRestart.FORGET

    def room(self, settings: Settings) -> Room:
        """What memory a server has that is started with these settings; unless it is fixed, it grows without bound."""
        return Room() if self.storage is Storage.DYNAMIC else Room(settings.max_backups, settings.max_results)


STOCK = Design("stock", session_bound=True, expiry=False, lease=False, fencing=False)
"""Core's pg_backup_start() and pg_backup_stop()."""

SHARED = Design("shared")
"""The extension as it ships."""

SHARED_FIXED = Design("shared_fixed", storage=Storage.FIXED, settings=Settings(max_backups=32))
"""The extension with ``storage = fixed``: preallocated memory, and so a maximum."""

THREAD = Design("thread", settings=Settings(result_retention=0), expiry=False, lease=False, fencing=False)
"""What the thread proposes: state under a label in shared memory, and nothing else."""

CATALOG = Design("catalog", on_restart=OnRestart.KEEP)
"""The state in a catalogue table, naively, so that a restart does not purge it."""

DURABLE = Design("durable", on_restart=OnRestart.RESUME)
"""The extension with ``durable = on``."""

DESIGNS = {design.name: design for design in (STOCK, SHARED, SHARED_FIXED, THREAD, CATALOG, DURABLE)}
