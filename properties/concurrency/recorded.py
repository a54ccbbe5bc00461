"""Concurrent histories as JSON lines, which a person can write and a machine can check again.

The first line says how it begins, and each of the others is a call. Of the first line everything may be left out:

    why            what is good or bad about it
    contradiction  of a bad one: the calls, by number, whose outcomes contradict each other
    design         by name, or all its choices; else the extension's
    settings       those that are not the design's
    limit          the same for one of them, ``max_backups``
    roles          with these nobody is connected at first; else all sessions are alice's, and open
    sessions       how many; else three

A call has the arguments of its operation, ``invoked`` and ``completed`` (seconds; null: never), and what came of it:
``ok`` with a value or ``failed`` with an SQLSTATE; with neither, it is not known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import GenericAlias, UnionType
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.clients.history import History
from model.design import DESIGNS, SHARED, Design, OnRestart, Settings, StopPolicy, Storage
from model.linearizability.calls import Call, deadline
from model.numbers import StartPoint, Time
from model.operations import (
    Hazard,
    ListBackups,
    Operation,
    Restart,
    RestartKind,
    Rollback,
    SetPolicy,
    Start,
    Starting,
)
from model.outcomes import BackupRow, Failed, Ok, Outcome, SqlState, StopRow, Value
from model.state import Cluster, Role, initial
from properties.concurrency.simulation import connected

Line = dict[str, Any]
Made = TypeVar("Made")

OPERATIONS = {kind.__name__: kind for kind in get_args(Operation)}


class NotAHistoryError(Exception):
    """The text is no history; says why, in one sentence."""


@dataclass(frozen=True)
class Recorded:
    """A concurrent history, and where it began."""

    first: Cluster
    calls: tuple[Call, ...]
    design: Design = SHARED
    why: str = ""
    contradiction: tuple[Call, ...] = ()

    def text(self) -> str:
        """As JSON lines, but for what is said about it."""
        return written(self.design, self.first, self.calls)


# Reading


def calls_of(history: History) -> list[Call]:
    """A history as a client has kept it, for the linearizer."""
    return [Call(event.operation, event.invoked, event.completed, event.outcome) for event in history.events]


def read(text: str) -> Recorded:
    """A history; raises NotAHistoryError."""
    head, *lines = text.splitlines() or [""]
    empty = on_line(1, head, beginning)
    calls = tuple(
        on_line(number, line, partial(call, len(empty.first.sessions))) for number, line in enumerate(lines, 2)
    )
    return on_line(1, head, lambda said: replace(empty, calls=calls, contradiction=contradiction(said, calls)))


def on_line(number: int, line: str, meaning: Callable[[Line], Made]) -> Made:
    """What a line means; raises NotAHistoryError."""
    try:
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError("it is no JSON object")
        return meaning(said)
    except json.JSONDecodeError as error:
        why = f"it is not JSON: {error.msg}"
    except KeyError as error:
        why = f"there is no {error.args[0]}"
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        why = str(error)
    raise NotAHistoryError(f"line {number}: {why}")


def beginning(head: Line) -> Recorded:
    """A history without calls."""
    if "operation" in head:
        raise ValueError("it does not say how the history begins; {} would do")
    design, sessions = design_of(head.get("design", SHARED.name)), head.get("sessions", 3)
    if not isinstance(sessions, int):
        raise ValueError(f"{sessions!r} is no number of sessions")
    chosen = settings_of(head.get("settings", {}), design.settings)
    if "limit" in head:
        chosen = checked(chosen._replace(max_backups=head["limit"]))
    first = connected(design, sessions)._replace(settings=chosen)
    if "roles" in head:
        roles = tuple(
            checked(Role(**{**role, "member_of": tuple(role.get("member_of", ()))})) for role in head["roles"]
        )
        first = initial(design, roles, sessions, chosen)
    return Recorded(first, (), design, head.get("why", ""))


def design_of(said: str | Line) -> Design:
    """A design."""
    if isinstance(said, str):
        return DESIGNS[said]
    kinds = {"storage": Storage(said["storage"]), "on_restart": OnRestart(said["on_restart"])}
    return checked(Design(**{**said, **kinds, "settings": settings_of(said["settings"], Settings())}))


def settings_of(said: Line, usual: Settings) -> Settings:
    """Settings."""
    policy = StopPolicy(said.get("stop_policy", usual.stop_policy))
    return checked(usual._replace(**{**said, "stop_policy": policy}))


def contradiction(head: Line, calls: Sequence[Call]) -> tuple[Call, ...]:
    """The calls whose outcomes contradict each other."""
    return tuple(calls[number] for number in head.get("contradiction", ()))


def call(sessions: int, line: Line) -> Call:
    """One call."""
    line = dict(line)
    invoked, completed = line.pop("invoked"), line.pop("completed")
    outcome: Outcome | None = None
    if "failed" in line:
        outcome = Failed(SqlState(line.pop("failed")))
    elif "ok" in line:
        outcome = Ok(value(line["operation"], line.pop("ok")))
    made = Call(operation(line), invoked, completed, outcome)
    if not made.invoked <= deadline(made):
        raise ValueError("it completed before it was invoked")
    session = getattr(made.operation, "session", 0)
    if not 0 <= session < sessions:
        raise ValueError(f"there is no session {session}: the first is 0, the last {sessions - 1}")
    return made


def operation(line: Line) -> Operation:
    """The operation of a call."""
    kind: Any = OPERATIONS[line.pop("operation")]
    if kind is Restart:
        line = {"kind": RestartKind(line["kind"]), "hazard": Hazard(line["hazard"]) if line.get("hazard") else None}
    elif kind is SetPolicy:
        line = {"stop_policy": StopPolicy(line["stop_policy"])}
    elif kind is Rollback:
        line = {"start": checked(Start(**line["start"]))}
    made: Operation = checked(kind(**line))
    return made


def value(operation: str, shown: Any) -> Value:
    """What an operation returned."""
    if operation == ListBackups.__name__:
        return tuple(map(backup_row, shown))
    if isinstance(shown, dict):
        return checked(StopRow(**{"restorable": True, **shown}))
    if not (shown is None or isinstance(shown, int)):
        raise ValueError(f"{operation} can not return {shown!r}")
    if shown is None:
        return None
    return StartPoint(shown) if issubclass(OPERATIONS[operation], Starting) else Time(shown)


def backup_row(shown: Line) -> BackupRow:
    """A row of the view; unless told, the backup is alice's, and time has not passed."""
    started = None if shown["state"] == "starting" else 0
    usual = {"owner": "alice", "start_point": None, "start_time": started, "expires_at": None, "stop_time": None}
    return checked(BackupRow(**{**usual, **shown}))


def checked(made: Made) -> Made:
    """The same, if every part is of its kind."""
    for name, kind in get_type_hints(type(made)).items():
        if not isinstance(getattr(made, name), classes(kind)):
            raise ValueError(f"{name} of {type(made).__name__} can not be {getattr(made, name)!r}")
    return made


def classes(kind: Any) -> tuple[type, ...]:
    """Of what is of a kind, as ``isinstance`` asks: of a NewType, what it is made of."""
    if isinstance(kind, NewType):
        return classes(kind.__supertype__)
    if get_origin(kind) in (Union, UnionType):
        return tuple(one for part in get_args(kind) for one in classes(part))
    return (get_origin(kind) if isinstance(kind, GenericAlias) else kind,)


# Writing


def written(design: Design, first: Cluster, calls: Sequence[Call]) -> str:
    """A history in which nobody is connected at first, or all sessions are alice's, as text."""
    choices = {**asdict(design), "settings": design.settings._asdict()}
    head: Line = {
        "design": design.name if design == DESIGNS.get(design.name) else choices,
        "settings": first.settings._asdict(),
        "sessions": len(first.sessions),
    }
    if first != connected(design, len(first.sessions))._replace(settings=first.settings):
        head["roles"] = [role._asdict() for role in first.roles]
    return "".join(json.dumps(line) + "\n" for line in (head, *map(line_of, calls)))


def line_of(call: Call) -> Line:
    """One call."""
    line = {"operation": type(call.operation).__name__, **asdict(call.operation)}
    line |= {"invoked": call.invoked, "completed": call.completed}
    match call.outcome:
        case Failed(sqlstate):
            line["failed"] = sqlstate.value
        case Ok(tuple() as rows):
            line["ok"] = [asdict(row) for row in rows]
        case Ok(StopRow() as row):
            line["ok"] = asdict(row)
        case Ok(other):
            line["ok"] = other
    return line
