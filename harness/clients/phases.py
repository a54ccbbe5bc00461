"""A controller: sessions whose operations stop between two phases, each going on when it is told to."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from harness.clients.client import PATIENCE, Client, Violation
from harness.clients.history import Event
from harness.clients.implementation import Implementation
from harness.server.cluster import Cluster
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session
from harness.server.wal import int_to_lsn, lsn_to_int
from model.operations import Abort, Advance, Hazard, Operation, Start, Stop
from model.outcomes import Ok, Outcome

BOUNDARIES: Mapping[type[Operation], tuple[str, ...]] = {
    Start: ("start-reserved", "start-point-taken"),
    Stop: ("stop-claimed", "stop-core-ended"),
    Abort: ("abort-claimed",),
}
"""The points at the ends of an operation's phases, except for the last one."""

Place = tuple[str, str | None]
"""A point, as attached for a label."""


@dataclass(frozen=True)
class AtBoundary:
    """What an operation has come to: it stands at a point."""

    place: Place


class PhaseController(Client):
    """A client with several operations under way, each of which takes its next phase when it is told to."""

    def __init__(self, cluster: Cluster, implementation: Implementation) -> None:
        self._here = threading.local()
        self._timekeeper = cluster.connect()
        super().__init__(cluster, implementation)
        self.threads = ThreadPoolExecutor()
        self.under_way: dict[Operation, Future[Outcome]] = {}
        self.at_boundary: dict[Operation, Place] = {}
        self.reaper_at: str | None = None
        """The point where the reaper is held."""

    @property
    def points(self) -> InjectionPoints:
        """The injection points of the server."""
        return InjectionPoints(self.admin)

    @property
    def event(self) -> Event | None:
        """What this thread is doing."""
        return getattr(self._here, "event", None)

    @event.setter
    def event(self, event: Event | None) -> None:
        self._here.event = event

    # Operations under way

    def hold_between_phases(self, operations: Sequence[Operation], reaper_at: str | None = None) -> list[Place]:
        """From now on these operations stop between their phases, and the reaper at a point; returns where."""
        self.reaper_at = reaper_at
        places = [(point, getattr(one, "label", None)) for one in operations for point in BOUNDARIES.get(type(one), ())]
        places += [(reaper_at, None)] if reaper_at else []
        if places:
            self.points.attach_all(places)
        return list(dict.fromkeys(places))

    def release_all(self) -> None:
        """Everybody goes on to the end, and nobody stops any more."""
        self.points.detach()
        for future in self.under_way.values():
            future.exception(PATIENCE)
        self.under_way.clear()
        self.at_boundary.clear()

    def take_phase(self, operation: Operation) -> Outcome | AtBoundary:
        """The next phase of an operation, the first if it is not under way."""
        boundaries = BOUNDARIES.get(type(operation), ())
        place = self.at_boundary.pop(operation, None)
        following = boundaries[boundaries.index(place[0]) + 1 :] if place else boundaries
        goal: Place | None = (following[0], getattr(operation, "label", None)) if following else None
        others = self.points.waiting(*goal) if goal is not None and goal in self.at_boundary.values() else ()
        if place:
            self.points.wakeup(*place)
        else:
            self.under_way[operation] = self.threads.submit(self.perform, operation)
        future = self.under_way[operation]
        if goal is not None and self.points.arrived(*goal, over=future.done, others=others):
            self.at_boundary[operation] = goal
            return AtBoundary(goal)
        if isinstance(operation, Advance) and self.reaper_at:
            self.points.arrived(self.reaper_at, over=future.done)
            return Ok()
        return future.result(PATIENCE)

    # Some things are different here

    def idle_sessions(self) -> list[Session]:
        """Those that are not in the middle of an operation."""
        busy = [getattr(operation, "session", None) for operation in self.at_boundary]
        return [session for number, session in enumerate(self.sessions) if session is not None and number not in busy]

    def start(self, number: int, by: Implementation, label: str | None, ttl: int | None, fast: bool) -> int | None:
        """A start; returns its start point, which ``number_start_point`` will give its number."""
        return lsn_to_int(str(self.begin_backup(number, by, label, ttl, fast)))

    def number_start_point(self, start_point: int, number: int) -> None:
        """The start point was the one of that number to be taken; raises Violation if that can not be."""
        self.lsns += [""] * (number + 1 - len(self.lsns))
        self.lsns[number] = int_to_lsn(start_point)
        known = [lsn for lsn in self.lsns if lsn]
        if sorted(set(known), key=lsn_to_int) != known:
            raise Violation(f"start points must rise in the order in which they are taken, and they are {known}")

    @property
    def timekeeper(self) -> Session:
        """A session of its own: it may have to wait until the reaper is let go."""
        return self._timekeeper

    def restart(self, kind: str, hazard: Hazard | None = None) -> None:
        """Restarts the server."""
        super().restart(kind, hazard)
        self._timekeeper = self.cluster.connect()

    def forget_all(self, kind: str) -> None:
        """Restarts the server in such a way that it remembers no backup."""
        super().forget_all(kind)
        self._timekeeper = self.cluster.connect()
