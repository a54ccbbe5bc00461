"""The client (Jepsen's word): carries out the model's operations on a real cluster, and speaks the model's language.

Starts, which the model numbers, have LSNs here (no two the same: the server is a primary) and tokens; the model's
seconds are times on the extension's clock. The client translates both ways, and in passing holds what it sees to what
the model cannot say: start points rise, a token is one start's, label files are whole, a repeated stop gives the same
bytes.
"""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, assert_never, final

from psycopg.sql import Literal

from harness.clients.history import Event, History
from harness.clients.implementation import STOCK, Implementation
from harness.clients.labelfile import LabelFile, parse_label_file
from harness.clients.roles import creating, granted
from harness.clients.start_points import StartPoints
from harness.clients.violation import Violation as Violation
from harness.machine.processes import wait_gone
from harness.server import durable
from harness.server.cluster import Cluster
from harness.server.probes import prepare_probe
from harness.server.session import CONNECTION_FAILURE, Parameters, Row, Session, SqlError
from harness.server.wal import lsn_to_int, plain_lsn, segment_name
from model.design import Design, Room, Settings, Storage
from model.numbers import StartPoint, Time
from model.operations import (
    Abort,
    AddMember,
    Advance,
    Connect,
    Disconnect,
    DropRole,
    Grant,
    Hazard,
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
from model.outcomes import BackupRow, Failed, Ok, Outcome, SqlState, StopRow, Value
from model.state import Role

PATIENCE = 30.0
"""Seconds that a process may take to end, or a setting to be loaded, before the bench gives up."""

BRIEFLY = 0.001  # seconds between looks

LONG_ENOUGH = 86_400
"""Seconds after which no result of an example is remembered: more than any retention it may set."""

NO_TOKEN = "00000000-0000-0000-0000-000000000000"
"""The token for a start that no backup has."""

ADMIN_SHUTDOWN = "57P01"
UNKNOWN = frozenset({SqlState.QUERY_CANCELED.value, ADMIN_SHUTDOWN, CONNECTION_FAILURE})
"""SQLSTATEs after which an operation has either taken place or left no trace: which one, the caller is not told."""


class UnknownOutcome(Violation):
    """Nobody knows whether the operation took place: a violation, unless somebody interfered with it."""


class Here(threading.local):
    """What belongs to one thread."""

    event: Event | None = None
    """What it is doing."""


Restarter = Callable[["Client", str, Hazard | None], Session]
"""Restarts the server of a client whose sessions have ended, in that way; returns an administrator's session."""


def restart_server(client: "Client", kind: str, hazard: Hazard | None) -> Session:
    """The usual way; where backups survive, it returns when they are back."""
    if client.implementation.durable:
        return durable.restart(client.cluster, kind, hazard)
    client.cluster.restart(kind)
    return client.cluster.connect()


@final
class Client:
    """Sessions on a cluster of its own, for one example at a time: ``begin`` makes all new, ``end`` clears up.

    The implementation is installed there. Who needs another way to number starts, or to restart the server, passes it
    in.
    """

    def __init__(
        self,
        cluster: Cluster,
        implementation: Implementation,
        start_points: StartPoints | None = None,
        restarter: Restarter = restart_server,
    ) -> None:
        self.cluster = cluster
        self.implementation = implementation
        self.start_points = start_points or StartPoints()
        self.restarter = restarter
        self.connect_administrators(cluster.connect())
        self.tokens: dict[str, str] = {}
        """Of starts, by their LSNs; where starts have none, the LSN is all that a fence can name."""
        self.starts: dict[str, str] = {}
        """The same the other way round."""
        self._here = Here()
        self.sessions: list[Session | None] = []
        self.now = 0
        self.frozen = False
        """Has the clock been stopped?"""
        self.handed_out: Row = ()
        """What the last stop returned: the stop point, the label file, and the tablespace map and the control file, if
        there are any."""
        self.roles: tuple[Role, ...] | None = None
        """The roles as they are; None: something has changed since they were made."""
        prepare_probe(self.admin)
        self.tablespaces = self.admin.execute(
            "SELECT oid::text FROM pg_tablespace WHERE spcname !~ '^pg_' ORDER BY oid"
        )
        self.timeline, self.segment_size = self.admin.execute(
            "SELECT timeline_id, pg_size_bytes(current_setting('wal_segment_size')) FROM pg_control_checkpoint()"
        )[0]

    @property
    def design(self) -> Design:
        """What the implementation claims to follow."""
        return self.implementation.design

    def recover(self) -> None:
        """A new server process after a failed example: whatever that one left behind is gone."""
        self.forget_all("immediate")

    # An example

    def begin(self, roles: tuple[Role, ...], sessions: int, settings: Settings) -> None:
        """A fresh start: these roles, nobody connected, no backup, these settings."""
        self.clear()
        self.sessions = [None] * sessions
        self.make_roles(roles)
        self.begin_with(self.design.settings)
        self.set_all(settings)
        self.begin_history()

    def begin_history(self) -> None:
        """From here on it is recorded what happens, start points are numbered, and time is counted."""
        self.history = History()
        self.start_points.begin()
        self.stopped: dict[tuple[str, int], Row] = {}
        self.now = 0
        self.freeze()

    def end(self) -> None:
        """Ends every session and backup, by the means that any user has."""
        for number, session in enumerate(self.sessions):
            if session is not None:
                self.disconnect(number)
        self.clear()

    def clear(self) -> None:
        """No backup is open or remembered; raises Violation if one stays.

        Time passes until no result is remembered; without a clock to move, a restart makes the server forget.
        """
        view, abort = self.implementation.view, self.implementation.abort
        if view is None or abort is None:
            return
        if not (rows := self.admin.execute(view)):
            self.nothing_counted()
            return
        for row in rows:
            if row[1] == "active":
                self.admin.execute(abort, {"label": row[0], **self.fence(None)})
        if self.implementation.has_clock:
            self.move_clock(LONG_ENOUGH)
        else:
            self.forget_all("fast")
        if left := self.admin.execute(view):
            raise Violation(f"nothing should be open or remembered, and the view shows {left}")
        self.nothing_counted()

    def nothing_counted(self) -> None:
        """While there is no backup, none is counted, and none has shared memory; raises Violation.

        A start that was given up may take a moment to be undone.
        """
        if (counts := self.implementation.counts) is None:
            return
        deadline = time.monotonic() + PATIENCE
        while any(counted := self.admin.execute(counts)[0]):
            if time.monotonic() > deadline:
                raise Violation(f"nothing is open or remembered, and there are still (as in {counts}): {counted}")
            time.sleep(BRIEFLY)

    def afresh(self) -> None:
        """No backup is open or remembered, and the settings are the design's, whatever examples have made of them."""
        self.clear()
        self.begin_with(self.design.settings)

    # One operation

    def perform(self, operation: Operation) -> Outcome:
        """Carries out one operation and reports what came of it; raises Violation.

        Several threads may do so at once.
        """
        self._here.event = event = Event(operation, self.signature(operation), time.monotonic())
        self.history.events.append(event)
        try:
            event.outcome = Ok(self.carry_out(operation))
        except SqlError as error:
            event.said = error.message
            event.outcome = Failed(self.known_state(error))
        finally:
            event.completed = time.monotonic()
            self._here.event = None
        return event.outcome

    def signature(self, operation: Operation) -> str:
        """Who does it: a session and its role, an administrator, or the world."""
        number = getattr(operation, "session", None)
        if number is None:
            return "the world" if isinstance(operation, Restart | Advance) else "an administrator"
        session = self.sessions[number]
        role = operation.role if isinstance(operation, Connect) else session.user if session is not None else "-"
        return f"session {number} ({role})"

    def known_state(self, error: SqlError) -> SqlState:
        """The SQLSTATE, if the model knows it; raises UnknownOutcome if it leaves open what has happened."""
        if error.sqlstate in UNKNOWN:
            raise UnknownOutcome(f"nobody knows whether the operation took place: {error}") from error
        try:
            return SqlState(error.sqlstate)
        except ValueError:
            raise Violation(f"an error that no operation may end with: {error}") from error

    def carry_out(self, operation: Operation) -> Value:
        """The operation's value; raises SqlError."""
        match operation:
            case Start():
                return self.start(
                    operation.session, self.implementation, operation.label, operation.ttl, operation.fast
                )
            case Rollback(start):
                self.run(start.session, "BEGIN")
                try:
                    return self.carry_out(start)
                finally:
                    self.run(start.session, "ROLLBACK")
            case Stop():
                return self.stop(operation)
            case Abort(number, label, start_point):
                self.run(number, offered(self.implementation.abort), {"label": label, **self.fence(start_point)})
                return None
            case Renew(number, label, ttl, start_point):
                parameters = {"label": label, "ttl": interval(ttl), **self.fence(start_point)}
                return self.seconds(self.run(number, offered(self.implementation.renew), parameters)[0][0])
            case ListBackups(number):
                return tuple(self.backup_row(row) for row in self.run(number, offered(self.implementation.view)))
            case StockStart(number, label):
                return self.start(number, STOCK, label, None, fast=True)
            case StockStop(number):
                return self.read_stop(self.run(number, STOCK.stop, {"wait": False})[0])
            case Connect(number, role):
                self.connect(number, role)
            case Disconnect(number):
                self.disconnect(number)
            case Restart(kind, hazard):
                self.restart(kind, hazard)
            case Advance(seconds):
                self.move_clock(seconds)
            case SetLimit(max_backups):
                self.set(max_backups=max_backups)
            case SetTtl(ttl):
                self.set(ttl=ttl)
            case SetPolicy(stop_policy):
                self.set(stop_policy=stop_policy)
            case SetRetention(result_retention):
                self.set(result_retention=result_retention)
            case SetResults(max_results):
                self.set(max_results=max_results)
            case Grant(role):
                self.administrate(*(f"GRANT EXECUTE ON FUNCTION {function} TO {role}" for function in self.functions))
            case Revoke(role):
                self.administrate(
                    *(f"REVOKE EXECUTE ON FUNCTION {function} FROM {role}" for function in self.functions)
                )
            case AddMember(role, group):
                self.administrate(f"GRANT {group} TO {role}")
            case DropRole(role):
                self.administrate(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
            case _:
                assert_never(operation)
        return None

    # Statements

    def run(self, number: int, sql: str, parameters: Parameters = None) -> list[Row]:
        """A statement in a session; raises SqlError, 08003 if it is not connected."""
        session = self.sessions[number]
        if session is None:
            raise SqlError(SqlState.CONNECTION_DOES_NOT_EXIST, "the session is not connected")
        self.note(with_values(sql, parameters))
        return session.execute(sql, parameters)

    def administrate(self, *statements: str) -> None:
        """Statements of a superuser outside the sessions of the example, about its roles."""
        self.roles = None
        for statement in statements:
            self.note(statement)
            self.admin.execute(statement)

    def note(self, text: str) -> None:
        """Adds what is done now to the history, if it belongs to an operation."""
        if self._here.event is not None:
            self._here.event.sql.append(text)

    def start(
        self, number: int, by: Implementation, label: str | None, ttl: int | None, fast: bool
    ) -> StartPoint | None:
        """A start; returns the number of its start point."""
        lsn, token = (*self.run(number, by.start, {"label": label, "fast": fast, "ttl": interval(ttl)})[0], None)[:2]
        if lsn is None:
            return None
        if token is not None:
            self.learn_token(lsn, str(token))
        return self.start_points.returned(lsn)

    def learn_token(self, lsn: str, token: str) -> None:
        """The start with that LSN has this token; raises Violation if it has another, or another start has it."""
        lsn = plain_lsn(lsn)
        if self.tokens.setdefault(lsn, token) != token or self.starts.setdefault(token, lsn) != lsn:
            known = f"that one has {self.tokens[lsn]}, and this is that of {self.starts.get(token)}"
            raise Violation(f"the token of the start at {lsn} is said to be {token}; {known}")

    def stop(self, stop: Stop) -> StopRow:
        """A stop; asked again, it must answer with the same bytes, and as of the same time."""
        parameters = {"label": stop.label, "wait": stop.wait_for_archive, **self.fence(stop.start_point)}
        raw = self.run(stop.session, self.implementation.stop, parameters)[0]
        row = self.read_stop(raw)
        if not self.implementation.design.session_bound:
            first = self.stopped.setdefault((row.label, row.start_point), raw[:5])
            if first != raw[:5]:
                raise Violation(f"the stop answered {raw}, and {first} the first time")
        return row

    def fence(self, start_point: StartPoint | None) -> dict[str, str | None]:
        """The parameters that name a start: those of no start, if there is none of that number."""
        lsn = None if start_point is None else self.start_points.lsn(start_point)
        return {"start_lsn": lsn, "token": None if lsn is None else self.tokens.get(lsn, NO_TOKEN)}

    def read_stop(self, raw: Row) -> StopRow:
        """What a stop returned, its label file held to what any backup of a primary must say.

        With a control file it must be of the kind that makes a copy depend on it: that of a standby.
        """
        self.handed_out = raw[:4]
        lsn, text, tablespace_map, control_file, stop_time, repeated = (*raw, None, None, None)[:6]
        if len(raw) > 4 and (stop_time is None or repeated is None):
            raise Violation(f"the stop at {lsn} does not say when the backup was stopped, or whether it was before")
        label_file = parse_label_file(text)
        expected = {
            "method": "streamed",
            "source": "primary" if control_file is None else "standby",
            "timeline": self.timeline,
            "walfile": self.wal_file(label_file.start_lsn),
        }
        wrong = {key: value for key, value in expected.items() if getattr(label_file, key) != value}
        mapped = [(line.partition(" ")[0],) for line in sorted((tablespace_map or "").splitlines())]
        if wrong or mapped != self.tablespaces or not self.points_in_order(label_file, lsn):
            raise Violation(f"the stop at {lsn} returned {label_file} and the tablespace map {tablespace_map!r}")
        return StopRow(
            label_file.label,
            self.start_points.number(label_file.start_lsn),
            restorable=True,
            control_file=control_file is not None,
            repeated=repeated,
            stop_time=self.seconds(stop_time),
        )

    def points_in_order(self, label_file: LabelFile, stop_lsn: str) -> bool:
        """The redo point, then the checkpoint record, then the end of the backup."""
        start, checkpoint = lsn_to_int(label_file.start_lsn), lsn_to_int(label_file.checkpoint_lsn)
        return start <= checkpoint < lsn_to_int(stop_lsn)

    def wal_file(self, lsn: str) -> str:
        """The name of the WAL segment that holds an LSN."""
        return segment_name(self.timeline, lsn_to_int(lsn) // self.segment_size, self.segment_size)

    # The view

    def rows(self) -> tuple[BackupRow, ...]:
        """The view, as an administrator sees it."""
        if self.implementation.view is None:
            return ()
        return tuple(self.backup_row(row) for row in self.admin.execute(self.implementation.view))

    def backup_row(self, raw: Row) -> BackupRow:
        """One row of the view in the model's terms; raises Violation if it contradicts itself."""
        label, state, owner, start_lsn, start_time, expires_at, stop_lsn, stop_time, from_standby, *token = raw
        if (stop_lsn is None) != (stop_time is None) or (stop_lsn is not None) != (state == "stopped") or from_standby:
            raise Violation(f"a row that contradicts itself: {raw}")
        if token and (start_lsn is None) != (token[0] is None):
            raise Violation(f"a start has its token when it has its start point: {raw}")
        if token and start_lsn is not None:
            self.learn_token(start_lsn, str(token[0]))
        number = None if start_lsn is None else self.start_points.number(start_lsn)
        if state == "stopped" and self.stopped.get((label, number or 0), (stop_lsn,))[0] != stop_lsn:
            raise Violation(f"the stop returned another end than {stop_lsn}, which the view shows")
        return BackupRow(
            label,
            state,
            None if str(owner).startswith("unknown (OID=") else owner,
            number,
            self.seconds(start_time),
            self.seconds(expires_at),
            self.seconds(stop_time),
        )

    # Sessions and the server

    def connect(self, number: int, role: str) -> None:
        """Opens a session."""
        if self.sessions[number] is not None:
            raise SqlError(SqlState.CONNECTION_EXCEPTION, "the session is connected already")
        self.note(f"\\connect - {role}")
        try:
            self.sessions[number] = self.cluster.connect(role)
        except SqlError as error:
            # libpq keeps the server's SQLSTATE (28000) to itself when a connection is refused.
            if "does not exist" not in error.message:
                raise
            raise SqlError(SqlState.INVALID_AUTHORIZATION, error.message) from None

    def disconnect(self, number: int) -> None:
        """Ends a session, and waits until its backend has cleaned up and gone."""
        session = self.sessions[number]
        if session is None:
            raise SqlError(SqlState.CONNECTION_DOES_NOT_EXIST, "the session is not connected")
        self.note("\\quit")
        session.close()
        self.sessions[number] = None
        if not wait_gone([session.pid], PATIENCE):
            raise Violation(f"the backend {session.pid} was still there {PATIENCE} s after its session had ended")

    def restart(self, kind: str, hazard: Hazard | None = None) -> None:
        """Restarts the server; its sessions are gone, and so is its clock's position, unless backups survive.

        ``hazard``: what else happens on the way, to a server whose backups survive.
        """
        self.note(f"-- the server is restarted ({kind}{f', {hazard}' if hazard else ''})")
        self.close_all()
        self.connect_administrators(self.restarter(self, kind, hazard))
        if self.implementation.durable:
            self.compare_clock()
        else:
            self.freeze()

    def forget_all(self, kind: str) -> None:
        """Restarts the server in such a way that it remembers no backup."""
        self.close_all()
        self.cluster.go_down(kind)
        if self.implementation.durable:
            durable.forget(self.cluster)
        self.cluster.start()
        resumed = durable.resumed if self.implementation.durable else Cluster.connect
        self.connect_administrators(resumed(self.cluster))
        self.freeze()

    def connect_administrators(self, admin: Session) -> None:
        """The server is up: this is an administrator's session, and a second one moves the clock.

        That one may have to wait for a process that somebody holds, and the first one must be there to let it go.
        """
        self.admin = admin
        self.timekeeper = self.cluster.connect()
        if self.design.storage is Storage.FIXED:
            self.started_with = self.limits()

    def close_all(self) -> None:
        """Ends every session, the administrators' too, without waiting for the server."""
        for session in (self.admin, self.timekeeper, *self.sessions):
            if session is not None:
                session.close()
        self.sessions = [None] * len(self.sessions)

    # Time

    def freeze(self) -> None:
        """Stops the clock, if there is one; what it shows from now on is counted from here."""
        if self.implementation.freeze_clock is not None:
            frozen: datetime = self.admin.execute(self.implementation.freeze_clock)[0][0]
            self.epoch = frozen - timedelta(seconds=self.now)
            self.frozen = True

    def compare_clock(self) -> None:
        """A clock that backups are measured by goes on where it was; raises Violation."""
        if self.implementation.freeze_clock is not None and self.frozen:
            shown = self.admin.execute(self.implementation.freeze_clock)[0][0]
            if shown != self.clock():
                raise Violation(f"the clock shows {shown} after a restart, and {self.clock()} before")

    def clock(self) -> datetime:
        """What the clock shows."""
        return self.epoch + timedelta(seconds=self.now)

    def move_clock(self, seconds: int) -> None:
        """Lets time pass."""
        statement, parameters = offered(self.implementation.advance_clock), {"interval": interval(seconds)}
        self.note(with_values(statement, parameters))
        self.timekeeper.execute(statement, parameters)
        self.now += seconds

    def seconds(self, shown: datetime | None) -> Time | None:
        """A time as the model counts it; None for never. Raises Violation for a time between two seconds."""
        if shown is None or not self.implementation.has_clock:
            return None
        seconds = (shown - self.epoch).total_seconds()
        if seconds != int(seconds):
            raise Violation(f"{shown} is no time of a clock that moves by whole seconds from {self.epoch}")
        return Time(int(seconds))

    # Settings and roles

    def set(self, **values: object) -> None:
        """Changes settings, and waits until every process has them, but for those in the middle of an operation.

        The next example begins by setting them, too.
        """
        names = self.implementation.settings
        wanted = {names[name]: in_configuration(name, value) for name, value in values.items()}
        for name, value in wanted.items():
            self.note(f"ALTER SYSTEM SET {name} = '{value}'; SELECT pg_reload_conf()")
        self.cluster.varied |= wanted.keys()
        before = {name: self.cluster.settings.get(name) for name in wanted}
        if before == wanted:
            return
        loaded_before = self.settings_loaded()
        self.cluster.configure(wanted)
        try:
            self.look_into_configuration()
        except SqlError:
            self.cluster.configure(before)
            raise
        sessions = [session for session in (self.admin, self.timekeeper, *self.sessions) if session is not None]
        self.cluster.reload(sessions=[session for session in sessions if not session.busy])
        if loaded_before is not None:
            self.cluster.wait_until(
                lambda: self.settings_loaded() != loaded_before, PATIENCE, "the background worker to load its settings"
            )

    def look_into_configuration(self) -> None:
        """Raises SqlError if the server would refuse a setting as the file has it now."""
        refused = self.admin.execute(
            "SELECT name, setting FROM pg_file_settings WHERE error IS NOT NULL AND name ~ '[.]'"
        )
        if refused:
            raise SqlError(SqlState.INVALID_PARAMETER_VALUE, f"invalid value for parameter: {refused}")

    def begin_with(self, settings: Settings) -> None:
        """These settings; and where memory is preallocated, it is by them, if need be after a restart of the server."""
        self.set_all(settings)
        if self.design.storage is Storage.FIXED and self.started_with != self.limits():
            self.forget_all("fast")

    def limits(self) -> tuple[str | None, ...]:
        """The settings that memory is preallocated by, as they are."""
        names = self.implementation.settings
        return tuple(self.cluster.settings.get(names[name]) for name in Room._fields)

    def set_all(self, settings: Settings) -> None:
        """Sets whatever of them the implementation has."""
        names = self.implementation.settings
        if names:
            self.set(**{name: value for name, value in settings._asdict().items() if name in names})

    def settings_loaded(self) -> datetime | None:
        """When the implementation's background worker last loaded its settings, as far as it tells."""
        query = self.implementation.settings_loaded
        return None if query is None else self.admin.execute(query)[0][0]

    @property
    def functions(self) -> tuple[str, ...]:
        """What EXECUTE is granted on."""
        return granted(self.implementation.functions)

    def make_roles(self, roles: tuple[Role, ...]) -> None:
        """Creates the roles of an example, with their privileges and memberships, unless they are as they should be."""
        if self.roles == roles:
            return
        self.drop_roles(roles)
        for statement in creating(roles, self.functions):
            self.admin.execute(statement)
        self.roles = roles

    def drop_roles(self, roles: tuple[Role, ...]) -> None:
        """Drops what there is of these roles."""
        query = "SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname = ANY(%s)"
        names = self.admin.execute(query, ([role.name for role in roles],))[0][0]
        if names:
            self.admin.execute(f"DROP OWNED BY {names}")
            self.admin.execute(f"DROP ROLE {names}")


def offered(statement: str | None) -> str:
    """The statement; raises SqlError if the implementation has no such operation."""
    if statement is None:
        raise SqlError(SqlState.UNDEFINED_FUNCTION, "the implementation does not offer this")
    return statement


def interval(seconds: int | None) -> str | None:
    """Seconds as SQL's interval."""
    return None if seconds is None else f"{seconds} seconds"


def in_configuration(name: str, value: Any) -> str:
    """A setting of the model as the configuration file has it."""
    no_value = {"max_backups": "-1", "ttl": "0", "max_results": "-1"}
    return no_value[name] if value is None else f"{value}s" if name in ("ttl", "result_retention") else str(value)


def with_values(sql: str, parameters: Parameters) -> str:
    """A statement with its parameters filled in, to paste into psql."""
    if not isinstance(parameters, Mapping):
        return sql
    return sql % {name: Literal(value).as_string() for name, value in parameters.items()}
