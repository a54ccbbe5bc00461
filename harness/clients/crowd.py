"""A crowd: many sessions of one cluster at once, each in a thread of its own, and one history of all that they do."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from harness.clients.client import Client, UnknownOutcome
from harness.clients.implementation import Implementation
from harness.clients.start_points import AsLsns
from harness.server.cluster import Cluster
from harness.server.probes import forced_full_page_writes, live_backups
from harness.server.session import Session
from model.design import Settings
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
from model.outcomes import Ok, Outcome
from model.state import Role

EXCLUSIVE = SetLimit | SetTtl | SetPolicy | SetRetention | SetResults | Grant | Revoke | AddMember | DropRole
"""What reaches the processes of a server one after the other, by a reload or when they next look at a catalogue, so
that beside other operations it is no single event: it waits until none is under way, and holds back the rest."""


class SharedExclusiveLock:
    """Operations pass together, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def shared(self) -> Iterator[None]:
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
    def exclusive(self) -> Iterator[None]:
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


class Crowd:
    """Sessions of a client that act at the same time.

    A start point is its LSN as a number here, as the server said it: in which order several starts at once took
    theirs is for a checker of the history to say.
    """

    def __init__(self, cluster: Cluster, implementation: Implementation) -> None:
        self.client = Client(cluster, implementation, AsLsns())
        self._probe = threading.Lock()
        self.door = SharedExclusiveLock()
        self.over = threading.Event()
        """The rush is over, or something has gone wrong."""
        self.ceiling: int | None = None
        """More backups than this can not be live at once; None: no limit."""

    def begin(self, roles: tuple[Role, ...], sessions: int, settings: Settings) -> None:
        """A fresh start: these roles, nobody connected, no backup, these settings."""
        self.client.begin(roles, sessions, settings)
        self.ceiling = settings.max_backups

    # One operation of many

    def act(self, operation: Operation) -> Outcome | None:
        """Carries out one operation, whatever others do meanwhile; None: its outcome is unknown. Raises Violation."""
        with self.door.exclusive() if isinstance(operation, EXCLUSIVE) else self.door.shared():
            try:
                outcome = self.client.perform(operation)
            except UnknownOutcome:
                return None
            if isinstance(operation, SetLimit) and isinstance(outcome, Ok):
                self.limit(operation.max_backups)
            return outcome

    def limit(self, max_backups: int | None) -> None:
        """Notes how many backups may be live from now on: a lower limit ends none."""
        live = live_backups(self.client.admin, str(self.client.implementation.view))
        self.ceiling = None if max_backups is None else max(max_backups, live)

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
