"""What happened, in order: operations, their outcomes, and the SQL to try it again by hand."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from model.operations import Operation
from model.outcomes import Failed, Ok, Outcome


@dataclass
class Event:
    """One operation: when it was invoked and completed (seconds, monotonic), and what came of it."""

    operation: Operation
    who: str
    """The session's number and role, or who else did it."""
    invoked: float
    sql: list[str] = field(default_factory=list)
    """What was sent, with the values filled in."""
    outcome: Outcome | None = None
    """None: not known (yet)."""
    completed: float | None = None
    said: str = ""
    """The server's own words, when it refused."""


@dataclass
class History:
    """The events of one example, oldest first."""

    events: list[Event] = field(default_factory=list)

    def script(self) -> str:
        """The history as SQL, one line a statement, for a person to paste into a psql for each session."""
        return "\n".join(line for event in self.events for line in script_lines(event))

    def to_json(self) -> str:
        """The history as JSON lines, one event a line."""
        return "\n".join(json.dumps(event_to_dict(event), default=str) for event in self.events)


def script_lines(event: Event) -> Iterable[str]:
    """The lines of one event."""
    for statement in event.sql:
        text = statement if statement.startswith(("\\", "--")) else f"{statement};"
        yield f"{event.who + ':':<12}{text}"
    yield f"{'':<12}-- {describe(event)}"


def describe(event: Event) -> str:
    """What came of it, in one line."""
    match event.outcome:
        case Ok(value):
            return "ok" if value is None else f"ok: {value}"
        case Failed(sqlstate):
            return f"{sqlstate.value} {sqlstate.name.lower()}: {event.said}"
        case None:
            return f"never completed: {event.said}" if event.said else "never completed"


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event for JSON."""
    kind = type(event.operation).__name__
    return {
        "operation": {"kind": kind, **asdict(event.operation)},
        "who": event.who,
        "invoked": event.invoked,
        "completed": event.completed,
        "sql": event.sql,
        "outcome": describe(event),
    }
