"""A client session: SQL as one role, errors as SQLSTATEs, and operations that block without blocking the bench."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any] | None

CONNECTION_FAILURE = "08006"


class SqlError(Exception):
    """The server refused: ``sqlstate`` with its message, detail and hint.

    A connection that ended without a word from the server has the SQLSTATE 08006 (connection_failure).
    """

    def __init__(self, sqlstate: str, message: str, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint


@dataclass(frozen=True)
class Pending:
    """An operation that was submitted and may not have ended."""

    future: Future[list[Row]]
    _cancel: Callable[[], None]

    def done(self) -> bool:
        """Whether it has ended."""
        return self.future.done()

    def result(self, timeout: float | None = None) -> list[Row]:
        """Its rows, waiting up to ``timeout`` seconds; raises SqlError as ``execute`` does, or TimeoutError."""
        return self.future.result(timeout)

    def cancel(self) -> None:
        """Asks the server to cancel it; it still ends by itself, with 57014 or with its result if it was faster."""
        self._cancel()


class Session:
    """A client session on a server, as one role; every statement is a transaction of its own unless it says BEGIN."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Connects with libpq's parameters (``Cluster.parameters`` gives them); raises SqlError."""
        try:
            self._connection = psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise _sql_error(error) from None
        self.user = self._connection.info.user
        self.pid = self._connection.info.backend_pid

    @property
    def usable(self) -> bool:
        """Whether statements can be sent: False once the session was closed or found broken."""
        return not self._connection.closed

    @property
    def busy(self) -> bool:
        """Whether a statement is under way, in another thread."""
        return self._connection.info.transaction_status is TransactionStatus.ACTIVE

    def execute(self, sql: str, parameters: Parameters = None) -> list[Row]:
        """The statement's rows (none, if it returns nothing); raises SqlError.

        Raises psycopg.DataError for a value that Python has no object for, such as an infinite time.
        """
        try:
            cursor = self._connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            if isinstance(error, psycopg.DataError) and error.sqlstate is None:
                raise  # by the driver: the server did not refuse
            raise _sql_error(error) from None

    def answers(self) -> bool:
        """Is its server there?"""
        try:
            return self.execute("SELECT true") == [(True,)]
        except SqlError:
            return False

    def submit(self, sql: str, parameters: Parameters = None) -> Pending:
        """Sends the statement and returns at once; a session has room for one such statement at a time."""
        future: Future[list[Row]] = Future()

        def run() -> None:
            try:
                future.set_result(self.execute(sql, parameters))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name=f"session {self.pid}", daemon=True).start()
        return Pending(future, self.cancel)

    def cancel(self) -> None:
        """Asks the server to cancel whatever the session is running."""
        with contextlib.suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=10)

    def close(self) -> None:
        """Ends the session politely; the server may still be cleaning up when this returns."""
        self._connection.close()

    def vanish(self) -> None:
        """Ends the session as a dead client would: the socket is shut and no goodbye is sent."""
        with contextlib.suppress(psycopg.Error, OSError):
            duplicate = os.dup(self._connection.fileno())
            with socket.socket(fileno=duplicate) as connection:
                connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _sql_error(error: psycopg.Error) -> SqlError:
    diagnosis = error.diag
    return SqlError(
        error.sqlstate or CONNECTION_FAILURE,
        diagnosis.message_primary or str(error).strip(),
        diagnosis.message_detail,
        diagnosis.message_hint,
    )
