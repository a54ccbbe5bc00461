"""All situations of a small scope and all steps between them, to be looked at."""

from __future__ import annotations

from typing import NamedTuple

from model.explore import Reached, beginning, explore, representative
from model.promises import PROMISES, Promise, Transition
from model.scope import Scope
from model.steps import Result, Situation, Step


class Node(NamedTuple):
    """A situation, as the one that stands for all that are one with it."""

    situation: Situation
    broken: tuple[str, ...]
    """The promises about situations that are broken here."""


class Edge(NamedTuple):
    """A step: from one node, by number, to another or to the same."""

    source: int
    target: int
    step: Step
    result: Result
    broken: tuple[str, ...]
    """The promises about transitions that this one breaks."""


class Graph(NamedTuple):
    """The first node is where it begins; edges are in the order of their sources."""

    scope: Scope
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(scope: Scope, promises: tuple[Promise, ...] = PROMISES) -> Graph:
    """All of it, whatever is broken: the scope must be small."""
    one_of = representative(scope)
    first = one_of(beginning(scope, None))
    numbers = {first: 0}
    nodes: list[Node] = [Node(first, ())]
    edges: list[Edge] = []
    of_states = tuple([promise for promise in promises if not promise.about])

    def visit(transition: Transition, _: Reached) -> None:
        after = one_of(Situation(transition.after, transition.left))
        if after not in numbers:
            numbers[after] = len(nodes)
            nodes.append(Node(after, broken_by(transition, of_states)))
        asked = tuple(
            [
                promise
                for promise in promises
                if promise.asked_of(type(transition.operation), type(transition.outcome), transition.changed)
            ]
        )
        edges.append(
            Edge(
                numbers[transition.situation],
                numbers[after],
                transition.step,
                transition.outcome,
                broken_by(transition, asked),
            )
        )

    explore(scope, promises=(), visit=visit)
    return Graph(scope, tuple(nodes), tuple(sorted(edges, key=lambda edge: edge.source)))


def broken_by(transition: Transition, promises: tuple[Promise, ...]) -> tuple[str, ...]:
    """The names of those that do not hold."""
    return tuple([promise.name for promise in promises if not promise.holds(transition)])
