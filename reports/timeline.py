"""A part of a concurrent history as the campaign kept it (``properties.recording.timeline`` describes the file)."""

from dataclasses import dataclass, replace

from reports.history import Event, read_event
from reports.reading import Foreign, count, field, flag, listed, many, number, optional, text


@dataclass(frozen=True)
class Reading:
    """What the view showed to one who did nothing but look."""

    moment: float
    live: int
    limit: int | None
    """None: there is none."""


@dataclass(frozen=True)
class Blow:
    """What struck one session."""

    moment: float
    row: str
    name: str


@dataclass(frozen=True)
class Timeline:
    """Operations at once; times are seconds since the part began."""

    title: str
    failed: bool
    operations: int
    """Of the whole history."""
    began: float
    """Seconds after the history did."""
    events: tuple[Event, ...]
    unexplained: frozenset[int]
    """Those of the events, by position, that no interleaving explains."""
    blows: tuple[Blow, ...]
    readings: tuple[Reading, ...]

    @property
    def end(self) -> float:
        """When the last of them had completed, or was invoked."""
        return max(event.completed or event.invoked for event in self.events)


def read_timeline(data: object) -> Timeline:
    """One file, without the title; raises Foreign."""
    return Timeline(
        title="",
        failed=field(data, "failed", flag),
        operations=field(data, "operations", count),
        began=field(data, "began", number),
        events=field(data, "events", listed(read_part)),
        unexplained=frozenset(many(data, "unexplained", count)),
        blows=many(data, "blows", read_blow),
        readings=many(data, "readings", read_reading),
    )


def read_part(data: object) -> Event:
    """An event whose times are milliseconds; raises Foreign."""
    event = read_event(data)
    completed = None if event.completed is None else event.completed / 1000
    return replace(event, invoked=event.invoked / 1000, completed=completed)


def read_blow(data: object) -> Blow:
    """A moment, a row, and what it was; raises Foreign."""
    if not isinstance(data, list) or len(data) != 3:
        raise Foreign("a blow is a moment, a row, and what it was")
    return Blow(number(data[0]) / 1000, text(data[1]), text(data[2]))


def read_reading(data: object) -> Reading:
    """A moment, live backups, and the limit; raises Foreign."""
    if not isinstance(data, list) or len(data) != 3:
        raise Foreign("a reading is a moment, a number of backups, and a limit")
    return Reading(number(data[0]) / 1000, count(data[1]), optional(count)(data[2]))
