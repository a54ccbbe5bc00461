"""The search for a schedule: in which order may the phases of concurrent calls have taken place?

Depth first, over the completions in the order in which they happened (after Wing & Gong, Lowe, and Porcupine): before
a call completes, its last phase must have taken place, and whatever phases of other calls that takes; phases that
it does not take wait (Lowe's "just in time"). Of the ways to complete a call, the shortest are tried first, and those
that lead towards what the view is known to show next. A configuration (the cluster, and how far each call is) that was
met before at the same completion is not tried again. On top of that there are some savings:

- A phase that nobody else can notice is taken as soon as it can be: it is never too early for it. Such are those of
  calls that were refused or only read, those that only core counts, and the end of a backup at the time that is told.
- Only calls that can matter for the next completion are moved: those that share a label or a session with it, and
  those that shared state (the limit, the clock, settings, roles) joins to them. A history can not be split into one
  per label beforehand, as Porcupine does with keys: the labels share the limit and the order of start points.
- Of the starts whose start points are known, the one with the smallest takes its own first.
- What outcomes of calls that are still open say about backups is looked at before
  (``model.linearizability.observations``).
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from heapq import heappop, heappush
from itertools import chain, count
from math import inf
from typing import NamedTuple

from model.design import Design
from model.linearizability.calls import Call, deadline, rows
from model.linearizability.observations import Observations
from model.linearizability.startpoints import StartPoints, before
from model.operations import (
    Abort,
    Connect,
    Disconnect,
    ListBackups,
    Operation,
    Renew,
    Restart,
    Rollback,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.outcomes import Failed, Ok, Outcome, StopRow, stop_row
from model.state import Backup, Cluster
from model.transition import Pending, Steps, end_backup, give_up, invoke, resume, view


class Step(NamedTuple):
    """What took place next."""

    call: Call
    phase: int
    """Of the call, from 1; 0: it was given up and left no trace."""


class Configuration(NamedTuple):
    """How far a history is."""

    cluster: Cluster
    under_way: tuple[tuple[int, Pending], ...] = ()
    """Calls between two phases."""
    ahead: frozenset[int] = frozenset()
    """Calls whose last phase has taken place, and which have not completed yet."""


class Trail(NamedTuple):
    """How a configuration was reached: the last step, and the trail before it."""

    call: int
    given_up: bool
    before: Trail | None


class Node(NamedTuple):
    """A configuration, and how it was reached."""

    configuration: Configuration
    trail: Trail | None


class Move(NamedTuple):
    """What the next phase of a call may lead to."""

    cluster: Cluster
    result: Outcome | Pending | None
    """None: the call is given up."""


Moves = dict[int, list[Move]]
"""What may come next, by the call that moves."""

Visible = Callable[[Operation, Outcome], Outcome]


def without_ghosts(operation: Operation, outcome: Outcome) -> Outcome:
    """As much of an outcome as a client sees."""
    if isinstance(outcome, Ok) and isinstance(outcome.value, StopRow) and not outcome.value.restorable:
        return Ok(replace(outcome.value, restorable=True))
    return outcome


def explains(outcome: Outcome, observed: Outcome) -> bool:
    """Is this, of which a client sees all, what was observed, as far as that tells?"""
    return as_told(outcome, observed) == observed


def as_told(outcome: Outcome, observed: Outcome) -> Outcome:
    """As much of an outcome as an observed one tells: not every stop says if it is a repeated one, and since when."""
    told, row = stop_row(observed), stop_row(outcome)
    if told is None or row is None or None not in (told.repeated, told.stop_time):
        return outcome
    repeated = None if told.repeated is None else row.repeated
    return Ok(replace(row, repeated=repeated, stop_time=None if told.stop_time is None else row.stop_time))


LOOKING = Start | Stop | Abort | Rollback | ListBackups
"""What has no effect, or one only on what core counts, will have no other later. Of a renewal that can not be said."""


CHANGES_A_SESSION = StockStart | StockStop | Connect | Disconnect
"""What is done to a session itself: whether it is open, and core's own backup in it."""


class BudgetSpentError(Exception):
    """So many configurations were looked at that the search was given up."""


class Search:
    """One search. Calls are numbered in the order of their completion; the last ones never complete."""

    def __init__(
        self,
        design: Design,
        begin: Sequence[Configuration],
        calls: Sequence[Call],
        budget: int,
        visible: Visible = without_ghosts,
    ) -> None:
        self.design = design
        self.begin = begin
        """Where the history may begin; calls that were completed before then are not among its calls."""
        self.visible = visible
        self.budget = budget
        """How many more configurations it may look at."""
        self.calls = sorted((call for call in calls if not idle(call)), key=lambda call: (deadline(call), call.invoked))
        self.observed = [call.outcome and visible(call.operation, call.outcome) for call in self.calls]
        self.looks = [
            isinstance(observed, Failed) or (observed is not None and isinstance(call.operation, LOOKING))
            for call, observed in zip(self.calls, self.observed, strict=True)
        ]
        """May it be taken at once when nobody else can notice?"""
        self.changes: dict[int | None, list[Call]] = defaultdict(list)
        """The calls that change a session, by session."""
        for call in self.calls:
            if isinstance(call.operation, CHANGES_A_SESSION):
                self.changes[call.operation.session].append(call)
        self.kinds = [(self.kind_of(call), observed) for call, observed in zip(self.calls, self.observed, strict=True)]
        """Calls of one kind, by sessions that are alike, can take each other's place."""
        self.groups = [groups(call.operation) for call in self.calls]
        self.completions = sum(deadline(call) < inf for call in self.calls)
        taken = min(configuration.cluster.start_points for configuration in begin)
        self.points = StartPoints(taken, self.calls)
        self.observations = Observations(design, self.calls)
        self.open = self.open_calls()
        self.furthest = 0
        """How many completions it got through, at most."""
        self.met: list[set[Configuration]] = [set() for _ in self.calls]
        """The configurations seen on the way to each completion."""
        self.arrived: list[set[Configuration]] = [set() for _ in self.calls]
        """The configurations seen just after each completion."""

    def kind_of(self, call: Call) -> object:
        """The operation, whichever session's it is; but where the session may change meanwhile, that matters."""
        operation = call.operation
        changes = self.changes.get(getattr(operation, "session", None), [])
        if self.design.session_bound or any(overlap(call, change) for change in changes):
            return operation
        arguments = [getattr(operation, field.name) for field in fields(operation) if field.name != "session"]
        return type(operation), *arguments

    def open_calls(self) -> list[list[int]]:
        """For each completion, the calls that were invoked before it and have not completed before it."""
        found: list[list[int]] = []
        todo = sorted(range(len(self.calls)), key=lambda number: self.calls[number].invoked, reverse=True)
        now_open: list[int] = []
        for due in range(self.completions):
            while todo and self.calls[todo[-1]].invoked <= deadline(self.calls[due]):
                insort(now_open, todo.pop())
            found.append(now_open.copy())
            now_open.remove(due)
        return found

    # Completions, one after the other

    def run(self) -> tuple[Step, ...] | None:
        """A schedule that explains the history, None if there is none; raises BudgetSpentError."""
        if not self.completions:
            return ()
        stack: list[Iterator[Node]] = [chain.from_iterable(self.ways(Node(one, None), 0) for one in self.begin)]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                continue
            self.furthest = max(self.furthest, len(stack))
            if len(stack) == self.completions:
                return self.steps(node.trail)
            stack.append(self.ways(node, len(stack)))
        return None

    def ways(self, node: Node, due: int) -> Iterator[Node]:
        """All that may be reached by the completion of a call, the nearest first."""
        met, arrived, order = self.met[due], self.arrived[due], count()
        queue = [(0, next(order), 0, node)]
        while queue:
            _, _, taken, node = heappop(queue)
            if node.configuration in met:
                continue
            met.add(node.configuration)
            raw, (node, moves) = node, self.settled(node, due)
            if node is not raw and node.configuration in met:
                continue
            met.add(node.configuration)
            unfinished = [number for number in self.open[due] if number not in node.configuration.ahead]
            if self.observations.contradict(node.configuration.cluster, unfinished):
                continue
            if self.budget <= 0:
                raise BudgetSpentError
            self.budget -= 1
            cluster, under_way, ahead = node.configuration
            done = due in ahead
            if done or (self.observed[due] is None and due not in dict(under_way)):
                after = Configuration(cluster, under_way, ahead - {due})
                if after not in arrived:
                    arrived.add(after)
                    yield Node(after, node.trail)
            if not done:
                for number, move in self.worth_trying(cluster, under_way, moves):
                    distance = self.distance(move.cluster, due, ahead)
                    heappush(queue, (taken + distance, next(order), taken + 1, self.moved(node, number, move)))

    def distance(self, cluster: Cluster, due: int, ahead: frozenset[int]) -> int:
        """How far it is to what the view is next known to have shown: twice the labels of which it shows else now."""
        for number in self.open[due]:
            operation, observed = self.calls[number].operation, self.observed[number]
            if isinstance(operation, ListBackups) and isinstance(observed, Ok) and number not in ahead:
                shown = self.visible(operation, Ok(view(cluster)))
                return 2 * len({row.label for row in {*rows(observed)} ^ {*rows(shown)}})
        return 0

    def settled(self, node: Node, due: int) -> tuple[Node, Moves]:
        """The same after all phases that nobody else can notice, and what may come next."""
        while True:
            moves: Moves = {}
            before, under_way, ahead = node.configuration
            pending = dict(under_way)
            for number in self.relevant(before, due, [number for number in self.open[due] if number not in ahead]):
                found = self.moves(before, pending, number)
                in_time = self.ends_in_time(number, pending.get(number))
                unnoticed = [move for move in found if in_time or alike(before, move.cluster)]
                if unnoticed and self.looks[number]:
                    node = self.moved(node, number, unnoticed[0])
                    if isinstance(unnoticed[0].result, Pending):
                        break
                else:
                    moves[number] = found
            else:
                return node, moves

    def worth_trying(
        self, cluster: Cluster, under_way: tuple[tuple[int, Pending], ...], moves: Moves
    ) -> Iterator[tuple[int, Move]]:
        """All moves, but of calls that are alike only those of one: which has to complete first can go first."""
        seen = set()
        for number, found in moves.items():
            caller = getattr(self.calls[number].operation, "session", None)
            kind = (self.kinds[number], caller is not None and cluster.sessions[caller], dict(under_way).get(number))
            if kind not in seen:
                seen.add(kind)
                for move in found:
                    yield number, move

    def moved(self, node: Node, number: int, move: Move) -> Node:
        """The node after a move."""
        (_, under_way, ahead), trail = node
        if isinstance(self.calls[number].operation, Restart):  # whatever is under way is cut off
            for other, _ in under_way:
                trail = Trail(other, True, trail)
            ahead, under_way = ahead | {other for other, _ in under_way}, ()
        trail = Trail(number, move.result is None, trail)
        others = [one for one in under_way if one[0] != number]
        if isinstance(move.result, Pending):
            on_their_way = tuple(sorted([*others, (number, move.result)], key=first_of))
            return Node(Configuration(move.cluster, on_their_way, ahead), trail)
        return Node(Configuration(move.cluster, tuple(others), ahead | {number}), trail)

    def relevant(self, cluster: Cluster, due: int, unfinished: Sequence[int]) -> Sequence[int]:
        """The calls whose phases can matter for the completion of a call; the others' can wait until after it."""
        needed = self.points.waited_for(due, cluster.start_points)
        if needed and not any(number in unfinished for number in needed):
            return []  # it can not complete
        if self.limit_matters(cluster, unfinished) or not all(self.groups[number] for number in unfinished):
            return unfinished
        needed += (due,)
        shared: set[object] = set()
        found: set[int] = set()
        while needed:
            found.update(needed)
            shared.update([group for number in needed for group in self.groups[number]])
            mates = [number for number in unfinished if number not in found and shared & self.groups[number]]
            waited_for = [other for number in mates for other in self.points.waited_for(number, cluster.start_points)]
            needed = tuple({*mates, *waited_for} - found)
        return [number for number in unfinished if number in found]

    def limit_matters(self, cluster: Cluster, unfinished: Sequence[int]) -> bool:
        """May a start meet the limit before the next completion?"""
        limit = cluster.max_backups
        if limit is None:
            return False
        starts = sum([isinstance(self.calls[number].operation, Start | Rollback) for number in unfinished])
        return cluster.live_backups() + starts > limit

    # The phases of one call

    def moves(self, cluster: Cluster, under_way: dict[int, Pending], number: int) -> list[Move]:
        """What the next phase of a call may lead to, as far as its outcome allows."""
        operation, observed, pending = self.calls[number].operation, self.observed[number], under_way.get(number)
        before = cluster
        if isinstance(operation, Restart):
            if any(self.observed[other] is not None for other in under_way):
                return []  # they would never have been answered
            for cut_off in under_way.values():
                before = give_up(before, cut_off) or before
        found = []
        for after, result in self.phase(before, number, pending):
            if isinstance(result, Pending):
                if observed is None or self.may_go_on(number, before, after):
                    found.append(Move(after, result))
            elif observed is None:
                if after != cluster:  # what changes nothing is as if it had left no trace
                    found.append(Move(after, result))
            elif explains(self.visible(operation, result), observed):
                found.append(Move(after, result))
        if observed is None and pending is not None and (traceless := give_up(cluster, pending)) is not None:
            found.append(Move(traceless, None))
        return found

    def phase(self, cluster: Cluster, number: int, pending: Pending | None) -> Steps:
        """The next phase; one that takes a start point takes each that it may."""
        steps, counter = self.taken_by(cluster, number, pending), cluster.start_points
        if all(after.start_points == counter for after, _ in steps):
            return steps
        return tuple(
            (after.with_core(self.points.counter_after(point, counter), after.running_backups), result)
            for point in self.points.choices(number, cluster)
            for after, result in self.taken_by(
                cluster.with_core(before(point), cluster.running_backups), number, pending
            )
        )

    def taken_by(self, cluster: Cluster, number: int, pending: Pending | None) -> Steps:
        """The next phase by the model's rules."""
        if pending is not None:
            return resume(self.design, cluster, pending)
        return invoke(self.design, cluster, self.calls[number].operation)

    def ends_in_time(self, number: int, pending: Pending | None) -> bool:
        """Is it the next phase of a stop that core is told of the end? If the stop tells when, only that may differ."""
        row = stop_row(self.observed[number])
        return (
            row is not None and row.stop_time is not None and pending is not None and pending.next_phase is end_backup
        )

    def may_go_on(self, number: int, before: Cluster, after: Cluster) -> bool:
        """May a call that has a phase left still come to its known outcome?

        Only the first phase is ever refused, and what it claims is nobody else's until the last.
        """
        operation, observed = self.calls[number].operation, self.observed[number]
        if not isinstance(observed, Ok):
            return False
        if isinstance(operation, Stop) and isinstance(observed.value, StopRow):
            return leads_to(after.backup(operation.label or ""), observed.value)
        return self.points.is_in_turn(number, before.start_points)

    # The answer

    def steps(self, trail: Trail | None) -> tuple[Step, ...]:
        """A trail in the order in which it was walked."""
        walked: list[Trail] = []
        while trail is not None:
            walked.append(trail)
            trail = trail.before
        phases: dict[int, int] = defaultdict(int)
        steps = []
        for number, given_up, _ in reversed(walked):
            phases[number] += 1
            steps.append(Step(self.calls[number], 0 if given_up else phases[number]))
        return tuple(steps)


# Small questions


def idle(call: Call) -> bool:
    """Does nothing depend on it?"""
    return call.outcome is None and isinstance(call.operation, ListBackups)


def leads_to(claimed: Backup | None, row: StopRow) -> bool:
    """Can the stop that has claimed this backup come to hand out this row? A repeated one claims nothing."""
    if claimed is None or row.repeated or claimed.start_point != row.start_point:
        return False
    return None in (claimed.stop_time, row.stop_time) or claimed.stop_time == row.stop_time


def alike(one: Cluster, other: Cluster) -> bool:
    """Are they the same but for what core counts, which no operation sees?"""
    return one is other or one.with_core(other.start_points, other.running_backups) == other


def overlap(one: Call, other: Call) -> bool:
    """May either have taken place before the other? A call overlaps with itself."""
    return one.invoked <= deadline(other) and other.invoked <= deadline(one)


def first_of(pair: tuple[int, Pending]) -> int:
    """The call that is under way."""
    return pair[0]


def groups(operation: Operation) -> frozenset[object]:
    """Operations without a group in common do not touch each other; one in no group touches all."""
    match operation:
        case Start() | Stop() | Abort() | Renew() | Rollback():
            return frozenset({("session", operation.session), ("label", operation.label)})
        case StockStart() | StockStop() | Connect() | Disconnect():
            return frozenset({("session", operation.session)})
        case _:
            return frozenset()
