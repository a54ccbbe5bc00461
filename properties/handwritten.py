"""Concurrent histories written by hand, as JSON lines: the first says why it is good or bad, the others are its calls.

The first line may also name a ``limit`` and a number of ``sessions`` (alice's; two, unless told), and of a bad history
the calls, by number, whose outcomes contradict each other (``contradiction``). A call has the arguments of its
operation, ``invoked`` and ``completed``, and what came of it: ``ok`` with a value or ``failed`` with an SQLSTATE;
with neither, it is not known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import model.operations
from model.linearize import Call
from model.operations import ListBackups, Operation, Restart, RestartKind
from model.outcomes import BackupRow, Failed, Ok, Outcome, SqlState, StopRow
from model.state import Cluster
from properties.concurrency import DESIGN, connected

FOLDER = Path(__file__).parent / "histories"


@dataclass(frozen=True)
class Handwritten:
    """A history that somebody has thought about."""

    why: str
    first: Cluster
    calls: tuple[Call, ...]
    contradiction: tuple[Call, ...]


def names(kind: str) -> list[str]:
    """The histories in a folder."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.jsonl"))


def read(kind: str, name: str) -> Handwritten:
    """A history: ``good`` or ``bad``."""
    head, *lines = map(json.loads, (FOLDER / kind / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    calls = tuple(map(call, lines))
    return Handwritten(
        why=head["why"],
        first=connected(DESIGN, head.get("sessions", 3), head.get("limit")),
        calls=calls,
        contradiction=tuple(calls[number] for number in head.get("contradiction", ())),
    )


def call(line: dict[str, Any]) -> Call:
    """One call."""
    line = dict(line)
    invoked, completed = line.pop("invoked"), line.pop("completed")
    outcome: Outcome | None = None
    if "failed" in line:
        outcome = Failed(SqlState(line.pop("failed")))
    elif "ok" in line:
        outcome = Ok(value(line["operation"], line.pop("ok")))
    return Call(operation(line), invoked, completed, outcome)


def operation(line: dict[str, Any]) -> Operation:
    """The operation of a call."""
    kind = getattr(model.operations, line.pop("operation"))
    if kind is Restart:
        return Restart(RestartKind(line["kind"]))
    made: Operation = kind(**line)
    return made


def value(operation: str, shown: Any) -> object:
    """What an operation returned."""
    if operation == ListBackups.__name__:
        return tuple(map(backup_row, shown))
    return StopRow(**shown, restorable=True) if isinstance(shown, dict) else shown


def backup_row(shown: dict[str, Any]) -> BackupRow:
    """A row of the view; in these histories every backup is alice's, and where time passes the rows say so."""
    started = None if shown["state"] == "starting" else 0
    usual = {"owner": "alice", "start_point": None, "start_time": started, "expires_at": None, "stop_time": None}
    return BackupRow(**{**usual, **shown})
