"""What a concurrent history is made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from model.operations import Backing, Operation, StockStart
from model.outcomes import BackupRow, Ok, Outcome, StopRow


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a history: when it was invoked and completed, and what came of it."""

    operation: Operation
    invoked: float
    completed: float | None = None
    """None: never."""
    outcome: Outcome | None = None
    """None: not known. It took place, with whatever outcome, or left no trace; when, if it never completed, is open."""


def deadline(call: Call) -> float:
    """When a call completed; infinity: never."""
    return inf if call.completed is None else call.completed


def label_of(operation: Operation) -> str | None:
    """The label that an operation names."""
    return operation.label if isinstance(operation, Backing | StockStart) else None


def rows(outcome: Outcome | None) -> list[StopRow | BackupRow]:
    """The rows that an outcome shows."""
    value = outcome.value if isinstance(outcome, Ok) else None
    return [row for row in (value if isinstance(value, tuple) else (value,)) if isinstance(row, StopRow | BackupRow)]
