"""A stage: sessions whose operations stop between two phases, each going on when it is told to."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from harness.client import PATIENCE, Client, Violation
from harness.cluster import Cluster
from harness.history import Event
from harness.implementation import Implementation
from harness.labelfile import lsn_to_int
from harness.points import Points
from harness.session import Session
from model.numbers import StartPoint
from model.operations import Abort, Advance, Hazard, Operation, Start, Stop
from model.outcomes import Ok, Outcome

BOUNDARIES: Mapping[type[Operation], tuple[str, ...]] = {
    Start: ("start-reserved", "start-point-taken"),
    Stop: ("stop-claimed", "stop-core-ended"),
    Abort: ("abort-claimed",),
}
"""The points at the ends of an operation's phases, except for the last one."""

Place = tuple[str, str | None]
"""A point, as armed for a label."""


@dataclass(frozen=True)
class Standing:
    """What an operation has come to: it stands at a point."""

    place: Place


class Stage(Client):
    """A client with several operations under way, each of which takes its next phase when it is told to."""

    def __init__(self, cluster: Cluster, implementation: Implementation) -> None:
        self._here = threading.local()
        self._timekeeper = cluster.connect()
        super().__init__(cluster, implementation)
        self.threads = ThreadPoolExecutor()
        self.under_way: dict[Operation, Future[Outcome]] = {}
        self.standing: dict[Operation, Place] = {}
        self.reaper_at: str | None = None
        """The point where the reaper is held."""

    @property
    def points(self) -> Points:
        """The named points of the server."""
        return Points(self.admin)

    @property
    def event(self) -> Event | None:
        """What this thread is doing."""
        return getattr(self._here, "event", None)

    @event.setter
    def event(self, event: Event | None) -> None:
        self._here.event = event

    # A scene

    def raise_curtain(self, operations: Sequence[Operation], reaper_at: str | None = None) -> list[Place]:
        """From now on these operations stop between their phases, and the reaper at a point; returns where."""
        self.reaper_at = reaper_at
        places = [(point, getattr(one, "label", None)) for one in operations for point in BOUNDARIES.get(type(one), ())]
        places += [(reaper_at, None)] if reaper_at else []
        if places:
            self.points.hold_all(places)
        return list(dict.fromkeys(places))

    def drop_curtain(self) -> None:
        """Everybody goes on to the end, and nobody stops any more."""
        self.points.disarm()
        for future in self.under_way.values():
            future.exception(PATIENCE)
        self.under_way.clear()
        self.standing.clear()

    def take_phase(self, operation: Operation) -> Outcome | Standing:
        """The next phase of an operation, the first if it is not under way."""
        boundaries = BOUNDARIES.get(type(operation), ())
        place = self.standing.pop(operation, None)
        following = boundaries[boundaries.index(place[0]) + 1 :] if place else boundaries
        goal: Place | None = (following[0], getattr(operation, "label", None)) if following else None
        others = self.points.waiting(*goal) if goal is not None and goal in self.standing.values() else ()
        if place:
            self.points.let_go(*place)
        else:
            self.under_way[operation] = self.threads.submit(self.perform, operation)
        future = self.under_way[operation]
        if goal is not None and self.points.arrived(*goal, over=future.done, others=others):
            self.standing[operation] = goal
            return Standing(goal)
        if isinstance(operation, Advance) and self.reaper_at:
            self.points.arrived(self.reaper_at, over=future.done)
            return Ok()
        return future.result(PATIENCE)

    # Some things are different here

    def idle_sessions(self) -> list[Session]:
        """Those that are not in the middle of an operation."""
        busy = [getattr(operation, "session", None) for operation in self.standing]
        return [session for number, session in enumerate(self.sessions) if session is not None and number not in busy]

    def start(
        self, number: int, by: Implementation, label: str | None, ttl: int | None, fast: bool
    ) -> StartPoint | None:
        """A start; returns its start point, which ``number_start_point`` will give its number."""
        return StartPoint(lsn_to_int(str(self.begin_backup(number, by, label, ttl, fast))))

    def number_start_point(self, start_point: StartPoint, number: StartPoint) -> None:
        """The start point was the one of that number to be taken; raises Violation if that can not be."""
        self.lsns += [""] * (number + 1 - len(self.lsns))
        self.lsns[number] = f"{start_point >> 32:X}/{start_point & 0xFFFF_FFFF:X}"
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
