"""Operations at once, phase by phase in a given order, on the server as in the model."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from harness.clients.client import Violation
from harness.clients.history import Event, describe
from harness.clients.phases import BOUNDARIES, AtBoundary, PhaseController, Place
from harness.schema.counterexample import Step as Done
from harness.server.cluster import ClusterError
from harness.server.probes import forced_full_page_writes, lowered_too_often
from model.interleave import Run, Schedule, Step
from model.linearizability.schedule import explains, without_ghosts
from model.numbers import StartPoint
from model.operations import Advance, Connect, Operation
from model.outcomes import Ok, Outcome, start_point
from model.state import Cluster
from model.transition import Pending, run, view
from properties.recording.scripts import attaching, waking
from properties.support.counterexamples import counterexample, step


class Case(NamedTuple):
    """One schedule, and what may come of it."""

    first: Cluster
    """Where it begins: nobody is connected."""
    before: tuple[Operation, ...]
    """What is done first, one after the other, beside the connections."""
    calls: tuple[Operation, ...]
    """What happens at once."""
    schedule: Schedule
    runs: tuple[Run, ...]
    reaper_at: str | None = None
    """The point where the reaper is held."""


@dataclass
class Phase:
    """One phase of a call."""

    call: Operation
    expected: str
    until: str | None
    """The point where it is to wait afterwards."""
    came: str = ""
    """Empty: it was not tried."""


class Replay:
    """One schedule on the server, compared with the model after every phase."""

    def __init__(self, controller: PhaseController, case: Case) -> None:
        """Whoever is to be connected is connected already, or connects in what is done first."""
        self.controller = controller
        self.client = controller.client
        self.case = case
        self.runs = list(case.runs)
        """What may come of it, as far as it agrees with what has been seen."""
        self.client.begin_history()
        self.connected = [Connect(n, one.user) for n, one in enumerate(self.client.sessions) if one is not None]
        self.places: list[Place] = []
        """The points that are armed."""
        self.phases: list[Phase] = []
        """Of which something has been seen."""
        self.script: list[str] = []

    def play(self, exactly: bool = False) -> None:
        """The whole schedule; raises Violation. ``exactly``: core's counter at the end is held to its very number."""
        try:
            self.do_first()
            self.places = self.controller.hold_between_phases(self.case.calls, self.case.reaper_at)
            self.script += [
                self.client.history.script(),
                "-- an administrator:",
                *(attaching(*place) for place in self.places),
            ]
            for position, number in enumerate(self.case.schedule):
                self.take_phase(position, self.case.calls[number])
            self.controller.release_all()
            self.compare_counter(self.runs[0][-1].cluster)
            if exactly:
                self.expect_exactly_none()
        except Violation as violation:
            story, script = "\n".join(self.story()), "\n".join(self.script)
            raise Violation(
                f"{violation}\n\nThe schedule:\n{story}\n\nTo see it by hand:\n{script}",
                counterexample(
                    self.client, self.case.first, (*self.done(),), f"{violation}", self.failed(), (*self.places,)
                ),
            ) from None

    def do_first(self) -> None:
        """What comes before, where each operation has one outcome; raises Violation."""
        cluster, design = self.case.first, self.client.implementation.design
        for connection in self.connected:
            ((cluster, _),) = run(design, cluster, connection)
        for operation in self.case.before:
            ((cluster, wanted),) = run(design, cluster, operation)
            told, wanted = self.client.perform(operation), without_ghosts(operation, wanted)
            following = Ok(StartPoint(len(self.controller.start_points.lsns)))  # of a start that should have failed
            outcome = self.numbered(operation, told, wanted, following)
            assert not isinstance(outcome, AtBoundary)
            event = self.client.history.events[-1]
            event.outcome, event.expected = outcome, describe(wanted)
            if not explains(wanted, outcome):
                raise Violation(f"{operation}\n  returned {describe(outcome)}\n  expected {describe(wanted)}")

    def take_phase(self, position: int, call: Operation) -> None:
        """The next phase of the schedule; raises Violation."""
        place = self.controller.at_boundary.get(call)
        expected = [self.expected(position, run[position]) for run in self.runs]
        wanted = " or ".join(dict.fromkeys(map(in_words, expected)))
        self.phases.append(phase := Phase(call, wanted, self.until(call, expected[0])))
        try:
            came_to = self.controller.take_phase(call)
        except (ClusterError, TimeoutError) as hanging:
            self.tell(phase, place, "does not go on")
            raise Violation(f"{call}\n  does not go on: {hanging}") from None
        came_to = self.numbered(call, came_to, *expected)
        self.tell(phase, place, in_words(came_to))
        if came_to not in expected:
            raise Violation(f"{call}\n  {phase.came}\n  expected: {wanted}")
        self.runs = [run for run, one in zip(self.runs, expected, strict=True) if one == came_to]
        shown = self.client.rows()
        agreeing = [run for run in self.runs if view(run[position].cluster) == shown]
        if not agreeing:
            wanted = "\nor\n  ".join(str(view(run[position].cluster)) for run in self.runs)
            raise Violation(f"{call}\n  {phase.came}\nthe view shows\n  {shown}\nexpected\n  {wanted}")
        self.runs = agreeing

    def expected(self, position: int, step: Step) -> Outcome | AtBoundary:
        """What a phase is to come to."""
        if not isinstance(step.result, Pending):
            return step.result
        operation = step.result.operation
        phase = self.case.schedule[:position].count(step.call)
        return AtBoundary((BOUNDARIES[type(operation)][phase], operation.label))

    def until(self, call: Operation, expected: Outcome | AtBoundary) -> str | None:
        """Where a call is to wait: time that passes waits for the reaper, and counts as passed."""
        if isinstance(expected, AtBoundary):
            return expected.place[0]
        return self.case.reaper_at if isinstance(call, Advance) else None

    def numbered(
        self, call: Operation, came_to: Outcome | AtBoundary, *expected: Outcome | AtBoundary
    ) -> Outcome | AtBoundary:
        """The same with the number of a start point in its place, if one is expected; raises Violation."""
        point = None if isinstance(came_to, AtBoundary) else start_point(call, came_to)
        for one in expected:
            number = None if isinstance(one, AtBoundary) else start_point(call, one)
            if point is not None and number is not None:
                self.controller.start_points.told(point, number)
                return one
        return came_to

    def compare_counter(self, cluster: Cluster) -> None:
        """Core's hidden counter at the end, and once more when nothing is left; raises Violation."""
        self.expect_forced(cluster.running_backups > 0, f"with {cluster.running_backups} backups running")
        self.client.clear()
        if cluster.running_backups > 0:
            self.expect_forced(False, "after every backup was stopped, aborted or expired")

    def expect_exactly_none(self) -> None:
        """Core's counter is not even below zero, which shows only when the next backup starts; raises Violation."""
        if lowered_too_often(self.client.admin):
            raise Violation("core was released more often than backups were started, with the aborts of what was left")

    def expect_forced(self, expected: bool, when: str) -> None:
        """Core counts backups, or none; raises Violation."""
        if forced_full_page_writes(self.client.admin) != expected:
            raise Violation(f"core {'does not force' if expected else 'still forces'} full-page writes {when}")

    # For a person to read, and to try again

    def tell(self, phase: Phase, place: Place | None, result: str) -> None:
        """Puts down what has come of a phase; ``place``: where it began."""
        phase.came, who = result, self.client.signature(phase.call)
        if place is None:
            sql = self.event(phase.call).sql
            self.script += [f"-- {who}:", *(text if text.startswith("--") else f"{text};" for text in sql)]
            self.script.append(f"--   {result}")
        else:
            self.script += ["-- an administrator:", waking(*place), f"--   {who}: {result}"]

    def event(self, call: Operation) -> Event:
        """A call, in the history."""
        return next(event for event in reversed(self.client.history.events) if event.operation == call)

    def story(self) -> Iterator[str]:
        """The schedule in words, as far as it came."""
        for number, phase in enumerate(self.phases, start=1):
            yield f"{number}. {self.client.signature(phase.call)}: {phase.call}: {phase.came}"
        yield from (f"{number}. ..." for number in range(len(self.phases) + 1, len(self.case.schedule) + 1))

    def failed(self) -> int:
        """The number of the last step that was tried."""
        first = min(len(self.client.history.events), len(self.case.before))
        return len(self.connected) + first + len(self.phases)

    def done(self) -> Iterator[Done]:
        """All steps: the connections, what came before, and the phases, also those that were not tried."""
        for connection in self.connected:
            event = Event(connection, self.client.signature(connection), 0, [f"\\connect - {connection.role}"])
            yield replace(step(self.client, event), expected="ok", came="ok")
        for event in self.client.history.events[: len(self.case.before)]:
            yield step(self.client, event)
        taken: list[Operation] = []
        for phase in self.phases + self.left():
            taken.append(phase.call)
            number = taken.count(phase.call)
            event = self.event(phase.call) if phase.came else Event(phase.call, self.client.signature(phase.call), 0)
            if number > 1:
                event = dataclasses.replace(event, sql=[])
            made = step(self.client, event)
            yield replace(made, phase=number, until=phase.until, expected=phase.expected, came=phase.came)

    def left(self) -> list[Phase]:
        """The phases of the schedule that were not tried."""
        left = []
        for position in range(len(self.phases), len(self.case.schedule)):
            one = self.case.runs[0][position]
            expected = self.expected(position, one)
            call = self.case.calls[one.call]
            left.append(Phase(call, in_words(expected), self.until(call, expected)))
        return left


def in_words(came_to: Outcome | AtBoundary) -> str:
    """What an operation has come to."""
    return f"waits at {came_to.place[0]}" if isinstance(came_to, AtBoundary) else describe(came_to)
