"""What may happen next where operations overlap: one begins, goes on by a phase, or is cut off.

A situation is a cluster and what is under way on it. A step leads from one to the next. Where operations run one after
the other nothing is ever under way, and a step is a whole operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from model.design import Design
from model.operations import Abort, Disconnect, Operation, Restart, Start, Stop
from model.outcomes import Failed, Outcome, SqlState
from model.state import Cluster
from model.transition import (
    Pending,
    disconnect,
    finish,
    give_up,
    invoke,
    publish_start,
    release,
    resume,
    run,
)

UnderWay = tuple[Pending | None, ...]
"""What each session is in the middle of, by number; None: nothing. Empty: operations run one after the other."""


class Situation(NamedTuple):
    """A cluster, and what is under way on it."""

    cluster: Cluster
    under_way: UnderWay = ()

    def busy(self) -> list[Pending]:
        """The operations that are under way."""
        return [pending for pending in self.under_way if pending is not None]


@dataclass(frozen=True, slots=True)
class NextPhase:
    """The operation of a session takes its next phase."""

    session: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """The operation of a session is cancelled, and the session goes on."""

    session: int


@dataclass(frozen=True, slots=True)
class Lose:
    """A session is lost in the middle of its operation."""

    session: int


CutOff = Cancel | Lose
"""Between two phases. A loss that is noticed later is none of these: the operation goes on, and a session ends then."""

Step = Operation | NextPhase | CutOff

Result = Outcome | Pending | None
"""What a step comes to. Pending: its operation is under way; None: there is nobody to be told."""

Begun = tuple[Cluster, Outcome | Pending]
"""The cluster after a step, and what it comes to."""

LAST_PHASES = (publish_start, release)
"""Nothing interrupts these: an operation that is cut off shortly before may have come to its end already."""

CANCELLED = Failed(SqlState.QUERY_CANCELED)
"""What the caller of a cancelled operation is told, also if it was too late."""


def take(design: Design, situation: Situation, step: Step) -> list[tuple[Situation, Result]]:
    """What a step may lead to: several only where a server may honestly do either."""
    cluster, under_way = situation
    match step:
        case NextPhase(session):
            return after_phase(under_way, session, resume(design, cluster, pending_of(situation, session)))
        case Cancel(session):
            return after_phase(under_way, session, cut_off(design, situation, session))
        case Lose(session):
            return lost(under_way, session, cut_off(design, situation, session))
        case _:
            begun = begin(design, cluster, step, bool(under_way))
            return [(Situation(after, beside(under_way, step, result)), result) for after, result in begun]


def begin(design: Design, cluster: Cluster, operation: Operation, overlapping: bool) -> Sequence[Begun]:
    """What an operation that begins may lead to, whatever is under way: all of it, or where they overlap one phase."""
    return invoke(design, cluster, operation) if overlapping else run(design, cluster, operation)


def beside(under_way: UnderWay, operation: Operation, result: Result) -> UnderWay:
    """What is under way when an operation has begun beside what was; a restart ends all of that."""
    if isinstance(operation, Restart):
        return (None,) * len(under_way)
    if not isinstance(result, Pending):
        return under_way
    session = result.operation.session
    return (*under_way[:session], result, *under_way[session + 1 :])


def after_phase(under_way: UnderWay, session: int, steps: Sequence[Begun]) -> list[tuple[Situation, Result]]:
    """The situations after a phase of what a session is in the middle of."""
    before, behind = under_way[:session], under_way[session + 1 :]
    return [
        (Situation(after, (*before, result if isinstance(result, Pending) else None, *behind)), result)
        for after, result in steps
    ]


def lost(under_way: UnderWay, session: int, left: Sequence[Begun]) -> list[tuple[Situation, Result]]:
    """The situations after the loss of a session, by what is left of its operation."""
    rest = without(under_way, session)
    return [(Situation(disconnect(after, Disconnect(session))[0][0], rest), None) for after, _ in left]


def cut_off(design: Design, situation: Situation, session: int) -> tuple[Begun, ...]:
    """The operation leaves no trace; or it was too late for that, and the server brings it to its end.

    Before its last phase a server may honestly do either; if core has ended the backup already, it must do the latter.
    """
    cluster, pending = situation.cluster, pending_of(situation, session)
    traceless = give_up(cluster, pending)
    left = [] if traceless is None else [traceless]
    if traceless is None or pending.next_phase in LAST_PHASES:
        left += [after for after, _ in finish(design, resume(design, cluster, pending))]
    return tuple([(after, CANCELLED) for after in left])


def pending_of(situation: Situation, session: int) -> Pending:
    """What the session is in the middle of; it must be in the middle of something."""
    pending = situation.under_way[session]
    assert pending is not None
    return pending


def without(under_way: UnderWay, session: int) -> UnderWay:
    """The same, but this session is in the middle of nothing."""
    return (*under_way[:session], None, *under_way[session + 1 :])


def phase(pending: Pending | None, result: Result) -> str:
    """The name, in words, of the phase that an operation took from where it was; empty: it took all of them at once."""
    if pending is not None:
        return words(pending)
    return FIRST_PHASES[type(result.operation)] if isinstance(result, Pending) else ""


def words(pending: Pending) -> str:
    """The name of the phase that comes next, in words."""
    return pending.next_phase.__name__.replace("_", " ")


FIRST_PHASES: dict[type, str] = {Start: "reserve", Stop: "claim to stop", Abort: "claim to abort"}


def acted(situation: Situation, step: Step) -> Operation | CutOff:
    """Which operation a step is of, or how it cuts one off."""
    return pending_of(situation, step.session).operation if isinstance(step, NextPhase) else step
