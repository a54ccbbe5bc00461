"""Exhaustive breadth-first exploration of a small scope: every reachable situation, every step from each.

A step is a whole operation; where a scope asks for phases it is one phase, or the end of what is cut off between two.
Breadth first, so the first counterexample found for a promise is a shortest one. Situations that differ in nothing
that a rule looks at are one (``normal``), so the exploration ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple, get_args

from model.design import Design
from model.normal import FOR_EVER, normal_situation
from model.operations import Operation
from model.outcomes import Failed, Ok
from model.promises import PROMISES, Promise, Transition
from model.scope import Scope, fenced, operations, start_of
from model.state import Cluster
from model.steps import Cancel, Lose, NextPhase, Result, Situation, Step, acted, take
from model.symmetry import Symmetry
from model.transition import Pending


class Move(NamedTuple):
    """A step of a history, and what came of it."""

    step: Step
    result: Result
    situation: Situation
    """Afterwards."""


History = tuple[Move, ...]


@dataclass
class Exploration:
    """What was found."""

    scope: Scope
    states: int = 0
    """Situations."""
    transitions: int = 0
    depth: int = 0
    seconds: float = 0.0
    """Of the processor."""
    complete: bool = False
    """Every situation that can be reached was."""
    broken: dict[str, History] = field(default_factory=dict)
    """Promise to a shortest history that breaks it."""

    def rate(self) -> float:
        """Transitions per second."""
        return self.transitions / self.seconds if self.seconds else 0.0


Parents = dict[Situation, Situation | None]
"""From where each situation was first reached; None: the first one."""

Visit = Callable[[Transition, Parents], None]

Watch = Callable[[Exploration, int], bool]
"""Is told now and then how far it is, and how many situations wait; says whether to go on."""

REMEMBERED = 1 << 16
"""Of so many situations it is remembered which one stands for them: different steps lead to the same ones."""

PAUSE = 1 << 8
"""Situations between two words to a watch."""


def explore(
    scope: Scope,
    promises: tuple[Promise, ...] = PROMISES,
    visit: Visit | None = None,
    first: Cluster | None = None,
    watch: Watch | None = None,
) -> Exploration:
    """Every reachable situation of the scope, from ``first``, or else with every session connected.

    A claim that is broken ends the exploration early: it is a bug, and what is left may have no end.
    ``visit`` sees each transition, and can ask for the history before it. ``watch`` may end it earlier.
    """
    design, began = scope.design, time.process_time()
    found = Exploration(scope)
    one_of = lru_cache(REMEMBERED)(representative(scope))
    begin = beginning(scope, first)
    parents: Parents = {one_of(begin): None}
    menu = Menu(scope)
    questions = Questions(promises, design)
    level = list(parents)
    while level and questions.worth_asking:
        following: list[Situation] = []
        for number, before in enumerate(level):
            if watch is not None and number % PAUSE == 0:
                found.states, found.seconds = len(parents), time.process_time() - began
                if not watch(found, len(level) - number + len(following)):
                    return found
            for step in menu.steps(before):
                for after, result in take(design, before, step):
                    found.transitions += 1
                    changed = after.cluster is not before.cluster
                    asked = questions.of(before, step, result, changed)
                    if changed or after.under_way is not before.under_way:
                        reached = one_of(after)
                        if reached not in parents:
                            parents[reached] = before
                            following.append(reached)
                            asked += questions.of_states
                    if not asked and visit is None:
                        continue
                    transition = transition_of(design, before, step, result, after)
                    for promise in asked:
                        if not promise.holds(transition):
                            questions.answered(promise)
                            found.broken[promise.name] = concrete(
                                scope, begin, history(parents, before), breaks(promise)
                            )
                    if visit is not None:
                        visit(transition, parents)
        found.depth += bool(following)
        level = following
    found.complete = not level
    found.states, found.seconds = len(parents), time.process_time() - began
    return found


def beginning(scope: Scope, first: Cluster | None) -> Situation:
    """Where the exploration begins: nothing is under way."""
    cluster = start_of(scope) if first is None else first
    return Situation(cluster, (None,) * scope.sessions if scope.phases else ())


def representative(scope: Scope) -> Callable[[Situation], Situation]:
    """The function that gives the one among situations that are one in this scope which stands for them."""
    remembered = scope.longest_retention() if scope.phases else FOR_EVER
    if not scope.symmetry:
        return lambda situation: normal_situation(situation, remembered)
    symmetry = Symmetry(scope)
    return lambda situation: symmetry.canonical(normal_situation(situation, remembered))


class Menu:
    """The steps that there are."""

    def __init__(self, scope: Scope) -> None:
        """Most do not depend on the situation."""
        self.scope = scope
        self.fixed = operations(scope)
        self.idle = cache(self.of_idle)

    def of_idle(self, busy: tuple[int, ...]) -> tuple[Step, ...]:
        """What may begin or happen while these sessions are in the middle of something, and what becomes of that."""
        begun = [one for one in self.fixed if getattr(one, "session", None) not in busy]
        return (*begun, *(kind(number) for number in busy for kind in (NextPhase, Cancel, Lose)))

    def steps(self, situation: Situation) -> Iterator[Step]:
        """Those from this situation."""
        busy = tuple([number for number, pending in enumerate(situation.under_way) if pending is not None])
        yield from self.idle(busy)
        for one in fenced(self.scope, situation.cluster):
            if one.session not in busy:
                yield one


class Questions:
    """Which promises are asked of which transitions; one that is broken is asked no more."""

    def __init__(self, promises: tuple[Promise, ...], design: Design) -> None:
        self.promises = promises
        self.design = design
        self.worth_asking = True
        """No claim is broken."""
        self.of_states: tuple[Promise, ...] = ()
        self.table: dict[tuple[type, type, bool], tuple[Promise, ...]] = {}
        self.sort()

    def sort(self) -> None:
        """By the kinds of transitions."""
        self.of_states = tuple([promise for promise in self.promises if not promise.about])
        self.table = {
            (kind, result, changed): tuple([one for one in self.promises if one.asked_of(kind, result, changed)])
            for kind, result, changed in product(KINDS, RESULTS, (True, False))
        }

    def of(self, before: Situation, step: Step, result: Result, changed: bool) -> tuple[Promise, ...]:
        """Those that are asked of this one."""
        return self.table[type(acted(before, step)), type(result), changed]

    def answered(self, broken: Promise) -> None:
        """This one is broken."""
        self.promises = tuple([promise for promise in self.promises if promise is not broken])
        self.worth_asking = self.worth_asking and not broken.claimed_by(self.design)
        self.sort()


KINDS: tuple[type, ...] = (*get_args(Operation), Cancel, Lose)
RESULTS: tuple[type, ...] = (Ok, Failed, Pending, type(None))


def transition_of(design: Design, before: Situation, step: Step, result: Result, after: Situation) -> Transition:
    """A step as the promises see it."""
    pending = before.under_way[step.session] if isinstance(step, NextPhase) else None
    return Transition(
        design,
        before.cluster,
        acted(before, step),
        result,
        after.cluster,
        pending,
        before.under_way,
        after.under_way,
    )


# Histories


def history(parents: Parents, situation: Situation) -> tuple[Situation, ...]:
    """The situations on a shortest way from the beginning to this one."""
    path = [situation]
    while (before := parents[path[-1]]) is not None:
        path.append(before)
    return tuple(reversed(path))


Last = Callable[[Transition], bool]
"""Is this the transition that a history is to end with?"""


def breaks(promise: Promise) -> Last:
    """Does a transition break the promise? If that is about situations, one does that leads to another situation."""

    def last(transition: Transition) -> bool:
        asked = promise.asked_of(type(transition.operation), type(transition.outcome), transition.changed)
        leads = transition.changed or transition.left is not transition.under_way
        return (asked if promise.about else leads) and not promise.holds(transition)

    return last


def concrete(scope: Scope, first: Situation, way: tuple[Situation, ...], last: Last | None = None) -> History:
    """A history that goes this way, and ends with such a transition if one is asked for.

    It begins at ``first``, as it is; from there it goes through situations that are one with those of the way.
    """
    one_of, menu, design = representative(scope), Menu(scope), scope.design
    path: list[Move] = []
    situation = first
    for aim in way[1:]:
        path.append(next(move for move in moves(design, menu, situation) if one_of(move.situation) == aim))
        situation = path[-1].situation
    if last is not None:
        path.append(next(move for move in moves(design, menu, situation) if last(seen(design, situation, move))))
    return tuple(path)


def seen(design: Design, before: Situation, move: Move) -> Transition:
    """A move as the promises see it."""
    return transition_of(design, before, move.step, move.result, move.situation)


def moves(design: Design, menu: Menu, situation: Situation) -> Iterator[Move]:
    """Every move from a situation."""
    for step in menu.steps(situation):
        for after, result in take(design, situation, step):
            yield Move(step, result, after)


def steps_of(path: History) -> tuple[Step, ...]:
    """The steps of a history."""
    return tuple([move.step for move in path])


def operations_of(path: History) -> tuple[Operation, ...]:
    """The same of a history in which operations run one after the other."""
    return tuple([move.step for move in path if isinstance(move.step, Operation)])
