"""What happened, in order: operations, their outcomes, and the SQL to try it again by hand."""

from dataclasses import asdict, dataclass, field

import msgspec

from harness.schema import history as schema
from model.operations import Operation
from model.outcomes import Failed, Ok, Outcome


@dataclass
class Event:
    """One operation: when it was invoked and completed (seconds, monotonic), and what came of it."""

    operation: Operation
    who: str
    """The session and its role, or who else did it."""
    invoked: float
    sql: list[str] = field(default_factory=list)
    """What was sent, with the values filled in."""
    outcome: Outcome | None = None
    """None: not known (yet)."""
    completed: float | None = None
    said: str = ""
    """The server's own words, when it refused."""
    expected: str = ""
    """What the model says that comes of it, in words; empty: nobody asked."""


@dataclass
class History:
    """The events of one example, oldest first."""

    events: list[Event] = field(default_factory=list)

    def script(self) -> str:
        """The history as SQL for a person to paste: comments say whose session it is for, and what it returned."""
        lines: list[str] = []
        speaker = ""
        for event in self.events:
            if event.who != speaker:
                speaker = event.who
                lines.append(f"-- {speaker}:")
            lines += [text if text.startswith(("\\", "--")) else f"{text};" for text in event.sql]
            lines.append(f"--   {described(event)}")
        return "\n".join(lines)

    def to_json(self) -> bytes:
        """The history as JSON lines, one event a line."""
        return msgspec.json.Encoder().encode_lines(map(recorded, self.events))


def described(event: Event) -> str:
    """What came of an event, in one line, in the server's own words where it refused."""
    if event.outcome is None:
        return f"never completed: {event.said}" if event.said else "never completed"
    return describe(event.outcome) + (f": {event.said}" if event.said else "")


def describe(outcome: Outcome) -> str:
    """An outcome in one line."""
    match outcome:
        case Ok(value):
            return "ok" if value is None else f"ok, {value}"
        case Failed(sqlstate):
            return f"{sqlstate.value} {sqlstate.name.lower()}"


def recorded(event: Event) -> schema.Event:
    """An event as it is kept."""
    return schema.Event(
        operation=type(event.operation).__name__,
        arguments=asdict(event.operation),
        who=event.who,
        invoked=event.invoked,
        completed=event.completed,
        sql=tuple(event.sql),
        outcome=described(event),
    )
