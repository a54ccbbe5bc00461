"""Porcupine's method, to measure ours beside: linearizability of whole operations.

The search of Wing & Gong with Lowe's cache, as Porcupine has it: a list of invocations and completions, from which an
operation is lifted when it is given its place, and a cache of what has been tried (which operations have their place,
and the state). The operations are those of the model, each all at once; start points are bound as in
``model.startpoints``. It does not know of operations without a completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.calls import Call, deadline
from model.design import Design
from model.outcomes import start_point
from model.schedule import as_told, without_ghosts
from model.startpoints import before
from model.state import Cluster
from model.transition import run


@dataclass(eq=False)
class Entry:
    """An invocation or, without a ``completion`` of its own, a completion; linked to those before and after it."""

    number: int
    call: Call
    completion: Entry | None = None
    before: Entry | None = None
    after: Entry | None = None

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


def linearizable(design: Design, cluster: Cluster, calls: Sequence[Call], budget: int) -> bool | None:
    """Is there an order of the operations, each at one moment? None: so many steps did not suffice to find out."""
    head, placed = linked(calls), 0
    tried: set[tuple[int, Cluster]] = set()
    stack: list[tuple[Entry, int, Cluster]] = []
    entry = head.after
    while head.after is not None:
        assert entry is not None
        if entry.completion is None:  # a call has completed, and has found no place
            if not stack:
                return False
            entry, placed, cluster = stack.pop()
            entry.unlift()
            entry = entry.after
            continue
        if (budget := budget - 1) < 0:
            return None
        reached = step(design, cluster, entry.call)
        now_placed = placed | 1 << entry.number
        if reached is not None and (now_placed, reached) not in tried:
            tried.add((now_placed, reached))
            stack.append((entry, placed, cluster))
            placed, cluster = now_placed, reached
            entry.lift()
            entry = head.after
        else:
            entry = entry.after
    return True


def step(design: Design, cluster: Cluster, call: Call) -> Cluster | None:
    """The cluster after an operation, if it may have its outcome there."""
    point = start_point(call.operation, call.outcome)
    if point is not None and point > cluster.start_points:
        cluster = cluster.with_core(before(point), cluster.running_backups)
    for reached, outcome in run(design, cluster, call.operation):
        if call.outcome and as_told(without_ghosts(call.operation, outcome), call.outcome) == call.outcome:
            return reached
    return None
