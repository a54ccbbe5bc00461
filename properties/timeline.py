"""A part of a concurrent history that a person can look at: as much as fits into a figure, chosen for what happens.

Its file is one JSON object. Times are milliseconds since the part began.

``operations``  how many the whole history has
``began``       seconds from the beginning of the history to that of the part
``failed``      the history failed
``events``      the operations of the part: as ``harness.history`` writes them, without SQL
``unexplained`` those of them, by position, that no interleaving explains
``readings``    what the view showed meanwhile to one who did nothing but look: a list of moment, live backups, limit
                (null: there is none)
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from harness.history import Event, History, event_to_dict
from model.operations import Connect
from model.outcomes import Ok

MOST = 64
"""Operations."""
ROWS = 14
"""Sessions: with more of them a part is worth less."""
SIGNS = 60
"""Of what is told of an outcome."""


class Reading(NamedTuple):
    """What the view showed."""

    moment: float
    """When it had been read: seconds, monotonic."""
    live: int
    limit: int | None
    """On live backups, at that time; None: there is none."""


@dataclass(frozen=True)
class Timeline:
    """A part of a history."""

    operations: int
    began: float
    failed: bool
    events: tuple[dict[str, Any], ...]
    unexplained: tuple[int, ...]
    readings: tuple[tuple[float, int, int | None], ...]
    worth: int
    """How much there is to see."""

    def to_json(self) -> str:
        """The contents of its file."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "worth"}, default=str)


def best_part(history: History, readings: Sequence[Reading]) -> Timeline:
    """The part of a history in which most happens."""
    events = in_order(history)
    starts = range(0, max(1, len(events) - MOST + 1), MOST // 8)
    parts = [events[start : start + MOST] for start in starts]
    return timeline(history, max(parts, key=worth), readings)


def failed_part(
    history: History, readings: Sequence[Reading], unexplained: Callable[[Event], bool] = lambda event: False
) -> Timeline:
    """The part of a history that failed: up to the last operation that nothing explains, or the end of it all."""
    events = in_order(history)
    last = max((number for number, event in enumerate(events) if unexplained(event)), default=len(events) - 1)
    part = events[max(0, last + 1 - MOST) : last + 1]
    return timeline(history, part, readings, [event for event in part if unexplained(event)], failed=True)


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
    return 2 * len(done) + len(refused) + 2 * len(befell) - 3 * max(0, len(rows) - ROWS) - arrivals


def of_session(event: Event) -> bool:
    """Did a session do it, and not an administrator or the world?"""
    return hasattr(event.operation, "session")


def timeline(
    history: History,
    part: Sequence[Event],
    readings: Sequence[Reading],
    unexplained: Collection[Event] = (),
    *,
    failed: bool = False,
) -> Timeline:
    """Some events that follow each other, as a timeline."""
    begin = min((event.invoked for event in part), default=0.0)
    end = max((event.completed or event.invoked for event in part), default=0.0)

    def since(moment: float) -> float:
        return round((moment - begin) * 1000, 3)

    def told(event: Event) -> dict[str, Any]:
        found = event_to_dict(event)
        found |= {"invoked": since(event.invoked), "outcome": found["outcome"][:SIGNS]}
        found |= {"completed": None if event.completed is None else since(event.completed)}
        return {name: value for name, value in found.items() if name != "sql"}

    return Timeline(
        operations=len(history.events),
        began=round(begin - min((event.invoked for event in history.events), default=begin), 3),
        failed=failed,
        events=tuple(map(told, part)),
        unexplained=tuple(number for number, event in enumerate(part) if any(event is one for one in unexplained)),
        readings=tuple((since(one.moment), one.live, one.limit) for one in between(readings, begin, end)),
        worth=worth(part),
    )


def between(readings: Sequence[Reading], begin: float, end: float) -> list[Reading]:
    """What was read in that time, and the last before."""
    before = [one for one in readings if one.moment < begin]
    return [*before[-1:], *(one for one in readings if begin <= one.moment <= end)]
