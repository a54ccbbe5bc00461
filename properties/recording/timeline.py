"""A part of a concurrent history that a person can look at: as much as fits into a figure, chosen for what happens."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from harness.clients.history import Event, History, recorded
from harness.schema import timeline as schema
from harness.schema.history import Event as Told
from harness.schema.timeline import Timeline
from model.operations import Connect
from model.outcomes import Ok

MOST = 64
"""Operations."""
ROWS = 14
"""Sessions: with more of them a part is worth less."""
MOST_FAULTS = 4
"""Of a kind, that make a part worth more: what befalls all holds them up, and more would leave nothing else to see."""
SIGNS = 60
"""Of what is told of an outcome."""


class Reading(NamedTuple):
    """What the view showed."""

    moment: float
    """When it had been read: seconds, monotonic."""
    live: int
    limit: int | None
    """On live backups, at that time; None: there is none."""


class Blow(NamedTuple):
    """What struck one session."""

    moment: float
    """Seconds, monotonic."""
    session: int
    name: str


@dataclass
class Watched:
    """What there is to tell of a concurrent history beside its operations."""

    readings: list[Reading] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)


def best_part(history: History, watched: Watched) -> Timeline:
    """The part of a history in which most happens."""
    events = in_order(history)
    starts = range(0, max(1, len(events) - MOST + 1), MOST // 8)
    parts = [events[start : start + MOST] for start in starts]

    def to_see(part: Sequence[Event]) -> int:
        looks = between(watched.readings, part[0].invoked, part[-1].invoked) if part else []
        return worth(part) + min(8, len(looks) // 4)

    return timeline(history, max(parts, key=to_see), watched)


def failed_part(
    history: History, watched: Watched, unexplained: Callable[[Event], bool] = lambda event: False
) -> Timeline:
    """The part of a history that failed: up to the last operation that nothing explains, or the end of it all."""
    events = in_order(history)
    last = max((number for number, event in enumerate(events) if unexplained(event)), default=len(events) - 1)
    part = events[max(0, last + 1 - MOST) : last + 1]
    return timeline(history, part, watched, [event for event in part if unexplained(event)], failed=True)


def in_order(history: History) -> list[Event]:
    """The events as they were invoked: a crowd writes them down in about that order."""
    return sorted(history.events, key=lambda event: event.invoked)


def worth(part: Sequence[Event]) -> int:
    """How much there is to see: kinds of operations that took place, and of what befell them; few rows, no arrivals."""
    sessions = [event for event in part if of_session(event)]
    done = {type(event.operation) for event in sessions if isinstance(event.outcome, Ok)}
    refused = {event.outcome for event in sessions if not isinstance(event.outcome, Ok)}
    befell = {str(event.operation) for event in part if not of_session(event)}
    rows = {event.operation.session for event in sessions}  # type: ignore[union-attr]
    arrivals = sum(isinstance(event.operation, Connect) for event in sessions)
    unknown = min(MOST_FAULTS, sum(event.outcome is None for event in sessions))
    faults = 2 * min(MOST_FAULTS, len(befell)) + 4 * unknown
    crowd = min(ROWS, len(rows)) - 3 * max(0, len(rows) - ROWS)
    return 2 * len(done) + len(refused) + faults + crowd - arrivals


def of_session(event: Event) -> bool:
    """Did a session do it, and not an administrator or the world?"""
    return hasattr(event.operation, "session")


def timeline(
    history: History,
    part: Sequence[Event],
    watched: Watched,
    unexplained: Collection[Event] = (),
    *,
    failed: bool = False,
) -> Timeline:
    """Some events that follow each other, as a timeline."""
    begin = min((event.invoked for event in part), default=0.0)
    end = max((event.completed or event.invoked for event in part), default=0.0)

    def since(moment: float) -> float:
        return round((moment - begin) * 1000, 3)

    def told(event: Event) -> Told:
        one = recorded(event)
        done = None if event.completed is None else since(event.completed)
        return replace(one, invoked=since(event.invoked), completed=done, sql=(), outcome=one.outcome[:SIGNS])

    struck, looks = felt(watched.blows, part), between(watched.readings, begin, end)
    return Timeline(
        operations=len(history.events),
        began=round(begin - min((event.invoked for event in history.events), default=begin), 3),
        failed=failed,
        events=tuple(map(told, part)),
        unexplained=tuple(number for number, event in enumerate(part) if any(event is one for one in unexplained)),
        blows=tuple(schema.Blow(since(one.moment), f"session {one.session}", one.name) for one in struck),
        readings=tuple(schema.Reading(since(one.moment), one.live, one.limit) for one in looks),
        worth=worth(part),
    )


def felt(blows: Sequence[Blow], part: Sequence[Event]) -> list[Blow]:
    """Those that struck an operation after which it was not known whether it had taken place."""
    struck = [event for event in part if of_session(event) and event.outcome is None]
    return [
        blow
        for blow in blows
        if any(
            event.operation.session == blow.session  # type: ignore[union-attr]
            and event.invoked <= blow.moment <= (event.completed or blow.moment)
            for event in struck
        )
    ]


def between(readings: Sequence[Reading], begin: float, end: float) -> list[Reading]:
    """What was read in that time, and the last before."""
    before = [one for one in readings if one.moment < begin]
    return [*before[-1:], *(one for one in readings if begin <= one.moment <= end)]
