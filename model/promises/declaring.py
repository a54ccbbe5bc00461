"""How a promise is declared, and what it is asked of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from model.design import Design, OnRestart
from model.operations import Operation
from model.outcomes import Ok
from model.state import Cluster
from model.steps import CutOff, NextPhase, Result, Situation, Step, UnderWay
from model.transition import Pending


class Transition(NamedTuple):
    """One operation without interruption; or, where operations overlap, one phase of it, or its being cut off."""

    design: Design
    before: Cluster
    operation: Operation | CutOff
    outcome: Result
    after: Cluster
    pending: Pending | None = None
    """Of the operation, as it was before this phase; None: this is its first one, or all of it."""
    under_way: UnderWay = ()
    """What is in the middle of something before ..."""
    left: UnderWay = ()
    """... and afterwards."""

    @property
    def situation(self) -> Situation:
        """Where it begins."""
        return Situation(self.before, self.under_way)

    @property
    def step(self) -> Step:
        """What was done."""
        return self.operation if self.pending is None else NextPhase(self.pending.operation.session)

    @property
    def changed(self) -> bool:
        """Has it changed something?"""
        return self.after is not self.before


Claim = Callable[[Design], bool]
"""Does a design claim a promise?"""
Predicate = Callable[[Transition], bool]
"""Is a promise kept?"""


@dataclass(frozen=True, slots=True)
class Promise:
    """``holds`` is asked of every reachable transition of the kinds of operation that the promise is about.

    A promise about no kind is about situations: it is asked of every reachable one, once, as that after a transition
    that leads there. Where time or start points begin must not matter to it, nor which session or label is which.
    """

    name: str
    sentence: str
    claimed_by: Claim
    holds: Predicate
    about: tuple[type, ...] = ()
    """The kinds of operation; empty: it is about situations."""
    when: tuple[type, ...] = (Ok,)
    """Only of operations that end so. Pending: of phases that are not the last one."""
    of_changes: bool = False
    """Only of what has changed something."""

    def asked_of(self, kind: type, outcome: type, changed: bool) -> bool:
        """Is it about such transitions?"""
        return kind in self.about and outcome in self.when and (changed or not self.of_changes)


DECLARED: list[Promise] = []
"""Those that were declared so far."""


def promise(
    sentence: str,
    *,
    claimed_by: Claim,
    about: tuple[type, ...] = (),
    when: tuple[type, ...] = (Ok,),
    of_changes: bool = False,
) -> Callable[[Predicate], Predicate]:
    """Declares a promise. The function that stands right below says when it is kept, and lends it its name.

    What the other words mean is said in ``Promise``.
    """

    def declare(holds: Predicate) -> Predicate:
        DECLARED.append(Promise(holds.__name__, sentence, claimed_by, holds, about, when, of_changes))
        return holds

    return declare


# Who claims a promise


def everyone(design: Design) -> bool:
    """Every design claims it."""
    return True


def multi_session(design: Design) -> bool:
    """Every design but core's own."""
    return not design.session_bound


def forgets_or_resumes(design: Design) -> bool:
    """The core and the list of backups agree after a restart."""
    return design.on_restart is not OnRestart.KEEP


def remembers_results(design: Design) -> bool:
    """It has a label's result after the backup has ended."""
    return not design.session_bound and design.settings.result_retention > 0


def expires(design: Design) -> bool:
    """Its backups may have a time to live."""
    return design.expiry


def fences(design: Design) -> bool:
    """A start can be named by more than its label."""
    return design.fencing


def resumes(design: Design) -> bool:
    """Its backups go on after a restart."""
    return design.on_restart is OnRestart.RESUME
