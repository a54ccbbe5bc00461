"""Is this concurrent history explained by the model? By Porcupine's method, beside which ours is checked.

The search of Wing & Gong with Lowe's cache, as Porcupine has it: a list of invocations and completions, from which an
operation is lifted when it is given its place, and a cache of what has been tried (which operations have their place,
and the state). Start points are bound as in ``model.linearizability.startpoints``. What is given a place is either
whole operations, which is linearizability as it is known, or the phases of operations one by one, which is what
``model.linearizability.linearize`` asks. It knows neither unknown outcomes nor operations without a completion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from model.design import Design
from model.linearizability.calls import Call, deadline
from model.linearizability.schedule import as_told, without_ghosts
from model.linearizability.startpoints import before
from model.numbers import StartPoint
from model.operations import Restart
from model.outcomes import Ok, Outcome, start_point
from model.state import Cluster
from model.transition import Pending, invoke, resume, run


@dataclass(eq=False)
class Entry:
    """An invocation or, without a ``completion`` of its own, a completion; linked to those before and after it."""

    number: int
    call: Call
    completion: Entry | None = None
    before: Entry | None = None
    after: Entry | None = None

    def __post_init__(self) -> None:
        self.point = start_point(self.call.operation, self.call.outcome)

    def lift(self) -> None:
        """Takes an invocation and its completion out of the list."""
        for entry in (self, self.completion):
            assert entry is not None
            assert entry.before is not None
            entry.before.after = entry.after
            if entry.after is not None:
                entry.after.before = entry.before

    def unlift(self) -> None:
        """Puts them back."""
        for entry in (self.completion, self):
            assert entry is not None
            assert entry.before is not None
            entry.before.after = entry
            if entry.after is not None:
                entry.after.before = entry


def linked(calls: Sequence[Call]) -> Entry:
    """The events of a history in the order of time, behind a head that is none."""
    head = last = Entry(-1, calls[0])
    events = []
    for number, call in enumerate(calls):
        completion = Entry(number, call)
        events.append((call.invoked, 0, number, Entry(number, call, completion)))
        events.append((deadline(call), 1, number, completion))
    for _, _, _, entry in sorted(events, key=lambda event: event[:3]):
        last.after, entry.before = entry, last
        last = entry
    return head


class State(NamedTuple):
    """How far a history is."""

    placed: int
    """The calls that have their place, a bit for each."""
    cluster: Cluster
    under_way: tuple[tuple[int, Pending], ...] = ()
    """The calls between two phases, by number, sorted; none, where operations are whole."""


Steps = Callable[[Design, State, Entry], list[State]]
"""How far a history may be when a call has taken its next step."""


def whole_operations(design: Design, state: State, entry: Entry) -> list[State]:
    """The next step of a call is all of its operation."""
    found = []
    for cluster, outcome in run(design, ready(state.cluster, entry.point), entry.call.operation):
        if is_told(outcome, entry.call):
            found.append(State(state.placed | 1 << entry.number, cluster))
    return found


def single_phases(design: Design, state: State, entry: Entry) -> list[State]:
    """The next step of a call is a phase of its operation; only the first is ever refused."""
    call, under_way = entry.call, dict(state.under_way)
    if under_way and isinstance(call.operation, Restart):
        return []  # they would never have been answered
    begin, pending = ready(state.cluster, entry.point), under_way.pop(entry.number, None)
    found = []
    for cluster, result in resume(design, begin, pending) if pending else invoke(design, begin, call.operation):
        if cluster.start_points == begin.start_points:  # this phase took none
            cluster = cluster.with_core(state.cluster.start_points, cluster.running_backups)
        if isinstance(result, Pending):
            if isinstance(call.outcome, Ok):
                others = sorted([*under_way.items(), (entry.number, result)], key=itemgetter(0))
                found.append(State(state.placed, cluster, tuple(others)))
        elif is_told(result, call):
            found.append(State(state.placed | 1 << entry.number, cluster, tuple(under_way.items())))
    return found


def ready(cluster: Cluster, point: StartPoint | None) -> Cluster:
    """The same where a start would take this start point, if that can be."""
    if point is None or point <= cluster.start_points:
        return cluster
    return cluster.with_core(before(point), cluster.running_backups)


def is_told(outcome: Outcome, call: Call) -> bool:
    """Is the outcome what the call shows of it?"""
    told = call.outcome
    return type(outcome) is type(told) and as_told(without_ghosts(call.operation, outcome), told) == told


def linearizable(
    design: Design, cluster: Cluster, calls: Sequence[Call], budget: int, steps: Steps = whole_operations
) -> bool | None:
    """Is there an order of the steps, each at one moment? None: looking at so many did not suffice to find out.

    Raises ValueError if an outcome is not known.
    """
    if any(call.outcome is None for call in calls):
        raise ValueError("Porcupine's method does not know of unknown outcomes")
    head, state = linked(calls), State(0, cluster)
    tried: set[State] = set()
    stack: list[tuple[Entry, list[State], State]] = []
    entry = head.after
    while head.after is not None:
        assert entry is not None
        if entry.completion is not None:
            if (budget := budget - 1) < 0:
                return None
            ways = steps(design, state, entry)
        elif stack:  # a call has completed, and has found no place
            entry, ways, earlier = stack.pop()
            if earlier.placed != state.placed:
                entry.unlift()
            state = earlier
        else:
            return False
        if not ways or not (ways := [one for one in ways if one not in tried]):
            entry = entry.after
            continue
        stack.append((entry, ways[1:], state))
        tried.add(ways[0])
        if ways[0].placed != state.placed:
            entry.lift()
        entry, state = head.after, ways[0]
    return True
