"""The simulation as work for workers: a task for each chunk of each point of a sweep."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.simulation.bills import bill_of
from benchmarks.simulation.counting import back_up
from benchmarks.simulation.fates import Fates, fates
from benchmarks.simulation.moments import Seconds
from benchmarks.simulation.parameters import Parameters
from benchmarks.simulation.tally import Tally
from benchmarks.simulation.ways import Way
from benchmarks.simulation.world import chunks, draw, read_durations
from harness.machine.postgres import SetupError
from harness.running.workers import each_as_it_ends, workers
from harness.schema.simulation import Point
from model.operations import RestartKind


@dataclass(frozen=True)
class Fleet:
    """One point: a fleet, and the ways to back it up."""

    changed: dict[str, Any]
    """The values of what is swept."""
    parameters: Parameters
    fates: tuple[Fates, ...]
    durations: Seconds | None
    """The user's own."""


@dataclass(frozen=True)
class Task:
    """A chunk of a fleet."""

    point: int
    fleet: Fleet
    chunk: int


@dataclass
class Counted:
    """What has been counted of a point so far."""

    fleet: Fleet
    chunks: int = 0
    tallies: list[Tally] = field(default_factory=list)
    """Of each way; none before the first chunk."""

    def add(self, tallies: list[Tally]) -> None:
        """One chunk more."""
        self.chunks += 1
        before = self.tallies or [Tally() for _ in tallies]
        self.tallies = [one + other for one, other in zip(before, tallies, strict=True)]

    def point(self) -> Point:
        """What comes of it; of a fleet none of which was simulated, no bill."""
        bills = [
            bill_of(self.fleet.parameters, found, one)
            for found, one in zip(self.fleet.fates, self.tallies, strict=False)
        ]
        return Point(
            changed=self.fleet.changed,
            complete=self.chunks == len(chunks(self.fleet.parameters)),
            bills=tuple(bills),
        )


def fleet(changed: dict[str, Any], p: Parameters, ways: tuple[Way, ...]) -> Fleet:
    """Asks the model about each way, and reads the user's durations; raises SetupError."""
    found = tuple(fates(way, RestartKind(p.restart_kind), p.limit or None) for way in ways)
    return Fleet(changed, p, found, read_durations(p))


def simulate(task: Task) -> list[Tally]:
    """A chunk, backed up in each way: on a worker."""
    world = draw(task.fleet.parameters, task.fleet.durations, task.chunk)
    return [back_up(task.fleet.parameters, world, found) for found in task.fleet.fates]


def simulate_all(
    fleets: list[Fleet], number: int, scheduler: str | None, ended: Callable[[int, int], None]
) -> Iterator[tuple[int, list[Tally]]]:
    """Every chunk of every point, as it ends, with the number of its point; raises SetupError.

    ``ended`` is told how many chunks have ended, and of how many.
    """
    tasks = deque(Task(point, one, chunk) for point, one in enumerate(fleets) for chunk in chunks(one.parameters))
    of = len(tasks)
    ended(0, of)
    with workers(number, scheduler) as client:
        for done, (task, result) in enumerate(each_as_it_ends(client, simulate, tasks), 1):
            if isinstance(result, Exception):
                raise SetupError(f"A worker could not simulate its chunk ({result!r}): look at that worker.")
            yield task.point, result
            ended(done, of)
