"""A controller: sessions whose operations stop between two phases, each going on when it is told to."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from harness.clients.client import PATIENCE, Client
from harness.clients.implementation import Implementation
from harness.clients.start_points import NumberedLater
from harness.server.cluster import Cluster
from harness.server.injection_points import InjectionPoints
from model.operations import Abort, Advance, Operation, Rollback, Start, Stop
from model.outcomes import Ok, Outcome

STARTING = ("start-reserved", "start-point-taken")
BOUNDARIES: Mapping[type[Operation], tuple[str, ...]] = {
    Start: STARTING,
    Rollback: STARTING,
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


class PhaseController:
    """Several operations of a client under way, each of which takes its next phase when it is told to."""

    def __init__(self, cluster: Cluster, implementation: Implementation) -> None:
        self.start_points = NumberedLater()
        self.client = Client(cluster, implementation, self.start_points)
        self.threads = ThreadPoolExecutor()
        self.under_way: dict[Operation, Future[Outcome]] = {}
        self.at_boundary: dict[Operation, Place] = {}
        self.reaper_at: str | None = None
        """The point where the reaper is held."""

    @property
    def points(self) -> InjectionPoints:
        """The injection points of the server."""
        return InjectionPoints(self.client.admin)

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
            self.under_way[operation] = self.threads.submit(self.client.perform, operation)
        future = self.under_way[operation]
        if goal is not None and self.points.arrived(*goal, over=future.done, others=others):
            self.at_boundary[operation] = goal
            return AtBoundary(goal)
        if isinstance(operation, Advance) and self.reaper_at:
            self.points.arrived(self.reaper_at, over=future.done)
            return Ok()
        return future.result(PATIENCE)
