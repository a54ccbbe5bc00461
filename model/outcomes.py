"""What an operation comes to: a value, or an SQLSTATE.

The SQLSTATE is the only thing the model knows of SQL: the enum's values are the five characters that a
server reports, and the names are those of PostgreSQL's ``errcodes.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from model.numbers import StartPoint, Time
from model.operations import Operation, Starting


class SqlState(StrEnum):
    """The errors an operation may end with."""

    INSUFFICIENT_PRIVILEGE = "42501"
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000"
    NULL_VALUE_NOT_ALLOWED = "22004"
    INVALID_PARAMETER_VALUE = "22023"
    DUPLICATE_OBJECT = "42710"
    CONFIGURATION_LIMIT_EXCEEDED = "53400"
    INSUFFICIENT_RESOURCES = "53000"
    UNDEFINED_OBJECT = "42704"
    OBJECT_IN_USE = "55006"
    QUERY_CANCELED = "57014"
    UNDEFINED_FUNCTION = "42883"
    CONNECTION_EXCEPTION = "08002"
    CONNECTION_DOES_NOT_EXIST = "08003"
    INVALID_AUTHORIZATION = "28000"
    INVALID_GRANT_OPERATION = "0LP01"


@dataclass(frozen=True, slots=True)
class Ok:
    """The operation took place and returned ``value``."""

    value: Value = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation was refused and changed nothing."""

    sqlstate: SqlState


Outcome = Ok | Failed


@dataclass(frozen=True, slots=True)
class StopRow:
    """What a stop hands out: enough to compare a label file with, field by field.

    ``start_point`` is the model's number of the start (see ``Cluster.start_points``);
    ``restorable`` is ghost state: no SQL shows it, a restore would. ``control_file``: the label file is one of the
    kind that a standby hands out, and the copy needs the control file that comes with it. ``repeated``: the backup had
    been stopped before, at ``stop_time`` or later (seconds of the model's clock), and this call did not end it; None:
    the implementation does not tell.
    """

    label: str
    start_point: StartPoint
    restorable: bool
    control_file: bool = False
    repeated: bool | None = None
    stop_time: Time | None = None


def start_point(operation: Operation, outcome: Outcome | None) -> StartPoint | None:
    """What a start that succeeded returned. What a renewal returns is a number too, but a time."""
    value = outcome.value if isinstance(outcome, Ok) and isinstance(operation, Starting) else None
    return StartPoint(value) if isinstance(value, int) else None


def stop_row(outcome: object) -> StopRow | None:
    """What a stop that succeeded handed out; None for any other outcome, or for what is none."""
    return outcome.value if isinstance(outcome, Ok) and isinstance(outcome.value, StopRow) else None


@dataclass(frozen=True, slots=True)
class BackupRow:
    """One row of the view ``shared_backups``; times in seconds of the model's clock, None for NULL."""

    label: str
    state: str
    owner: str | None
    start_point: StartPoint | None
    start_time: Time | None
    expires_at: Time | None
    stop_time: Time | None


Value = StartPoint | Time | StopRow | tuple[BackupRow, ...] | None
"""What an operation may return: a start its start point, a renewal the deadline, a stop a row, the view its rows."""
