"""Chosen interleavings: operations at once, phase by phase in a given order, on the server as in the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from harness.clients.client import Violation
from harness.clients.history import describe
from harness.clients.phases import BOUNDARIES, AtBoundary, PhaseController, Place
from harness.server.cluster import ClusterError
from harness.server.probes import forced_full_page_writes, lowered_too_often
from model.design import Design
from model.explore import ALICE, BOB, ROOT
from model.interleave import Run, Schedule, Step, in_turn, interleavings
from model.numbers import StartPoint
from model.operations import (
    Abort,
    Advance,
    Connect,
    Grant,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Revoke,
    SetLimit,
    Start,
    Stop,
)
from model.outcomes import Ok, Outcome, start_point
from model.state import Cluster, initial
from model.transition import Pending, run, view
from properties.recording.at_once import Order

ROLES = (ROOT, ALICE, BOB)
SESSION_ROLES = (ALICE.name, BOB.name, ROOT.name)
"""Whose sessions they are, by number."""

TTL = 10

KINDS: Mapping[str, Callable[[int, str, int], Operation]] = {
    "start": lambda session, label, limit: Start(session, label, TTL),
    "stop": lambda session, label, limit: Stop(session, label),
    "abort": lambda session, label, limit: Abort(session, label),
    "renew": lambda session, label, limit: Renew(session, label, 3 * TTL),
    "expiry": lambda session, label, limit: Advance(TTL),
    "raised limit": lambda session, label, limit: SetLimit(limit + 1),
    "lowered limit": lambda session, label, limit: SetLimit(limit - 1),
    "revoke": lambda session, label, limit: Revoke(SESSION_ROLES[0]),
}
"""What may happen at once: operations of a session, about a label, under a limit; what others do; and time."""

NAME_LABELS = ("start", "stop", "abort", "renew")
"""The kinds that are about a label."""

GIVEN: Mapping[str, Callable[[str], tuple[Operation, ...]]] = {
    "absent": lambda label: (),
    "active": lambda label: (Start(0, label, TTL),),
    "carried": lambda label: (Start(0, label, TTL), Restart(RestartKind.CRASH), *connections()),
    "stopped": lambda label: (Start(0, label, TTL), Stop(0, label)),
}
"""What there may be under a label before, and how it came to be there. Only durable backups can be carried over."""

LIVE = ("active", "carried")


@dataclass(frozen=True)
class Scope:
    """What happens at once, and what was there before."""

    kinds: tuple[str, ...]
    labels: tuple[str, ...]
    """Of the calls, by number; empty for those that are about none."""
    given: tuple[tuple[str, str], ...]
    """Labels, and what is there."""
    limit: int

    def calls(self) -> list[Operation]:
        """What happens at once."""
        pairs = zip(self.kinds, self.labels, strict=True)
        return [KINDS[kind](number, label, self.limit) for number, (kind, label) in enumerate(pairs)]

    def before(self) -> list[Operation]:
        """What happened before, beside the connections: those that ended backups first, for the sake of the limit."""
        ordered = sorted(self.given, key=lambda item: item[1], reverse=True)
        privileges = [Grant(SESSION_ROLES[0])] if "revoke" in self.kinds else []
        return [*privileges, SetLimit(self.limit), *(one for label, state in ordered for one in GIVEN[state](label))]

    def first(self, design: Design) -> Cluster:
        """Where the calls begin."""
        cluster = initial(design.settings, ROLES, len(SESSION_ROLES))
        for operation in (*connections(), *self.before()):
            ((cluster, _),) = run(design, cluster, operation)
        return cluster

    def interleavings(self, design: Design) -> dict[Schedule, list[Run]]:
        """All schedules, with what may come of them; those are one that differ in who does the same thing."""
        likenesses = list(zip(self.kinds, self.labels, strict=True))
        found = interleavings(design, self.first(design), self.calls())
        return {schedule: runs for schedule, runs in found.items() if in_turn(schedule, likenesses)}

    def order(self, where: str = "") -> Order:
        """What is replayed, for the counts; ``where``: what else is special."""
        return Order(" / ".join(self.kinds), len({*self.labels} - {""}), self.limit, where)

    def shape(self) -> object:
        """The same for scopes that differ in the names of labels only, or in the order of the calls."""
        exchanged = str.maketrans("ab", "ba")

        def named(name: Callable[[str], str]) -> object:
            calls = sorted((kind, name(label)) for kind, label in zip(self.kinds, self.labels, strict=True))
            return (calls, sorted((name(label), state) for label, state in self.given), self.limit)

        return str(min(str(named(str)), str(named(lambda label: label.translate(exchanged)))))


def connections() -> list[Connect]:
    """What comes first."""
    return [Connect(number, role) for number, role in enumerate(SESSION_ROLES)]


def scopes(kinds: Sequence[str], states: Sequence[str]) -> list[Scope]:
    """These kinds at once: about one label or two, on backups in any of these states, under a limit of 1 or 2."""
    found: dict[object, Scope] = {}
    for labels in product(*("ab" if kind in NAME_LABELS else ("",) for kind in kinds)):
        about = sorted({*labels} - {""}) if "start" not in kinds else ["a", "b"]
        for given in product(states, repeat=len(about)):
            for limit in (1, 2) if "start" in kinds else (2,):
                if sum(state in LIVE for state in given) <= limit:
                    scope = Scope(tuple(kinds), labels, tuple(zip(about, given, strict=True)), limit)
                    found.setdefault(scope.shape(), scope)
    return list(found.values())


class Replay:
    """One schedule on the server, compared with the model after every phase."""

    def __init__(
        self, controller: PhaseController, scope: Scope, schedule: Schedule, runs: list[Run], reaper_at: str | None
    ) -> None:
        self.controller = controller
        self.client = controller.client
        self.calls = scope.calls()
        self.schedule = schedule
        self.runs = runs
        """What may come of it, as far as it agrees with what has been seen."""
        self.reaper_at = reaper_at
        self.client.begin_history()
        for operation in scope.before():
            told = self.client.perform(operation)
            outcome = self.numbered(operation, told, Ok(StartPoint(len(controller.start_points.lsns))))
            assert not isinstance(outcome, AtBoundary)
            self.client.history.events[-1].outcome = outcome
        self.said: list[str] = []
        """What every phase has come to, in words."""
        self.script = [self.client.history.script()]

    def play(self, exactly: bool = False) -> None:
        """The whole schedule; raises Violation. ``exactly``: core's counter at the end is held to its very number."""
        places = self.controller.hold_between_phases(self.calls, self.reaper_at)
        self.script += ["-- an administrator:", *map(arming, places)]
        try:
            for position, number in enumerate(self.schedule):
                self.take_phase(position, self.calls[number])
            self.controller.release_all()
            self.compare_counter(self.runs[0][-1].cluster)
            if exactly:
                self.expect_exactly_none()
        except Violation as violation:
            raise Violation(
                f"{violation}\n\nThe schedule:\n{self.story()}\n\nTo see it by hand:\n" + "\n".join(self.script)
            ) from None

    def take_phase(self, position: int, call: Operation) -> None:
        """The next phase of the schedule; raises Violation."""
        place = self.controller.at_boundary.get(call)
        expected = [self.expected(position, run[position]) for run in self.runs]
        try:
            came_to = self.controller.take_phase(call)
        except (ClusterError, TimeoutError) as hanging:
            self.tell(call, place, "does not go on")
            raise Violation(f"{call}\n  does not go on: {hanging}") from None
        came_to = self.numbered(call, came_to, *expected)
        self.tell(call, place, in_words(came_to))
        if came_to not in expected:
            wanted = " or ".join(map(in_words, expected))
            raise Violation(f"{call}\n  {in_words(came_to)}\n  expected: {wanted}")
        self.runs = [run for run, one in zip(self.runs, expected, strict=True) if one == came_to]
        shown = self.client.rows()
        agreeing = [run for run in self.runs if view(run[position].cluster) == shown]
        if not agreeing:
            wanted = "\nor\n  ".join(str(view(run[position].cluster)) for run in self.runs)
            raise Violation(f"{call}\n  {in_words(came_to)}\nthe view shows\n  {shown}\nexpected\n  {wanted}")
        self.runs = agreeing

    def expected(self, position: int, step: Step) -> Outcome | AtBoundary:
        """What a phase is to come to."""
        if not isinstance(step.result, Pending):
            return step.result
        operation = step.result.operation
        phase = self.schedule[:position].count(step.call)
        return AtBoundary((BOUNDARIES[type(operation)][phase], operation.label))

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

    # For a person to read

    def tell(self, call: Operation, place: Place | None, result: str) -> None:
        """Puts down what has happened."""
        who = self.client.signature(call)
        self.said.append(f"{len(self.said) + 1}. {who}: {call}: {result}")
        if place is None:
            event = next(event for event in reversed(self.client.history.events) if event.operation == call)
            self.script += [f"-- {who}:", *(text if text.startswith("--") else f"{text};" for text in event.sql)]
            self.script.append(f"--   {result}")
        else:
            self.script += ["-- an administrator:", call_of("release", place), f"--   {who}: {result}"]

    def story(self) -> str:
        """The schedule in words, as far as it came."""
        rest = [f"{position + 1}. ..." for position in range(len(self.said), len(self.schedule))]
        return "\n".join([*self.said, *rest])


def in_words(came_to: Outcome | AtBoundary) -> str:
    """What an operation has come to."""
    return f"waits at {came_to.place[0]}" if isinstance(came_to, AtBoundary) else describe(came_to)


def arming(place: Place) -> str:
    """How a point is armed."""
    point, label = place
    return f"SELECT shared_backup_injection_point_attach('{point}', label => {literal(label)});"


def call_of(function: str, place: Place) -> str:
    """How those are let go who wait at a point."""
    return f"SELECT shared_backup_point_{function}('{place[0]}', {literal(place[1])});"


def literal(label: str | None) -> str:
    """A label in SQL."""
    return "NULL" if label is None else f"'{label}'"
