"""Those who start and stop backups while a clock runs: one after the other, or many at once."""

import selectors
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from psycopg.pq import ExecStatus

from harness.clients.implementation import UNFENCED, Implementation
from harness.server.cluster import Cluster
from harness.server.session import Parameters, Session

MILLISECONDS = 1000.0
SETTLING = 0.005
"""Seconds of rest before whatever is timed."""
PATIENCE = 60.0
"""Seconds without a word from the server before many callers give up."""


class Starts(Protocol):
    """Somebody whose starts and stops are timed, in milliseconds."""

    def start(self) -> float: ...

    def stop(self) -> float: ...


@dataclass(frozen=True)
class Caller:
    """A session that starts and stops backups under one label."""

    session: Session
    by: Implementation
    label: str = "bench"
    wait_for_archive: bool = False

    def start(self) -> float:
        """A fast start."""
        return timed(self.session, self.by.start, start_parameters(self.label))

    def stop(self) -> float:
        """A stop."""
        return timed(self.session, self.by.stop, stop_parameters(self.label, self.wait_for_archive))

    def renew(self) -> float:
        """A renewal, if there is such a thing."""
        assert self.by.renew is not None
        return timed(self.session, self.by.renew, {"label": self.label, "ttl": "1 hour", **UNFENCED})


@dataclass(frozen=True)
class Floor:
    """What no start or stop can avoid: both switch to a new WAL segment, and a start takes a checkpoint."""

    session: Session

    def start(self) -> float:
        """As much as a start must do."""
        return timed(self.session, "SELECT pg_switch_wal(); CHECKPOINT")

    def stop(self) -> float:
        """As much as a stop must do."""
        return timed(self.session, "SELECT pg_switch_wal()")


def start_and_stop(caller: Starts) -> Mapping[str, float]:
    """A turn: a start, then a stop."""
    started = caller.start()
    rest()
    return {"start": started, "stop": caller.stop()}


def rest() -> None:
    """Lets the server settle, so that what one operation leaves behind (a worker that ends, another that is launched,
    the end of a checkpoint) is not charged to the next."""
    time.sleep(SETTLING)


def start_parameters(label: str, ttl: str | None = None) -> dict[str, Any]:
    """The parameters of a start."""
    return {"label": label, "fast": True, "ttl": ttl}


def stop_parameters(label: str, wait_for_archive: bool = False) -> dict[str, Any]:
    """The parameters of a stop."""
    return {"label": label, "wait": wait_for_archive, **UNFENCED}


def timed(session: Session, sql: str, parameters: Parameters = None) -> float:
    """Runs a statement; returns the milliseconds from sending it to having its rows."""
    began = time.perf_counter()
    session.execute(sql, parameters)
    return (time.perf_counter() - began) * MILLISECONDS


# Many at once


def connections(cluster: Cluster, number: int) -> list[psycopg.Connection]:
    """So many connections of a superuser."""
    return [psycopg.connect(**cluster.parameters(), autocommit=True) for _ in range(number)]


def literal(connection: psycopg.Connection, sql: str, parameters: Mapping[str, Any]) -> bytes:
    """The statement with its parameters written out, to be sent as it is."""
    return psycopg.ClientCursor(connection).mogrify(sql, parameters).encode()


def all_at_once(callers: Sequence[psycopg.Connection], statements: Sequence[bytes]) -> float:
    """Every caller sends its statement; returns the milliseconds until the last has its answer.

    One thread does it all, so that the callers do not wait for each other in this process. Raises psycopg.Error for
    the first statement that is refused.
    """
    with selectors.DefaultSelector() as waiting:
        for caller in callers:
            waiting.register(caller.fileno(), selectors.EVENT_READ, caller.pgconn)
        began = time.perf_counter()
        for caller, statement in zip(callers, statements, strict=True):
            caller.pgconn.send_query(statement)
        failed = None
        while waiting.get_map():
            ready = waiting.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"{len(waiting.get_map())} callers had no answer for {PATIENCE} s")
            for key, _events in ready:
                key.data.consume_input()
                if not key.data.is_busy():
                    failed = failed or refusal(key.data)
                    waiting.unregister(key.fd)
        taken = time.perf_counter() - began
    if failed:
        raise psycopg.OperationalError(failed)
    return taken * MILLISECONDS


def refusal(connection: Any) -> str:
    """Takes the answer to a statement; what the server says if it refuses, else nothing."""
    said = ""
    while (result := connection.get_result()) is not None:
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            said = said or result.error_message.decode(errors="replace").strip()
    return said
