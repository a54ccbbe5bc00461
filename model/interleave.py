"""All the ways in which the phases of a few calls may follow each other.

A call is an operation that may overlap with others. A schedule says whose phase comes next, by the number of the call,
until every call has ended. The schedules of a few calls are few enough to try them all on a server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from model.design import Design
from model.operations import Operation, Restart
from model.outcomes import Outcome
from model.state import Cluster
from model.transition import Pending, Steps, invoke, resume

Schedule = tuple[int, ...]
"""The numbers of the calls, in the order in which their phases take place."""


class Step(NamedTuple):
    """One phase of one call."""

    call: int
    cluster: Cluster
    """Afterwards."""
    result: Outcome | Pending
    """What the call has come to; Pending: it is between two phases."""


Run = tuple[Step, ...]
"""One way to go through a schedule; there are several only where a server may honestly do either."""


def interleavings(design: Design, first: Cluster, calls: Sequence[Operation]) -> dict[Schedule, list[Run]]:
    """Every schedule of the calls, short ones first, with all that may come of it."""
    found: dict[Schedule, list[Run]] = defaultdict(list)
    for run in runs(design, first, tuple(calls)):
        found[tuple([step.call for step in run])].append(run)
    return {schedule: found[schedule] for schedule in sorted(found, key=lambda schedule: (len(schedule), schedule))}


def runs(design: Design, cluster: Cluster, left: tuple[Operation | Pending | None, ...]) -> Iterator[Run]:
    """Every way to end the calls; ``left`` is what there is left of each: all of it, the rest, or nothing (None).

    A restart ends what is under way: no phase of it follows, and its last step says that it was pending.
    """
    if all(rest is None for rest in left):
        yield ()
    for number, rest in enumerate(left):
        for after, result in next_phase(design, cluster, rest):
            others = without_pending(left) if isinstance(rest, Restart) else left
            pending = result if isinstance(result, Pending) else None
            for run in runs(design, after, (*others[:number], pending, *others[number + 1 :])):
                yield (Step(number, after, result), *run)


def without_pending(left: tuple[Operation | Pending | None, ...]) -> tuple[Operation | Pending | None, ...]:
    """The same without what is between two phases."""
    return tuple([None if isinstance(rest, Pending) else rest for rest in left])


def next_phase(design: Design, cluster: Cluster, rest: Operation | Pending | None) -> Steps:
    """What may come of the next phase of a call; nothing, if it has ended."""
    if rest is None:
        return ()
    return resume(design, cluster, rest) if isinstance(rest, Pending) else invoke(design, cluster, rest)


def in_turn(schedule: Schedule, likenesses: Sequence[Hashable]) -> bool:
    """Do calls that are alike (those of the same likeness) begin in the order of their numbers?

    Any other schedule is the same as one of these with other sessions in the same parts.
    """
    begun: dict[Hashable, list[int]] = defaultdict(list)
    for number in dict.fromkeys(schedule):
        begun[likenesses[number]].append(number)
    return all(numbers == sorted(numbers) for numbers in begun.values())
