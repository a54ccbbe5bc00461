"""A part of a concurrent history that a person can look at: ``histories/*.timeline.json`` is a ``Timeline``.

Times are milliseconds since the part began.
"""

from msgspec import Struct

from harness.schema.history import Event


class Reading(Struct, frozen=True, array_like=True):
    """What the view showed to one who did nothing but look: a list of three."""

    moment: float
    """When it had been read."""
    live: int
    """Backups."""
    limit: int | None
    """Null: there is none."""


class Blow(Struct, frozen=True, array_like=True):
    """What struck one session: a list of three."""

    moment: float
    """When."""
    row: str
    """The session, as ``Event.row`` has it."""
    name: str
    """What it was."""


class Timeline(Struct, frozen=True, kw_only=True):
    """Operations at once."""

    operations: int
    """Of the whole history."""
    began: float
    """Seconds from the beginning of the history to that of the part."""
    failed: bool
    """The history did."""
    events: tuple[Event, ...]
    """The operations of the part, without SQL."""
    unexplained: tuple[int, ...] = ()
    """Those of the events, by position, that no interleaving explains."""
    blows: tuple[Blow, ...] = ()
    """Those that struck an operation of which it is not known whether it took place."""
    readings: tuple[Reading, ...] = ()
    """Those of the time of the part, and the last before."""
    worth: int = 0
    """How much there is to see: of several timelines the one with the most is kept."""

    @property
    def end(self) -> float:
        """When the last of the events had completed, or was invoked."""
        return max(event.completed or event.invoked for event in self.events)
