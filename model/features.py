"""The smallest sets of features that keep promises: a search over the axes, from bare to costly.

A feature is a value of an axis that costs something. A set of them is smallest if it keeps the promises and none of
its proper subsets does. Most points are refuted by a counterexample of another point, which is tried first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

from model.axes import AXES, BAREST, BY_NAME, moved
from model.design import Design
from model.explore import Exploration, History, beginning, breaks, explore, seen, steps_of
from model.menu import Move
from model.promises import Promise
from model.promises.declaring import everyone
from model.scope import Scope
from model.steps import CutOff, NextPhase, Step, take

Features = frozenset[str]
"""Each as ``axis=value``."""

ScopeOf = Callable[[Design], Scope]

Explorer = Callable[[Mapping[str, Scope], tuple[Promise, ...]], Generator[tuple[str, Exploration], None, None]]
"""Explores scopes with these promises, and gives what was found in the order of the scopes; closed: enough was seen."""


def in_turn(
    scopes: Mapping[str, Scope], promises: tuple[Promise, ...]
) -> Generator[tuple[str, Exploration], None, None]:
    """An explorer that comes to a scope when it is asked for it."""
    for name, scope in scopes.items():
        yield name, explore(scope, promises)


class Refutation(NamedTuple):
    """A history that breaks a promise which was to be kept."""

    promise: Promise
    scope: str
    """Its name."""
    path: History


@dataclass
class Search:
    """What was found out about the points."""

    keep: tuple[Promise, ...]
    scopes: Mapping[str, ScopeOf]
    explorer: Explorer = in_turn
    """If one of its explorations is not complete, the search ends, too."""
    sets: list[Features] = field(default_factory=list)
    """The smallest ones, from cheap to costly."""
    refuted: dict[Features, Refutation] = field(default_factory=dict)
    complete: bool = False
    """No other sets are smallest."""

    def run(self) -> None:
        """Finds all of the smallest sets; they are there as they are found."""
        for features in points():
            if any(smaller <= features for smaller in self.sets):
                continue
            refutation, decided = self.refute(features, shortest=False)
            if not decided:
                return
            if refutation is None:
                self.sets.append(features)
            else:
                self.refuted[features] = refutation
        self.complete = True

    @property
    def tried(self) -> int:
        """Points of which it is known whether they keep the promises, without those that have more than a set needs."""
        return len(self.refuted) + len(self.sets)

    def refute(self, features: Features, *, shortest: bool) -> tuple[Refutation | None, bool]:
        """A history that breaks one of the promises; and is it certain that there is one, or none?

        ``shortest``: one of the shortest in its scope, not just any.
        """
        design = design_of(features)
        if not shortest:
            for known in reversed(self.refuted.values()):
                path = same_again(self.scopes[known.scope](design), known)
                if path is not None:
                    return known._replace(path=path), True
        wanted = tuple([replace(promise, claimed_by=everyone) for promise in self.keep])
        scopes = {name: scope_of(design) for name, scope_of in self.scopes.items()}
        with closing(self.explorer(scopes, wanted)) as explored:
            for name, found in explored:
                for promise in self.keep:
                    if promise.name in found.broken:
                        return Refutation(promise, name, found.broken[promise.name]), True
                if not found.complete:
                    return None, False
        return None, True

    def without(self, features: Features) -> Iterator[tuple[str, Refutation]]:
        """What each feature of a smallest set is for: a shortest history that breaks a promise without it."""
        for feature in sorted(features):
            refutation, _ = self.refute(left_after(features, feature), shortest=True)
            if refutation is not None:
                yield feature, refutation


def same_again(scope: Scope, known: Refutation) -> History | None:
    """The steps of a refutation, taken in this scope, up to where they break the promise; None: they do not."""
    situation, path = beginning(scope, None), []
    for step in steps_of(known.path):
        if not possible(step, situation.under_way):
            return None
        after, result = take(scope.design, situation, step)[0]
        move = Move(step, result, after)
        path.append(move)
        if breaks(known.promise)(seen(scope.design, situation, move)):
            return tuple(path)
        situation = after
    return None


def possible(step: Step, under_way: tuple[object, ...]) -> bool:
    """Is the session in the middle of something exactly if the step says so?"""
    number = getattr(step, "session", None)
    busy = number is not None and bool(under_way) and under_way[number] is not None
    return number is None or busy is isinstance(step, NextPhase | CutOff)


# Points


def points() -> list[Features]:
    """Every set of features of which each has what it needs, from bare to costly; subsets come before supersets."""
    found = []
    for values in product(*(axis.costs for axis in AXES)):
        features = frozenset(
            [f"{axis.name}={value}" for axis, value in zip(AXES, values, strict=True) if value != axis.barest]
        )
        if all(needed(feature) <= features for feature in features):
            found.append(features)
    return sorted(found, key=lambda features: (cost(features), sorted(features)))


def needed(feature: str) -> Features:
    """The feature without which it means nothing, if there is one."""
    axis, _, value = feature.partition("=")
    other = BY_NAME[axis].needs.get(value)
    return frozenset([other] if other else [])


def cost(features: Features) -> int:
    """What they cost together."""
    parts = [feature.partition("=") for feature in features]
    return sum([BY_NAME[axis].costs[value] for axis, _, value in parts])


def left_after(features: Features, feature: str) -> Features:
    """The set without that feature, and without what means nothing without it."""
    left = features - {feature}
    while unsupported := [one for one in left if not needed(one) <= left]:
        left = left - {*unsupported}
    return left


def design_of(features: Features) -> Design:
    """The design with these features and no others."""
    values = {axis: value for axis, _, value in [feature.partition("=") for feature in sorted(features)]}
    return replace(moved(BAREST, values), name=" ".join(sorted(features)) or BAREST.name)
