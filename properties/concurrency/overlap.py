"""How many backups were live at once, for certain? Read off a history alone, without the model.

A backup is live for certain from the completion of its start until the invocation of the first operation that may have
ended it. That is less than it was live in truth, so more such backups at once than the limit allows are a breach of it,
whatever explanation there is for each single operation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import assert_never

from harness.clients.history import Event, History
from model.numbers import StartPoint
from model.operations import (
    Abort,
    AddMember,
    Advance,
    Connect,
    Disconnect,
    DropRole,
    Grant,
    ListBackups,
    Renew,
    Restart,
    Revoke,
    Rollback,
    SetLimit,
    SetPolicy,
    SetResults,
    SetRetention,
    SetTtl,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.outcomes import Failed, Ok, StopRow


@dataclass(frozen=True)
class Certain:
    """A backup, and when it was live for certain."""

    label: str
    start_point: StartPoint
    since: float
    until: float


def breach(history: History, limit: int | None) -> str:
    """What there is to say against the limit that was set in the beginning, or later on; empty: nothing."""
    live: set[Certain] = set()
    allowed = inf if limit is None else limit
    for _time, change in sorted(changes(history.events), key=lambda pair: pair[0]):
        if isinstance(change, SetLimit):
            allowed = inf if change.max_backups is None else max(change.max_backups, len(live))
        elif change in live:
            live.remove(change)
        else:
            live.add(change)
            if len(live) > allowed:
                names = ", ".join(f"{one.label!r} (start point {one.start_point})" for one in live)
                return f"{len(live)} backups were live at once, and the limit was {allowed}: {names}"
    return ""


def changes(events: Sequence[Event]) -> Iterator[tuple[float, SetLimit | Certain]]:
    """When a limit was set, and when a backup began or ceased to be live for certain."""
    for event in events:
        if isinstance(event.operation, SetLimit) and isinstance(event.outcome, Ok) and event.completed is not None:
            yield event.completed, event.operation
    for backup in certain(events):
        yield backup.since, backup
        yield backup.until, backup


def certain(events: Sequence[Event]) -> Iterator[Certain]:
    """The backups, but for those that may have ended before their start returned."""
    for event in events:
        match event:
            case Event(operation=Start(label=str(label)), outcome=Ok(int(point)), completed=float(since)):
                until = min((other.invoked for other in events if may_end(other, event, label, point)), default=inf)
                if since < until:
                    yield Certain(label, StartPoint(point), since, until)


def may_end(event: Event, start: Event, label: str, start_point: int) -> bool:
    """May the operation have ended the backup? One that had completed before the start was invoked has not."""
    if event.completed is not None and event.completed < start.invoked:
        return False
    if isinstance(event.outcome, Failed):
        return False
    match event.operation:
        case Stop() if isinstance(event.outcome, Ok) and isinstance(row := event.outcome.value, StopRow):
            return (row.label, row.start_point) == (label, start_point) and not row.repeated
        case Stop(label=named) | Abort(label=named):
            return named == label
        case Advance():
            return True
        case Restart():  # crowds are restarted only when their backups survive it
            return False
        case Start() | Renew() | Rollback() | ListBackups() | StockStart() | StockStop() | Connect() | Disconnect():
            return False
        case SetLimit() | SetTtl() | SetPolicy() | SetRetention() | SetResults():
            return False
        case Grant() | Revoke() | AddMember() | DropRole():
            return False
        case _:
            assert_never(event.operation)
