"""Is this concurrent history explained by the model? Answered without wit, as ``model.linearizability`` does with it.

Every order of the phases that real time allows is tried. That does for a few calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from model.design import Design
from model.linearizability.calls import Call, deadline, rows
from model.linearizability.schedule import explains, without_ghosts
from model.linearizability.startpoints import UNSEEN, before
from model.operations import Fenced, Restart
from model.outcomes import Outcome, start_point
from model.state import Cluster
from model.transition import Pending, Steps, give_up, invoke, resume

GIVEN_UP = "given up"


class Stage(NamedTuple):
    """How far a history is: what has become of each call so far (None: nothing), and the cluster."""

    calls: tuple[Pending | Outcome | str | None, ...]
    cluster: Cluster


class Naive:
    """One history."""

    def __init__(self, design: Design, calls: Sequence[Call]) -> None:
        self.design = design
        self.calls = calls
        returned = {start_point(call.operation, call.outcome) for call in calls}
        self.shown = {row.start_point for call in calls for row in rows(call.outcome) if row.start_point is not None}
        fences = {call.operation.start_point for call in calls if isinstance(call.operation, Fenced)}
        self.fenced = {point for point in fences - returned - self.shown if point}

    def explains(self, first: Cluster) -> bool:
        """Is there an order of phases that explains the history?"""
        begin = Stage((None,) * len(self.calls), first)
        todo, met = [begin], {begin}
        while todo:
            stage = todo.pop()
            if not self.unfinished(stage):
                return True
            for number in range(len(self.calls)):
                following = set(self.after(stage, number)) - met
                met |= following
                todo += following
        return False

    def unfinished(self, stage: Stage) -> list[Call]:
        """The calls of known outcome that have a phase left."""
        return [
            call
            for call, so_far in zip(self.calls, stage.calls, strict=True)
            if call.outcome is not None and (so_far is None or isinstance(so_far, Pending))
        ]

    def after(self, stage: Stage, number: int) -> Iterator[Stage]:
        """Where the next phase of a call may lead to, if it can take place now."""
        call, calls, cluster = self.calls[number], stage.calls, stage.cluster
        so_far = calls[number]
        due = min(map(deadline, self.unfinished(stage)), default=inf)
        if call.invoked > due or not (so_far is None or isinstance(so_far, Pending)):
            return
        if isinstance(call.operation, Restart):
            for other, pending in enumerate(calls):
                if isinstance(pending, Pending):
                    if self.calls[other].outcome is not None:
                        return
                    cluster = give_up(cluster, pending) or cluster
                    calls = (*calls[:other], GIVEN_UP, *calls[other + 1 :])
        for reached, result in self.steps(cluster, number, so_far):
            if (
                isinstance(result, Pending)
                or call.outcome is None
                or explains(without_ghosts(call.operation, result), call.outcome)
            ):
                yield Stage((*calls[:number], result, *calls[number + 1 :]), reached)
        if call.outcome is None and so_far is not None and (traceless := give_up(cluster, so_far)) is not None:
            yield Stage((*calls[:number], GIVEN_UP, *calls[number + 1 :]), traceless)

    def steps(self, cluster: Cluster, number: int, so_far: Pending | None) -> Steps:
        """The next phase; a start gets any start point that it may."""
        call, counter = self.calls[number], cluster.start_points

        def taken_by(cluster: Cluster) -> Steps:
            if so_far is None:
                return invoke(self.design, cluster, call.operation)
            return resume(self.design, cluster, so_far)

        steps = taken_by(cluster)
        if all(reached.start_points == counter for reached, _ in steps):
            return steps
        known = start_point(call.operation, call.outcome)
        points = set() if known is None else {known}
        if call.outcome is None:
            points = {*self.shown, *self.fenced, UNSEEN}
        found = []
        for point in points:
            if point == UNSEEN or point in self.fenced or point > counter:
                for reached, result in taken_by(cluster.with_core(before(point), cluster.running_backups)):
                    largest = counter if point == UNSEEN or point in self.fenced else point
                    found.append((reached.with_core(largest, reached.running_backups), result))
        return tuple(found)
