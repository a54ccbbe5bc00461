"""The two checkers of concurrent histories beside each other: what they answer, and a smallest history if they differ.

Both are asked twice: whether an order of single phases explains a history, and whether one of whole operations does.
True: it is explained; False: it is not; None: so many steps did not suffice to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from model.linearizability.schedule import BudgetSpentError, Configuration, Search
from model.state import Cluster
from model.transition import Pending, Steps, run
from properties.concurrency.porcupine import linearizable, single_phases, whole_operations
from properties.concurrency.recorded import Recorded


class Answers(NamedTuple):
    """To one question."""

    search: bool | None
    """Of ``model.linearizability.linearize``."""
    porcupine: bool | None
    """Of Porcupine's method."""


class WholeSearch(Search):
    """The search of ``model.linearizability.linearize``, where each operation takes place at one moment."""

    def taken_by(self, cluster: Cluster, number: int, pending: Pending | None) -> Steps:
        """See the base class: all phases are one."""
        return tuple(run(self.design, cluster, self.calls[number].operation))


STEPS = 5
"""Of Porcupine's method, which take as long as one configuration of a search."""

PHASES, WHOLE = "single phases", "whole operations"
CHECKERS = {PHASES: (Search, single_phases), WHOLE: (WholeSearch, whole_operations)}


def answers(history: Recorded, budget: int) -> dict[str, Answers]:
    """All answers, by what is put in order. ``budget``: the configurations of a search; a step is so much less."""
    design, first, calls = history.design, history.first, history.calls
    return {
        what: Answers(searched(search(design, [Configuration(first)], calls, budget)), found)
        for what, (search, steps) in CHECKERS.items()
        for found in [linearizable(design, first, calls, budget * STEPS, steps)]
    }


def searched(search: Search) -> bool | None:
    """What a search comes to."""
    try:
        return search.run() is not None
    except BudgetSpentError:
        return None


def difference(found: Mapping[str, Answers]) -> str:
    """What the answers contradict each other in; empty: in nothing."""
    for what, (search, porcupine) in found.items():
        if {search, porcupine} == {True, False}:
            return f"By {what} it is explained: {search}; by Porcupine's method: {porcupine}."
    if True in found[WHOLE] and False in found[PHASES]:
        return f"An order of {WHOLE} explains it, and none of {PHASES}: {found}."
    return ""


def smallest(history: Recorded, shows: Callable[[Recorded], bool]) -> Recorded:
    """The same with as few of the calls as still show it: ever smaller parts are left out, while that can be."""
    before: Recorded | None = None
    while history != before:
        before, length = history, len(history.calls)
        for size in (length >> times for times in range(1, length.bit_length())):
            for begin in range(len(history.calls) - size, -1, -size):
                fewer = replace(history, calls=(*history.calls[:begin], *history.calls[begin + size :]))
                if fewer.calls and shows(fewer):
                    history = fewer
    return history


def told(history: Recorded, budget: int) -> str:
    """The smallest history of these calls that the checkers differ in."""
    history = smallest(history, lambda fewer: bool(difference(answers(fewer, budget))))
    return f"{difference(answers(history, budget))} For properties.linearize:\n{history.text()}"
