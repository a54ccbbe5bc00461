"""Histories that an ordinary build can be led through: whole operations, and others in the middle of a slow start.

Without injection points there is one place where an operation can be held as long as is needed: a start that does not
ask for a fast checkpoint waits for one that is spread over minutes, and CHECKPOINT lets it go. Its label is reserved by
then, so the first of its phases is over, and the others follow without a pause. Another start that succeeds meanwhile
would let it go, too.
"""

from collections.abc import Hashable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from harness.clients.implementation import SHARED
from harness.schema.counterexample import Counterexample
from model.design import SHARED as DESIGN
from model.interleave import Schedule
from model.operations import Operation, SetLimit, Start, StockStart, StockStop
from model.outcomes import BackupRow, Ok, Outcome
from model.state import Cluster, Role, initial
from model.transition import Pending, finish, invoke, resume, run, view
from properties.concurrency.interleavings import ROLES, SESSION_ROLES, Scope, connections
from properties.support.counterexamples import operation_of


class UnheldError(Exception):
    """Nothing holds an operation there; says which, as the end of a sentence."""


class Part(Enum):
    """How much of an operation a move is."""

    WHOLE = "all of it"
    BEGINS = "until it is held"
    ENDS = "from there to its end"


class Move(NamedTuple):
    """What is done next."""

    operation: Operation
    part: Part = Part.WHOLE


class Foretold(NamedTuple):
    """What the model says of a move."""

    move: Move
    outcome: Outcome | None
    """None: it is held."""
    rows: tuple[BackupRow, ...]
    """Of the view, afterwards."""


class History(NamedTuple):
    """Moves, and where they begin."""

    first: Cluster
    moves: tuple[Move, ...]

    @property
    def holds(self) -> bool:
        """Is a start held in it?"""
        return any(move.part is Part.BEGINS for move in self.moves)

    def foretold(self) -> list[Foretold]:
        """What comes of it; raises UnheldError if a slow start cannot be held as long as it says."""
        cluster, held, told = self.first, None, list[Foretold]()
        for move in self.moves:
            if move.part is Part.BEGINS:
                ((cluster, result),) = invoke(DESIGN, cluster, move.operation)
                if held is not None or not isinstance(result, Pending):
                    raise UnheldError(f"two starts are held at once, or this one is over: {move.operation}")
                held, outcome = result, None
            elif move.part is Part.ENDS:
                assert held is not None
                ((cluster, outcome),) = finish(DESIGN, resume(DESIGN, cluster, held))
                held = None
            else:
                ((cluster, outcome),) = run(DESIGN, cluster, move.operation)
                if held is not None and isinstance(move.operation, Start) and isinstance(outcome, Ok):
                    raise UnheldError(f"its checkpoint lets the start go that is held: {move.operation}")
            told.append(Foretold(move, outcome, view(cluster)))
        return told


def of_counterexample(one: Counterexample) -> History:
    """The history of a counterexample, with the rest of what had begun when it failed; raises UnheldError.

    Sessions live on after it, so they end the backups of their own.
    """
    steps = [(number if step.phase == 0 else step.operation + str(step.arguments), operation_of(step))
             for number, step in enumerate(one.steps)]  # fmt: skip
    assert one.implementation.name == SHARED.name
    roles = tuple(
        Role(role.name, role.superuser, role.execute, role.monitor, tuple(role.member_of)) for role in one.roles
    )
    open_ones = dict.fromkeys(step.session for _, step in steps if isinstance(step, StockStart))
    ended = [(("end", session), StockStop(session)) for session in open_ones]
    return History(initial(DESIGN, roles, one.sessions), tuple(moves([*steps, *ended])))


def of_schedule(scope: Scope, schedule: Schedule, *, limited: bool = True) -> History:
    """A schedule of operations at once, after what is to be there before; raises UnheldError.

    ``limited``: under the scope's limit; else there is none.
    """
    given = [operation for operation in scope.before() if limited or not isinstance(operation, SetLimit)]
    before = [(operation, operation) for operation in (*connections(), *given)]
    calls = [(number, scope.calls()[number]) for number in schedule]
    return History(initial(DESIGN, ROLES, len(SESSION_ROLES)), tuple(moves([*before, *calls])))


def while_starting(among: Sequence[Scope], *, limited: bool) -> tuple[History, ...]:
    """Every schedule of these scopes in which something happens while a backup is starting, as far as it can be held.

    ``limited``: see ``of_schedule``. Without limits some are the same.
    """
    return tuple(dict.fromkeys(_while_starting(among, limited=limited)))


def _while_starting(among: Sequence[Scope], *, limited: bool) -> Iterator[History]:
    for scope in among:
        for schedule in scope.interleavings(DESIGN):
            try:
                found = of_schedule(scope, schedule, limited=limited)
                found.foretold()
            except UnheldError:
                continue
            if found.holds:
                yield found


def moves(phases: Sequence[tuple[Hashable, Operation]]) -> Iterator[Move]:
    """Phases, each with its call's key: those of a call that follow each other are one move; raises UnheldError."""
    keys = [key for key, _ in phases]
    for place, (key, operation) in enumerate(phases):
        first, last, number = keys.index(key), len(keys) - 1 - keys[::-1].index(key), keys.count(key)
        if last - first == number - 1:  # nothing comes between
            if place == first:
                yield Move(operation)
        elif place == first:
            if not isinstance(operation, Start):
                raise UnheldError(f"nothing holds this one: {operation}")
            yield Move(operation, Part.BEGINS)
        elif keys[place - 1] != key:
            if last - place != number - 2:
                raise UnheldError(f"nothing holds it at its second phase: {operation}")
            yield Move(operation, Part.ENDS)
