"""What a move says in SQL, with what is the same each time: numbers for start points and tokens, hours for seconds."""

from collections.abc import Sequence
from typing import assert_never

from model.design import StopPolicy
from model.numbers import StartPoint
from model.operations import (
    Abort,
    Renew,
    SetLimit,
    SetPolicy,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from properties.recording.scripts import literal

Sent = Start | Stop | Abort | Renew | StockStart | StockStop
"""What a session sends about backups."""

PREFIX = "iso_"
"""Of labels, so that they are nobody else's."""
STARTS = "iso_starts"
"""The table of the starts that have succeeded, by number: what others name them by."""
NOBODY_S = "00000000-0000-0000-0000-000000000000"


class UnspeakableError(Exception):
    """These tests do not have the operation."""


def statement(operation: Sent, *, held: bool = False) -> str:
    """An operation on backups, as its session sends it."""
    match operation:
        case Start(label=label, ttl=ttl):
            options = f"fast => {'false' if held else 'true'}" + (f", ttl => {hours(ttl)}" if ttl is not None else "")
            return (
                f"INSERT INTO {STARTS} SELECT (SELECT count(*) + 1 FROM {STARTS}), token, start_lsn\n"
                f"FROM shared_backup_start({named(label)}, {options})\n"
                "RETURNING number AS start"
            )
        case Stop(label=label, start_point=fence):
            options = f"wait_for_archive => false{fenced(fence)}"
            return (
                f"SELECT repeated, (SELECT number FROM {STARTS}\n"
                f"  WHERE labelfile LIKE 'START WAL LOCATION: ' || start_lsn || ' %') AS start\n"
                f"FROM shared_backup_stop({named(label)}, {options})"
            )
        case Abort(label=label, start_point=fence):
            return f"SELECT shared_backup_abort({named(label)}{fenced(fence)})"
        case Renew(label=label, ttl=ttl, start_point=fence):
            call = f"shared_backup_renew({named(label)}, {hours(ttl)}{fenced(fence)})"
            return f"SELECT {in_hours('deadline')} AS hours\nFROM {call} AS deadline"
        case StockStart(label=label):
            return (
                f"INSERT INTO {STARTS} SELECT (SELECT count(*) + 1 FROM {STARTS}), NULL,\n"
                f"  pg_backup_start({named(label)}, true)\n"
                "RETURNING number AS start"
            )
        case StockStop():
            return "SELECT lsn IS NOT NULL AS stopped FROM pg_backup_stop(false)"
        case _:
            assert_never(operation)


def setting(operation: SetLimit | SetPolicy) -> tuple[str, str]:
    """The name of a setting, and its value."""
    match operation:
        case SetLimit(max_backups=limit):
            return "max_backups", str(-1 if limit is None else limit)
        case SetPolicy(stop_policy=policy):
            return "stop_policy", str(StopPolicy(policy).value)
        case _:
            assert_never(operation)


def clearing(labels: Sequence[str]) -> str:
    """Leaves nothing under these labels."""
    return f"CALL iso_clear(ARRAY[{', '.join(named(label) for label in labels)}])"


def look(labels: Sequence[str]) -> str:
    """The view's rows of these labels."""
    names = ", ".join(named(label) for label in labels)
    return (
        f"SELECT label, state, owner, (SELECT number FROM {STARTS} s WHERE s.token = b.token) AS start,\n"
        f"  token IS NULL AS no_token, {in_hours('expires_at')} AS hours\n"
        f"FROM shared_backups b WHERE label IN ({names}) ORDER BY label"
    )


def named(label: str | None) -> str:
    """A label of the model's."""
    return "NULL" if label is None else literal(PREFIX + label)


def hours(ttl: int | None) -> str:
    """A time to live: what takes seconds in the model takes hours here, so that nothing expires by itself."""
    return "NULL" if ttl is None else literal(f"{ttl} hours")


def in_hours(deadline: str) -> str:
    """The same of a deadline."""
    return f"round(extract(epoch FROM {deadline} - now()) / 3600)"


def fenced(start_point: StartPoint | None) -> str:
    """The token of a start, as a further argument."""
    if start_point is None:
        return ""
    token = f"(SELECT token FROM {STARTS} WHERE number = {start_point})" if start_point else literal(NOBODY_S)
    return f", token => {token}"
