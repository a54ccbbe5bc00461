"""Concurrent histories that the model itself makes: sessions take turns, a phase at a time, and the clock ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from model.design import SHARED, Design
from model.linearizability.linearize import Call
from model.numbers import StartPoint, Time
from model.operations import (
    Abort,
    Advance,
    Connect,
    Disconnect,
    Grant,
    ListBackups,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Revoke,
    Rollback,
    SetLimit,
    Start,
    Starting,
    StockStart,
    StockStop,
    Stop,
)
from model.outcomes import Failed, Ok, Outcome, SqlState, StopRow
from model.scope import ALICE, ROOT, STALE
from model.state import Cluster, Session, initial
from model.transition import Pending, give_up, invoke, resume

DESIGN = SHARED

Draw = Callable[[Random, int, Cluster], Operation]
"""What a session does next."""


@dataclass
class Actor:
    """A session, and the call that it is waiting for."""

    number: int
    operation: Operation | None = None
    invoked: int = 0
    progress: Pending | Outcome | None = None


@dataclass
class Simulation:
    """A cluster that sessions use at once; every event has a moment of its own."""

    design: Design
    cluster: Cluster
    chance: Random
    actors: list[Actor]
    atomic: bool = False
    """All phases of an operation take place at one moment."""
    unknown: float = 0.0
    """How likely it is that a call is cut off, or its answer lost."""
    clock: int = 0
    calls: list[Call] = field(default_factory=list)

    @property
    def busy_actors(self) -> list[Actor]:
        """Those that wait for a call."""
        return [actor for actor in self.actors if actor.operation is not None]

    def tick(self, draw: Draw) -> None:
        """Something happens to somebody."""
        self.clock += 1
        actor = self.chance.choice(self.actors)
        if actor.operation is None:
            actor.operation, actor.invoked = draw(self.chance, actor.number, self.cluster), self.clock
        else:
            self.proceed(actor)

    def proceed(self, actor: Actor) -> None:
        """A call goes on by a phase, is cut off, or completes."""
        if self.chance.random() < self.unknown:
            self.cut_off(actor)
        elif actor.progress is None or isinstance(actor.progress, Pending):
            self.go_on(actor)
        else:
            self.complete(actor, actor.progress)

    def go_on(self, actor: Actor) -> None:
        """The next phase, or all that are left. Start points have gaps between them, as LSNs have."""
        assert actor.operation is not None
        self.cluster = self.cluster.with_core(
            StartPoint(self.cluster.start_points + self.chance.randrange(3)), self.cluster.running_backups
        )
        if isinstance(actor.progress, Pending):
            steps = resume(self.design, self.cluster, actor.progress)
        else:
            steps = invoke(self.design, self.cluster, actor.operation)
        self.cluster, actor.progress = self.chance.choice(steps)
        if isinstance(actor.operation, Restart):
            for other in self.actors:
                if isinstance(other.progress, Pending):
                    self.complete(other, None)
        if self.atomic and isinstance(actor.progress, Pending):
            self.go_on(actor)

    def complete(self, actor: Actor, outcome: Outcome | None) -> None:
        """The caller has its answer, or knows that there will be none."""
        assert actor.operation is not None
        self.calls.append(Call(actor.operation, actor.invoked, self.clock, outcome))
        actor.operation = actor.progress = None

    def cut_off(self, actor: Actor) -> None:
        """The caller hears no more. The operation goes on to its end if it can not be given up, and perhaps anyway."""
        if isinstance(actor.progress, Pending):
            without = give_up(self.cluster, actor.progress)
            if without is not None and self.chance.random() < 0.5:
                self.cluster = without
            else:
                while isinstance(actor.progress, Pending):
                    self.go_on(actor)
        self.complete(actor, None)

    def run(self, draw: Draw, number: int) -> list[Call]:
        """Lets so many calls complete; others are still open."""
        while len(self.calls) < number:
            self.tick(draw)
        return self.calls + [
            Call(actor.operation, actor.invoked) for actor in self.actors if actor.operation is not None
        ]

    def run_out(self) -> None:
        """Lets the open calls complete, and invokes no others."""
        while self.busy_actors:
            self.clock += 1
            self.proceed(self.chance.choice(self.busy_actors))


def connected(design: Design, sessions: int, limit: int | None = None) -> Cluster:
    """A cluster on which alice has so many sessions open."""
    first = initial(design, (ROOT, ALICE), sessions, design.settings._replace(max_backups=limit))
    return first._replace(sessions=(Session(ALICE.name),) * sessions)


def simulated(first: Cluster, draw: Draw, number: int, chance: Random, *, unknown: float = 0.0) -> list[Call]:
    """The history of so many calls by all sessions of the cluster, and of some that are still open."""
    return simulation(first, chance, unknown=unknown).run(draw, number)


def completed(first: Cluster, draw: Draw, number: int, chance: Random, *, atomic: bool = False) -> list[Call]:
    """The same, and all have completed; perhaps each took place at one moment."""
    sessions = simulation(first, chance, atomic=atomic)
    sessions.run(draw, number - len(first.sessions))
    sessions.run_out()
    return sessions.calls


def simulation(first: Cluster, chance: Random, *, unknown: float = 0.0, atomic: bool = False) -> Simulation:
    """All sessions of a cluster."""
    actors = [Actor(session) for session in range(len(first.sessions))]
    return Simulation(DESIGN, first, chance, actors, atomic, unknown)


CHANGES: tuple[Operation, ...] = (
    *(SetLimit(limit) for limit in (None, 1, 2)),
    *(change(ALICE.name) for change in (Grant, Revoke, Grant)),
    Restart(RestartKind.CRASH),
)


def busy(labels: Sequence[str], *, expiry: bool = False, stock: bool = False, changes: bool = False) -> Draw:
    """What sessions do that use few labels for a lot."""
    kinds = ["start", "start", "start", "stop", "stop", "fenced", "abort", "renew", "list"]
    kinds += ["time"] * expiry + ["stock"] * stock + ["rollback", "connection", "change"] * changes

    def draw(chance: Random, session: int, cluster: Cluster) -> Operation:
        label, ttl = chance.choice(labels), chance.choice((None, 5)) if expiry else None
        held = cluster.backup(label)
        match chance.choice(kinds):
            case "start":
                return Start(session, label, ttl)
            case "stop":
                return Stop(session, label)
            case "fenced":
                kind = chance.choice((Stop, Stop, Abort, Renew))
                return kind(session, label, start_point=held.start_point if held else STALE)
            case "abort":
                return Abort(session, label)
            case "renew":
                return Renew(session, label, ttl)
            case "time":
                return Advance(chance.choice((3, 5)))
            case "rollback":
                return Rollback(Start(session, label))
            case "change":
                return chance.choice(CHANGES)
            case "connection":
                return Disconnect(session) if cluster.sessions[session] else Connect(session, ALICE.name)
            case "stock":
                own = cluster.sessions[session]
                return StockStart(session, "stock") if own and own.stock is None else StockStop(session)
            case _:
                return ListBackups(session)

    return draw


REFUSALS = (
    SqlState.OBJECT_IN_USE,
    SqlState.UNDEFINED_OBJECT,
    SqlState.DUPLICATE_OBJECT,
    SqlState.CONFIGURATION_LIMIT_EXCEEDED,
    SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE,
)


def corrupted(calls: Sequence[Call], number: int, outcome: Outcome) -> list[Call]:
    """The same history with another outcome of one call."""
    return [*calls[:number], replace(calls[number], outcome=outcome), *calls[number + 1 :]]


def other_outcomes(calls: Sequence[Call], number: int) -> list[Outcome]:
    """What might have come of a call instead: what came of others of its kind, too, and what is nearly the same."""
    outcomes = [call.outcome for call in calls if type(call.operation) is type(calls[number].operation)]
    found: list[Outcome] = [*(outcome for outcome in outcomes if outcome is not None), Ok(), *map(Failed, REFUSALS)]
    match calls[number].outcome:
        case Ok(tuple() as rows):
            found += [Ok((*rows[:position], *rows[position + 1 :])) for position in range(len(rows))]
        case Ok(StopRow() as row):
            found.append(Ok(replace(row, repeated=not row.repeated)))
            found += [
                Ok(replace(row, stop_time=Time(row.stop_time + change)))
                for change in (-1, 1)
                if row.stop_time is not None
            ]
        case Ok(int(value)) if isinstance(calls[number].operation, Starting):
            found += [Ok(StartPoint(value - 1)), Ok(StartPoint(value + 1))]
        case Ok(int(value)):
            found += [Ok(Time(value - 1)), Ok(Time(value + 1))]
    return found
