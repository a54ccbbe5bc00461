"""Exhaustive breadth-first exploration of a small scope: every reachable situation, every step from each.

A step is a whole operation; where a scope asks for phases it is one phase, or the end of what is cut off between two.
Breadth first, so the first counterexample found for a promise is a shortest one. Situations that differ in nothing
that a rule looks at are one (``normal``), so the exploration ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from model.design import Design
from model.menu import Menu, Move, Questions, busy_sessions, transition_of
from model.normal import FOR_EVER, normal_situation
from model.operations import Operation
from model.promises import PROMISES, Promise, Transition
from model.scope import Scope, start_of
from model.state import Cluster
from model.steps import Result, Situation, Step
from model.symmetry import Symmetry

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


Representative = Callable[[Situation], Situation]

REMEMBERED = 1 << 16
"""Of so many situations it is remembered which one stands for them: different steps lead to the same ones."""


class Reached:
    """The situations that were reached, each as the one that stands for it, by number; and from where."""

    def __init__(self, one_of: Representative) -> None:
        self.one_of = one_of
        self.numbers: dict[Situation, int] = {}
        self.situations: list[Situation] = []
        self.came_from: list[int] = []
        """The number of the one from which it was first reached; of the first one, its own."""
        self.number = lru_cache(REMEMBERED)(self.looked_up)

    def looked_up(self, situation: Situation) -> int:
        """The number of the one that stands for a situation; a new one, if it was not reached before."""
        one = self.one_of(situation)
        number = self.numbers.setdefault(one, len(self.situations))
        if number == len(self.situations):
            self.situations.append(one)
        return number

    def comes(self, situation: Situation, before: int) -> bool:
        """It is reached from there; was it not reached before?"""
        number: int = self.number(situation)
        if number < len(self.came_from):
            return False
        self.came_from.append(before)
        return True

    def together(self, level: Iterable[int]) -> Iterator[tuple[Cluster, list[int]]]:
        """The same numbers, put together that have the same cluster."""
        found: dict[Cluster, list[int]] = {}
        for number in level:
            found.setdefault(self.situations[number].cluster, []).append(number)
        yield from found.items()


Visit = Callable[[Transition, Reached], None]

Watch = Callable[[Exploration, int], bool]
"""Is told now and then how far it is, and how many situations wait; says whether to go on."""

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
    began = time.process_time()
    found, reached = Exploration(scope), Reached(representative(scope))
    menu, questions = Menu(scope), Questions(promises, scope.design)
    begin = beginning(scope, first)
    reached.comes(begin, 0)

    def arrive(before: int, step: Step, result: Result, after: Situation, asked: tuple[Promise, ...]) -> None:
        """A step is taken, and the promises are asked of it."""
        situation = reached.situations[before]
        if after is not situation and reached.comes(after, before):
            asked += questions.of_states
        if not asked and visit is None:
            return
        transition = transition_of(scope.design, situation, step, result, after)
        for promise in asked:
            if promise.name not in found.broken and not promise.holds(transition):
                questions.answered(promise)
                found.broken[promise.name] = concrete(scope, begin, history(reached, situation), breaks(promise))
        if visit is not None:
            visit(transition, reached)

    level = range(1)
    while level and questions.worth_asking:
        done = 0
        for cluster, alike in reached.together(level):
            always_busy = set.intersection(*[{*busy_sessions(reached.situations[one].under_way)} for one in alike])
            begun = menu.begun(cluster, always_busy, questions, look_at_all=visit is not None)
            for number in alike:
                if watch is not None and done % PAUSE == 0:
                    found.states, found.seconds = len(reached.situations), time.process_time() - began
                    if not watch(found, found.states - level.start - done):
                        return found
                done += 1
                found.transitions += begun.uneventful(reached.situations[number])
                for move in menu.eventful(reached.situations[number], begun, questions):
                    found.transitions += 1
                    arrive(number, *move)
        level = range(level.stop, len(reached.situations))
        found.depth += bool(level)
    found.complete = not level
    found.states, found.seconds = len(reached.situations), time.process_time() - began
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
    canonical = lru_cache(REMEMBERED)(Symmetry(scope).canonical)
    return lambda situation: canonical(normal_situation(situation, remembered))


# Histories


def history(reached: Reached, situation: Situation) -> tuple[Situation, ...]:
    """The situations on a shortest way from the beginning to this one."""
    path = [reached.numbers[situation]]
    while path[-1] != 0:
        path.append(reached.came_from[path[-1]])
    return tuple([reached.situations[number] for number in reversed(path)])


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
    one_of, menu = representative(scope), Menu(scope)
    path: list[Move] = []
    situation = first
    for aim in way[1:]:
        path.append(next(move for move in menu.moves(situation) if one_of(move.situation) == aim))
        situation = path[-1].situation
    if last is not None:
        path.append(next(move for move in menu.moves(situation) if last(seen(scope.design, situation, move))))
    return tuple(path)


def seen(design: Design, before: Situation, move: Move) -> Transition:
    """A move as the promises see it."""
    return transition_of(design, before, move.step, move.result, move.situation)


def steps_of(path: History) -> tuple[Step, ...]:
    """The steps of a history."""
    return tuple([move.step for move in path])


def operations_of(path: History) -> tuple[Operation, ...]:
    """The same of a history in which operations run one after the other."""
    return tuple([move.step for move in path if isinstance(move.step, Operation)])
