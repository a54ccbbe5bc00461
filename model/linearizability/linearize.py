"""Is this concurrent history explained by the model?

It is if the phases of its calls (see ``model.transition``) can be put in some order such that each takes place between
its call's invocation and completion and every known outcome is the model's. Single operations need not be atomic:
between the phases of one, others see a label that is starting or stopping (55006).

A call whose outcome is not known (the connection was lost, the server killed, the call cancelled) took place, at any
time from its invocation on, or left no trace. The model has no outcome for that: the caller says None.
How the search is done is in ``model.linearizability.schedule``, what it makes of start points in
``model.linearizability.startpoints``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from model.design import Design
from model.linearizability.calls import Call, deadline
from model.linearizability.schedule import BudgetSpentError, Configuration, Search, Step, Visible, without_ghosts
from model.operations import ListBackups
from model.outcomes import Failed, Ok, SqlState
from model.state import Cluster

__all__ = ["UNTIL_UNDECIDED", "Answer", "Call", "Explained", "Step", "Undecided", "Unexplained", "Window", "linearize"]

UNTIL_UNDECIDED = 500_000
"""Configurations looked at before the search is given up: one or two minutes."""

FOR_THE_WINDOW = 50_000
"""Configurations looked at to make the window smaller: some seconds."""


@dataclass(frozen=True)
class Explained:
    """The history is explained, by this schedule."""

    witness: tuple[Step, ...]


@dataclass(frozen=True)
class Window:
    """A part of a history that can not be explained.

    It ends with the first completion that makes the history inexplicable: up to the one before, it is explained,
    whatever the calls then under way come to. It begins with the invocation of the call that so completes, or of the
    first that can then no longer be explained; what was before is told by the states that it may have led to, no others
    being possible. No call's outcome can be left out: whichever it is, the others could then be explained (as far as
    the budget sufficed to find out).
    """

    before: tuple[Cluster, ...]
    """The states in which it may begin; calls that began earlier may have got to any phase."""
    calls: tuple[Call, ...]
    """Whose outcomes contradict each other, in order of invocation."""
    others: tuple[Call, ...]
    """What else took place in it, except what was refused or only read. Whatever came of these calls, each between its
    invocation and completion, the contradiction remains; their outcomes are None."""


@dataclass(frozen=True)
class Unexplained:
    """No schedule explains the history, because none explains this part of it."""

    window: Window


@dataclass(frozen=True)
class Undecided:
    """The budget was used up: that many configurations were looked at. It is no pass."""

    budget: int


Answer = Explained | Unexplained | Undecided


def linearize(
    design: Design,
    first: Cluster,
    calls: Sequence[Call],
    budget: int = UNTIL_UNDECIDED,
    visible: Visible = without_ghosts,
) -> Answer:
    """Is the history explained by the model?

    ``visible`` says as much of an outcome of the model as the history shows. All start points that the history names
    are larger than those of the first state.
    """
    checker = HistoryChecker(design, visible)
    in_time, at_any_time = list(calls), [call if call.outcome else replace(call, completed=None) for call in calls]
    try:
        # Most of what was cut off took place before its caller was told so: that is tried first.
        for asked in (in_time, at_any_time) if in_time != at_any_time else (in_time,):
            search = checker.search([Configuration(first)], asked, budget)
            if (witness := search.run()) is not None:
                given = dict(zip(asked, calls, strict=True))
                return Explained(tuple(Step(given[step.call], step.phase) for step in witness))
    except BudgetSpentError:
        return Undecided(budget)
    return Unexplained(checker.window(first, at_any_time, search))


@dataclass(frozen=True)
class HistoryChecker:
    """What is the same for every part of a history."""

    design: Design
    visible: Visible

    def search(self, begin: Sequence[Configuration], calls: Sequence[Call], budget: int) -> Search:
        """A search for a schedule."""
        return Search(self.design, begin, calls, budget, self.visible)

    # The smallest window

    def window(self, first: Cluster, calls: Sequence[Call], failed: Search) -> Window:
        """The window of a history for which a search found no schedule."""
        failed = self.shortest_prefix(first, calls, failed)
        begin, later = without_front(failed)
        past = failed.calls[: min(later)]

        def contradicts(fewer: Mapping[int, Call]) -> bool:
            return inexplicable(self.search([Configuration(first)], [*past, *fewer.values()], FOR_THE_WINDOW))

        return self.fewest_outcomes(begin, later, contradicts)

    def shortest_prefix(self, first: Cluster, calls: Sequence[Call], failed: Search) -> Search:
        """The search of the prefix with the fewest completions for which there is no schedule.

        There is one for as many completions as the search got through; from there on by doubled steps, then by halves.
        """
        moments = [deadline(call) for call in failed.calls[: failed.completions]]
        low, high, step = failed.furthest, len(moments) - 1, 1
        while low < high:
            probe = min(low + step - 1, (low + high) // 2)
            search = self.search([Configuration(first)], prefix(calls, moments[probe]), FOR_THE_WINDOW)
            if inexplicable(search):
                failed, high = search, probe
            else:
                low, step = probe + 1, step * 2
        return failed

    def fewest_outcomes(
        self,
        begin: Sequence[Configuration],
        calls: Mapping[int, Call],
        contradicts: Callable[[Mapping[int, Call]], bool],
    ) -> Window:
        """As few outcomes as contradict each other, by leaving out more and more of them, half of them at first.

        What says least goes first. What leaving out a call makes explicable, it makes explicable also when fewer are
        left: so one round of single calls is enough in the end. How far a call under way has come by the beginning may
        follow from its outcome; so that is left out last, if all that came before still contradicts the rest then.
        """
        budget, size = FOR_THE_WINDOW, len(calls)
        under_way = {number for configuration in begin for number, _ in configuration.under_way}
        while size:
            known = [number for number, call in calls.items() if call.outcome is not None and number not in under_way]
            known.sort(key=lambda number: weight(calls[number]))
            for position in range(0, len(known), size):
                fewer = without(calls, known[position : position + size])
                search = self.search(renumbered(begin, list(fewer)), list(fewer.values()), budget)
                if inexplicable(search):
                    calls = fewer
                budget = search.budget
            size //= 2
        for number in sorted(under_way & calls.keys(), key=lambda number: weight(calls[number])):
            fewer = without(calls, [number])
            if calls[number].outcome is not None and contradicts(fewer):
                calls = fewer
        in_order = sorted(calls.values(), key=lambda call: call.invoked)
        known_calls = tuple(call for call in in_order if call.outcome is not None)
        end = max(deadline(call) for call in known_calls)
        return Window(
            tuple(dict.fromkeys(configuration.cluster for configuration in begin)),
            known_calls,
            tuple(call for call in in_order if call.outcome is None and call.invoked <= end),
        )


def weight(call: Call) -> int:
    """How much an outcome says about the others: a missing privilege nothing, a refusal little, what was done most."""
    if isinstance(call.outcome, Failed):
        return 0 if call.outcome.sqlstate is SqlState.INSUFFICIENT_PRIVILEGE else 1
    return 2 if isinstance(call.operation, ListBackups) else 3


def inexplicable(search: Search) -> bool:
    """Is there certainly no schedule?"""
    try:
        return search.run() is None
    except BudgetSpentError:
        return False


def prefix(calls: Sequence[Call], moment: float) -> list[Call]:
    """What was known of a history at a moment."""
    return [
        call if deadline(call) <= moment else replace(call, completed=None, outcome=None)
        for call in calls
        if call.invoked <= moment
    ]


def without_front(failed: Search) -> tuple[Sequence[Configuration], dict[int, Call]]:
    """Where a history may have been when the call that it fails with was invoked, and the calls that ended later.

    Those that were invoked after the last completion are nothing to it.
    """
    invoked, end = failed.calls[failed.furthest].invoked, deadline(failed.calls[failed.completions - 1])
    ended = sum(deadline(call) < invoked for call in failed.calls)
    begin = list(failed.arrived[ended - 1]) if ended else failed.begin
    later = enumerate(failed.calls[ended:], ended)
    return begin, {number: call for number, call in later if call.invoked <= end}


def renumbered(begin: Sequence[Configuration], numbers: Sequence[int]) -> list[Configuration]:
    """The same where of the calls only these are left, and numbered from zero."""
    new = {number: position for position, number in enumerate(numbers)}
    return [
        Configuration(
            cluster,
            tuple((new[number], pending) for number, pending in under_way),
            frozenset(new[number] for number in ahead if number in new),
        )
        for cluster, under_way, ahead in begin
    ]


def without(calls: Mapping[int, Call], numbers: Sequence[int]) -> dict[int, Call]:
    """The same without some outcomes; calls that, by their outcomes, changed nothing are left out altogether."""
    left: dict[int, Call] = {}
    for number, call in calls.items():
        if number not in numbers:
            left[number] = call
        elif isinstance(call.outcome, Ok) and not isinstance(call.operation, ListBackups):
            left[number] = replace(call, outcome=None)
    return left
