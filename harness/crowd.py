"""A crowd: many sessions of one cluster at once, each in a thread of its own, and one history of all that they do."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from harness.client import Client
from harness.cluster import Cluster
from harness.history import Event
from harness.implementation import Implementation
from harness.labelfile import lsn_to_int
from harness.probes import forced_full_page_writes, live_backups
from harness.session import CONNECTION_FAILURE, Session, SqlError
from model.numbers import StartPoint
from model.operations import (
    AddMember,
    DropRole,
    Grant,
    Operation,
    Revoke,
    SetLimit,
    SetPolicy,
    SetResults,
    SetRetention,
    SetTtl,
)
from model.outcomes import Outcome, SqlState

ADMIN_SHUTDOWN = "57P01"
UNKNOWN = frozenset({SqlState.QUERY_CANCELED.value, ADMIN_SHUTDOWN, CONNECTION_FAILURE})
"""SQLSTATEs after which an operation has either taken place or left no trace: which one, the caller is not told."""

ALONE = SetLimit | SetTtl | SetPolicy | SetRetention | SetResults | Grant | Revoke | AddMember | DropRole
"""What reaches the processes of a server one after the other, by a reload or when they next look at a catalogue, so
that beside other operations it is no single event: it waits until none is under way, and holds back the rest."""


class UnknownOutcome(Exception):  # noqa: N818 - as Violation
    """Nobody knows whether the operation took place."""


class Door:
    """Operations pass together, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """For an operation among others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For an operation that must be alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


class Crowd(Client):
    """A client whose sessions act at the same time.

    A start point is its LSN as a number here, as the server said it: in which order several starts at once took
    theirs is for a checker of the history to say.
    """

    def __init__(self, cluster: Cluster, implementation: Implementation) -> None:
        self._here = threading.local()
        self._probe = threading.Lock()
        self.door = Door()
        self.over = threading.Event()
        """The rush is over, or something has gone wrong."""
        self.ceiling: int | None = None
        """More backups than this can not be live at once; None: no limit."""
        super().__init__(cluster, implementation)

    # One operation of many

    def act(self, operation: Operation) -> Outcome | None:
        """Carries out one operation, whatever others do meanwhile; None: its outcome is unknown. Raises Violation."""
        with self.door.alone() if isinstance(operation, ALONE) else self.door.passing():
            try:
                return self.perform(operation)
            except UnknownOutcome:
                return None

    @property
    def event(self) -> Event | None:
        """What this thread is doing."""
        return getattr(self._here, "event", None)

    @event.setter
    def event(self, event: Event | None) -> None:
        self._here.event = event

    def known_state(self, error: SqlError) -> SqlState:
        """The SQLSTATE, if the model knows it; raises UnknownOutcome if it leaves open what has happened."""
        if error.sqlstate in UNKNOWN:
            raise UnknownOutcome from error
        return super().known_state(error)

    # Start points are LSNs

    def start(
        self, number: int, by: Implementation, label: str | None, ttl: int | None, fast: bool
    ) -> StartPoint | None:
        """A start; returns its start point."""
        lsn = self.begin_backup(number, by, label, ttl, fast)
        return None if lsn is None else self.start_point(lsn)

    def lsn(self, start_point: StartPoint) -> str:
        """A start point as SQL has it."""
        return f"{start_point >> 32:X}/{start_point & 0xFFFF_FFFF:X}"

    def start_point(self, lsn: str) -> StartPoint:
        """A start point as the history has it."""
        return StartPoint(lsn_to_int(lsn))

    # The limit

    def set(self, **values: object) -> None:
        """Changes settings, and notes how many backups may be live from now on: a lower limit ends none."""
        super().set(**values)
        if "max_backups" in values and self.implementation.view is not None:
            live, limit = live_backups(self.admin, self.implementation.view), values["max_backups"]
            self.ceiling = max(limit, live) if isinstance(limit, int) else None

    # Core's hidden counter

    def forces_full_pages(self, session: Session) -> bool:
        """Does core force full-page writes? Asked by one session at a time: each spoils the probe's page for others.

        Whatever else is written meanwhile may make the answer yes, and never no.
        """
        with self._probe:
            return forced_full_page_writes(session)

    # All at once

    def rush(self, members: Sequence[Callable[[], None]], companions: Sequence[Callable[[], None]] = ()) -> None:
        """Runs all of these at once, and returns when they have ended; raises what the first of them raised.

        Companions are to end when ``over`` is set, which it is as soon as no member runs or anybody has failed.
        """
        self.over.clear()
        with ThreadPoolExecutor(len(members) + len(companions)) as threads:
            beside = [threads.submit(self._guarded, task) for task in companions]
            running = [threads.submit(self._guarded, task) for task in members]
            try:
                for task in running:
                    task.exception()
            finally:
                self.over.set()
        for task in (*running, *beside):
            task.result()

    def _guarded(self, task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException:
            self.over.set()
            raise
