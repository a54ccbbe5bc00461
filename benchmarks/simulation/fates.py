"""What an event does to an open backup, in each design: a table that the model fills.

One backup is started in the model, and each class of events is run on it, and again on what that leads to. Two
clusters in which a backup does the same from now on are one *condition*. The simulation looks up; it knows no rule of
backups itself.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulation.ways import Way
from model.design import Design
from model.operations import (
    Advance,
    Connect,
    Disconnect,
    Hazard,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Start,
    Stop,
)
from model.outcomes import Ok, Outcome, stop_row
from model.state import Cluster, Role, initial
from model.transition import run

LABEL, TTL = "a", 1
PLANE = Role("control plane", superuser=True)
OWNER, OTHER = 0, 1
"""Sessions: the one that starts the backup, and another."""
OPEN = 0
"""The condition of a backup that has just been started."""


class Event(IntEnum):
    """What happens to an open backup, in the order in which events of the same second are taken."""

    EXPIRY = 0
    """Its deadline passes."""
    RESTART = 1
    """Of the server."""
    HAZARD = 2
    """A restart of the server, around which something made durable backups useless."""
    CRASH = 3
    """Of the control plane."""
    LOSS = 4
    """Of the session that holds it."""


class Answer(IntEnum):
    """What a stop says."""

    REFUSED = 0
    GOOD = 1
    USELESS = 2
    """It hands out a backup that does not restore, and does not know."""


class Condition(NamedTuple):
    """What a backup does from now on."""

    live: bool
    """It is open, and counts against the limit."""
    core: int
    """What core counts, if there was no other: above zero, full-page writes are forced."""
    answer: Answer
    """What a stop says, by whoever may ask: another session, or its own where no other may."""
    core_after: int
    """What core counts after that stop."""
    renewable: bool
    """A renewal succeeds."""
    held: bool
    """A session holds it."""


@dataclass(frozen=True)
class Fates:
    """The table of a way."""

    way: Way
    conditions: tuple[Condition, ...]
    """The first is ``OPEN``."""
    then: NDArray[np.intp]
    """By condition and event: the condition afterwards."""
    limit: int | None
    """Open backups that a server admits; None: as many as there are."""

    def each(self, name: str) -> NDArray[np.int64]:
        """One field of all conditions, as numbers."""
        return np.array([getattr(one, name) for one in self.conditions], dtype=np.int64)

    @property
    def held(self) -> bool:
        """Must a session be held for each open backup?"""
        return self.conditions[OPEN].held

    @property
    def expires(self) -> bool:
        """Can a backup have a time to live?"""
        return not self.after(Event.EXPIRY).live

    @property
    def leases(self) -> bool:
        """Can it be renewed?"""
        return self.conditions[OPEN].renewable

    def after(self, event: Event) -> Condition:
        """What an open backup is after an event."""
        return self.conditions[int(self.then[OPEN, event])]


def fates(way: Way, kind: RestartKind, most: int | None) -> Fates:
    """Asks the model about a way; ``most``: the limit that is set (``max_backups``), None for none."""
    clusters = [opened(way.design)]
    known = {condition(way.design, clusters[OPEN]): OPEN}
    then: list[list[int]] = []
    for cluster in clusters:  # grows
        row = []
        for event in Event:
            after, _ = done(way.design, cluster, *operations(way, event, kind))
            found = condition(way.design, after)
            if found not in known:
                known[found] = len(clusters)
                clusters.append(after)
            row.append(known[found])
        then.append(row)
    return Fates(way, tuple(known), np.array(then, dtype=np.intp), limit(way.design, most))


def opened(design: Design) -> Cluster:
    """A cluster with one backup, just started; its session is held only if it has to be."""
    start = Start(OWNER, LABEL, ttl=TTL if design.expiry else None)
    leave = () if design.session_bound else (Disconnect(OWNER),)
    return done(design, initial(design.settings, (PLANE,), 2), Connect(OWNER, PLANE.name), start, *leave)[0]


def operations(way: Way, event: Event, kind: RestartKind) -> tuple[Operation, ...]:
    """An event in the model's terms."""
    match event:
        case Event.EXPIRY:
            return (Advance(TTL),)
        case Event.RESTART:
            return (Restart(kind),)
        case Event.HAZARD:
            return (Restart(kind, Hazard.ABSENCE),)
        case Event.CRASH:
            return () if way.survives else (Disconnect(OWNER),)
        case Event.LOSS:
            return (Disconnect(OWNER),)


def condition(design: Design, cluster: Cluster) -> Condition:
    """What the backup does from now on, found out by trying it."""
    asks = OWNER if design.session_bound else OTHER
    connect = () if design.session_bound else (Connect(OTHER, PLANE.name),)
    after, said = done(design, cluster, *connect, Stop(asks, LABEL))
    _, renewed = done(design, cluster, *connect, Renew(asks, LABEL, ttl=TTL))
    row = stop_row(said)
    return Condition(
        live=bool(cluster.live_backups() or cluster.stock_backups()),
        core=cluster.running_backups,
        answer=Answer.REFUSED if row is None else Answer.GOOD if row.restorable else Answer.USELESS,
        core_after=after.running_backups,
        renewable=isinstance(renewed, Ok),
        held=cluster.sessions[OWNER] is not None,
    )


def done(design: Design, cluster: Cluster, *some: Operation) -> tuple[Cluster, Outcome]:
    """The cluster after these operations, and the outcome of the last one. With nothing under way there is one way."""
    outcome: Outcome = Ok()
    for operation in some:
        [(cluster, outcome)] = run(design, cluster, operation)
    return cluster, outcome


def limit(design: Design, most: int | None) -> int | None:
    """How many backups may be open at once, each started in a session of its own; None: nothing stops them."""
    tried = 1 + max(most or 0, design.settings.max_backups or 0)
    cluster = initial(design.settings._replace(max_backups=most), (PLANE,), tried)
    for number in range(tried):
        cluster, outcome = done(design, cluster, Connect(number, PLANE.name), Start(number, str(number)))
        if not isinstance(outcome, Ok):
            return number
    return None
