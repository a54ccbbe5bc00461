"""The SQL of a step of an exploration, to be pasted into psql."""

import re
from collections.abc import Callable
from typing import assert_never

from harness.clients.client import NO_TOKEN, in_configuration, interval, with_values
from harness.clients.implementation import STOCK, UNFENCED, Implementation
from harness.clients.roles import granted
from harness.schema.exploration import Move, Step
from harness.server.session import Parameters
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
    Operation,
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
from model.scope import STALE
from model.steps import Cancel, Lose
from properties.exploration.explored import operation_of
from properties.recording.scripts import literal

Named = Callable[[str | None, StartPoint], str]
"""The variable of psql with the token of a start: of the backup under that label, with that number."""

UNTOLD = "a token that only psql knows"
CALL = re.compile(r"\w+\([^,)]*")
"""A function's name and its first argument."""
TO_CUT = {Cancel: "pg_cancel_backend", Lose: "pg_terminate_backend"}


def statements(by: Implementation, step: Step | Move, under_way: Step | Move | None, named: Named) -> tuple[str, ...]:
    """What is sent when all of an operation or its first phase is done, or it is cut off; nothing: it is no SQL.

    ``under_way``: the first phase of what the session is in the middle of.
    """
    operation = operation_of(step)
    if isinstance(operation, Cancel | Lose):
        assert under_way is not None
        return (cutting(TO_CUT[type(operation)], statements(by, under_way, None, named)),)
    return said(by, operation, named)


def said(by: Implementation, operation: Operation, named: Named) -> tuple[str, ...]:
    """The statements of an operation."""
    match operation:
        case Start(_, label, ttl, fast):
            return asked(by.start, {"label": label, "fast": fast, "ttl": interval(ttl)})
        case Rollback(start):
            return ("BEGIN", *said(by, start, named), "ROLLBACK")
        case Stop(_, label, point, wait):
            return fenced(asked(by.stop, {"label": label, "wait": wait, **fence(point)}), label, point, named)
        case Abort(_, label, point):
            return fenced(asked(by.abort, {"label": label, **fence(point)}), label, point, named)
        case Renew(_, label, ttl, point):
            parameters = {"label": label, "ttl": interval(ttl), **fence(point)}
            return fenced(asked(by.renew, parameters), label, point, named)
        case ListBackups():
            return asked(by.view, None)
        case StockStart(_, label):
            return asked(STOCK.start, {"label": label, "fast": True})
        case StockStop():
            return asked(STOCK.stop, {"wait": False})
        case Connect(_, role):
            return (f"\\connect - {role}",)
        case Disconnect():
            return ("\\quit",)
        case Restart():
            return ()
        case Advance(seconds):
            return asked(by.advance_clock, {"interval": interval(seconds)}) or (f"SELECT pg_sleep({seconds})",)
        case _:
            return administrated(by, operation)


def administrated(
    by: Implementation,
    operation: SetLimit | SetTtl | SetPolicy | SetRetention | SetResults | Grant | Revoke | AddMember | DropRole,
) -> tuple[str, ...]:
    """The statements of an administrator."""
    functions = ", ".join(granted(by.functions))
    match operation:
        case SetLimit(value):
            return setting(by, "max_backups", value)
        case SetTtl(value):
            return setting(by, "ttl", value)
        case SetPolicy(policy):
            return setting(by, "stop_policy", policy)
        case SetRetention(value):
            return setting(by, "result_retention", value)
        case SetResults(value):
            return setting(by, "max_results", value)
        case Grant(role):
            return (f"GRANT EXECUTE ON FUNCTION {functions} TO {role}",)
        case Revoke(role):
            return (f"REVOKE EXECUTE ON FUNCTION {functions} FROM {role}",)
        case AddMember(role, group):
            return (f"GRANT {group} TO {role}",)
        case DropRole(role):
            return f"DROP OWNED BY {role}", f"DROP ROLE {role}"
        case _:
            assert_never(operation)


def setting(by: Implementation, name: str, value: object) -> tuple[str, ...]:
    """A setting is changed, if there is such a one."""
    if name not in by.settings:
        return ()
    return f"ALTER SYSTEM SET {by.settings[name]} = '{in_configuration(name, value)}'", "SELECT pg_reload_conf()"


def asked(sql: str | None, parameters: Parameters) -> tuple[str, ...]:
    """A statement with its values; nothing, if there is no such operation."""
    return () if sql is None else (with_values(sql, parameters),)


def fence(point: StartPoint | None) -> dict[str, str | None]:
    """The parameters that name a start."""
    return dict(UNFENCED) if point is None else dict.fromkeys(UNFENCED, NO_TOKEN if point == STALE else UNTOLD)


def fenced(texts: tuple[str, ...], label: str | None, point: StartPoint | None, named: Named) -> tuple[str, ...]:
    """The same with the variable in place of what only psql knows."""
    if point is None or point == STALE:
        return texts
    return tuple(text.replace(f"'{UNTOLD}'", f":'{named(label, point)}'") for text in texts)


def cutting(function: str, texts: tuple[str, ...]) -> str:
    """Cuts off the operation that was begun by these statements."""
    begun = next(text for text in texts if text != "BEGIN")
    call = CALL.search(begun)
    assert call is not None
    return (
        f"SELECT {function}(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        f" AND state = 'active' AND position({literal(call[0])} IN query) > 0"
    )
