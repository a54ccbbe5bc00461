"""The moves that there are from a situation, and which promises are asked of each.

What may begin, and what comes of it, depends on the cluster alone and not on what is under way: it is found out once
for all situations with that cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple, get_args

from model.design import Design
from model.operations import Operation
from model.outcomes import Failed, Ok
from model.promises import Promise, Transition
from model.scope import Scope, fenced, operations
from model.state import Cluster
from model.steps import (
    Cancel,
    Lose,
    NextPhase,
    Result,
    Situation,
    Step,
    UnderWay,
    acted,
    after_phase,
    begin,
    beside,
    cut_off,
    lost,
    pending_of,
)
from model.transition import Pending, resume


class Move(NamedTuple):
    """A step, and what came of it."""

    step: Step
    result: Result
    situation: Situation
    """Afterwards."""


class Beginning(NamedTuple):
    """An operation that begins, and what may come of it."""

    operation: Operation
    session: int | None
    """None: nobody's."""
    after: Cluster
    result: Result
    asked: tuple[Promise, ...]


class Begun(NamedTuple):
    """Everything that may begin in a cluster."""

    cluster: Cluster
    eventful: list[Beginning]
    """Something changes, or a promise is asked."""
    others: dict[int | None, int]
    """How many others there are, by session."""

    def uneventful(self, situation: Situation) -> int:
        """How many others there are for those that are in the middle of nothing."""
        others = sum(self.others.values())
        for number in busy_sessions(situation.under_way):
            others -= self.others.get(number, 0)
        return others


class Menu:
    """The moves of a scope."""

    def __init__(self, scope: Scope) -> None:
        """Most steps do not depend on the situation."""
        self.scope = scope
        self.design = scope.design
        self.fixed = tuple([(one, session_of(one)) for one in operations(scope)])
        self.late = tuple([(NextPhase(number), Cancel(number), Lose(number)) for number in range(scope.sessions)])

    def beginnings(self, cluster: Cluster) -> Iterator[tuple[Operation, int | None]]:
        """What may begin or happen, and whose it is."""
        yield from self.fixed
        for one in fenced(self.scope, cluster):
            yield one, one.session

    def begun(self, cluster: Cluster, busy: set[int], questions: Questions, *, look_at_all: bool) -> Begun:
        """Everything that may begin in a cluster while these sessions are busy."""
        found, overlapping, table = Begun(cluster, [], {}), self.scope.phases, questions.table
        for operation, session in self.beginnings(cluster):
            if session in busy:
                continue
            for after, result in begin(self.design, cluster, operation, overlapping):
                asked = table[type(operation), type(result), after is not cluster]
                if asked or look_at_all or after is not cluster:
                    found.eventful.append(Beginning(operation, session, after, result, asked))
                else:
                    found.others[session] = found.others.get(session, 0) + 1
        return found

    def going_on(self, situation: Situation, number: int) -> Iterator[tuple[Step, list[tuple[Situation, Result]]]]:
        """What may become of the operation that a session is in the middle of."""
        cluster, under_way = situation
        pending = under_way[number]
        assert pending is not None
        left = cut_off(self.design, situation, number)
        next_phase, cancel, lose = self.late[number]
        yield next_phase, after_phase(under_way, number, resume(self.design, cluster, pending))
        yield cancel, after_phase(under_way, number, left)
        yield lose, lost(under_way, number, left)

    def eventful(
        self, situation: Situation, begun: Begun, questions: Questions
    ) -> Iterator[tuple[Step, Result, Situation, tuple[Promise, ...]]]:
        """The moves from a situation that change something, or of which a promise is asked; and which."""
        cluster, under_way = situation
        busy = busy_sessions(under_way)
        for operation, session, after, result, asked in begun.eventful:
            if session not in busy:
                left = situation if after is begun.cluster else Situation(after, beside(under_way, operation, result))
                yield operation, result, left, asked
        for number in busy:
            for step, ways in self.going_on(situation, number):
                kind = type(acted(situation, step))
                for left, told in ways:
                    yield step, told, left, questions.table[kind, type(told), left.cluster is not cluster]

    def moves(self, situation: Situation) -> Iterator[Move]:
        """Every move from a situation."""
        cluster, under_way = situation
        busy = busy_sessions(under_way)
        for operation, session in self.beginnings(cluster):
            if session not in busy:
                for after, result in begin(self.design, cluster, operation, self.scope.phases):
                    yield Move(operation, result, Situation(after, beside(under_way, operation, result)))
        for number in busy:
            for step, ways in self.going_on(situation, number):
                for reached, told in ways:
                    yield Move(step, told, reached)


def session_of(operation: Operation) -> int | None:
    """Whose it is; None: nobody's."""
    session: int | None = getattr(operation, "session", None)
    return session


def busy_sessions(under_way: UnderWay) -> list[int]:
    """The numbers of those that are in the middle of something."""
    return [number for number, pending in enumerate(under_way) if pending is not None]


class Questions:
    """Which promises are asked of which transitions; one that is broken is asked no more."""

    def __init__(self, promises: tuple[Promise, ...], design: Design) -> None:
        self.promises = promises
        self.design = design
        self.worth_asking = True
        """No claim is broken."""
        self.of_states: tuple[Promise, ...] = ()
        self.table: dict[tuple[type, type, bool], tuple[Promise, ...]] = {}
        """Those that are asked of a step of this kind, which comes to this kind of result, and changes something."""
        self.sort()

    def sort(self) -> None:
        """By the kinds of transitions."""
        self.of_states = tuple([promise for promise in self.promises if not promise.about])
        self.table = {
            (kind, result, changed): tuple([one for one in self.promises if one.asked_of(kind, result, changed)])
            for kind, result, changed in product(KINDS, RESULTS, (True, False))
        }

    def answered(self, broken: Promise) -> None:
        """This one is broken."""
        self.promises = tuple([promise for promise in self.promises if promise is not broken])
        self.worth_asking = self.worth_asking and not broken.claimed_by(self.design)
        self.sort()


KINDS: tuple[type, ...] = (*get_args(Operation), Cancel, Lose)
RESULTS: tuple[type, ...] = (Ok, Failed, Pending, type(None))


def transition_of(design: Design, before: Situation, step: Step, result: Result, after: Situation) -> Transition:
    """A step as the promises see it."""
    cluster, under_way = before
    if not isinstance(step, NextPhase):
        return Transition(design, cluster, step, result, after.cluster, None, under_way, after.under_way)
    pending = pending_of(before, step.session)
    return Transition(design, cluster, pending.operation, result, after.cluster, pending, under_way, after.under_way)
