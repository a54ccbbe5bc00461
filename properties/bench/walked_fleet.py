"""A fleet walked second by second on the model: what ``benchmarks.simulation`` computes, done instead.

A server is a cluster of the model. All that its control plane does is carried out on it, by ``model.transition.run``;
what has become of a backup is asked of it, and never worked out here.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

import numpy as np

from benchmarks.simulation.fates import PLANE, Event, done
from benchmarks.simulation.moments import SPAN, Moments
from benchmarks.simulation.parameters import Parameters
from benchmarks.simulation.tally import BINS, CAUSES, REFUSED, Tally, bin_of
from benchmarks.simulation.ways import Way
from benchmarks.simulation.world import World
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
from model.state import Cluster, initial

CALLS = 0
"""The session of whatever needs none for long."""
DUE, RESTART, HAZARD, CRASH, LOSS, NOTICE, RECOVERY, RENEWAL, STOP, START = range(10)
"""What happens, in the order in which it does within a second."""


@dataclass(eq=False)
class Attempt:
    """One start, and what has become of it."""

    number: int
    job: int
    turn: int
    start: int
    copied: int
    due: int
    forgettable: bool
    session: int
    cared_for: bool = True
    orphan: bool = False
    forgotten: bool = False
    cause: int | None = None
    renewals: int = 0
    """Schedules of renewals so far: only the last one counts."""

    @property
    def label(self) -> str:
        """Of its backup."""
        return str(self.number)


@dataclass
class Server:
    """One server and its control plane."""

    p: Parameters
    world: World
    way: Way
    number: int
    cluster: Cluster
    now: int = 0
    up: bool = True
    attempts: list[Attempt] = field(default_factory=list)
    waiting: list[tuple[int, int]] = field(default_factory=list)
    heap: list[tuple[int, int, int, int, object]] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=count)
    sums: dict[str, int] = field(default_factory=dict)
    causes: list[int] = field(default_factory=lambda: [0] * len(CAUSES))
    waits: list[int] = field(default_factory=list)
    seen: list[tuple[int, int, int]] = field(default_factory=list)
    """Since when so many sessions were held, and so many backups open."""

    def add(self, **numbers: int) -> None:
        """Counts."""
        for name, number in numbers.items():
            self.sums[name] = self.sums.get(name, 0) + number

    def push(self, time: int, kind: int, what: object = None, rank: int = 0) -> None:
        """Something will happen."""
        heappush(self.heap, (time, kind, rank, next(self.numbers), what))

    def do(self, *operations: Operation) -> Outcome:
        """Carries operations out."""
        self.cluster, outcome = done(self.way.design, self.cluster, *operations)
        return outcome

    def call(self, operation: Operation) -> Outcome:
        """A connection for one operation."""
        self.add(connections=1)
        self.do(Connect(CALLS, PLANE.name))
        outcome = self.do(operation)
        self.do(Disconnect(CALLS))
        return outcome

    # What the model says of a backup

    def live(self, one: Attempt) -> bool:
        """Is it open?"""
        session = self.cluster.sessions[one.session]
        backup = self.cluster.backup(one.label)
        return bool(session and session.stock) or bool(backup and backup.live)

    def refused(self, one: Attempt) -> bool:
        """Would a stop be?"""
        if self.way.design.session_bound:
            return not isinstance(done(self.way.design, self.cluster, Stop(one.session, one.label))[1], Ok)
        _, outcome = done(self.way.design, self.cluster, Connect(CALLS, PLANE.name), Stop(CALLS, one.label))
        return not isinstance(outcome, Ok)

    def look_for_broken(self, event: Event) -> None:
        """Notes what an event has broken."""
        for one in self.attempts:
            if one.cause is None and one.cared_for and self.refused(one):
                one.cause = event
                if self.way.design.session_bound:
                    self.push(self.now, NOTICE, one)

    # The walk

    def walk(self) -> None:
        """From the beginning to the horizon."""
        for kind, moments in ((RESTART, self.world.restarts), (HAZARD, self.world.hazards)):
            for time in times_of(moments, self.number):
                self.push(time, kind)
        for time in times_of(self.world.outages.crashes, int(self.world.plane[self.number])):
            self.push(time, CRASH)
            self.push(time + self.p.recovery, RECOVERY)
        for job, due in enumerate(self.world.due[self.number].tolist()):
            if due < self.p.horizon:
                self.add(jobs=1)
                self.push(due, START, (job, 0), rank=job)
        while self.heap and self.heap[0][0] < self.p.horizon:
            time, kind, _, _, what = heappop(self.heap)
            self.pass_time(time)
            self.happen(kind, what)
            self.note()
        self.pass_time(self.p.horizon)

    def note(self) -> None:
        """Keeps what is held now."""
        held = sum(session is not None for session in self.cluster.sessions)
        live = self.cluster.live_backups() + len(self.cluster.stock_backups())
        self.seen.append((self.now, held, live))

    def pass_time(self, until: int) -> None:
        """Counts what lasts, and lets time pass; nothing else happens meanwhile."""
        seconds = until - self.now
        if not seconds:
            return
        open_now = [one for one in self.attempts if self.live(one)]
        orphans = [one for one in open_now if one.orphan]
        wanted = len(open_now) > len(orphans)
        self.add(orphan_seconds=seconds * len(orphans))
        self.add(forced_seconds=seconds * (self.cluster.running_backups > 0 and not wanted))
        self.add(held_seconds=seconds * sum(session is not None for session in self.cluster.sessions))
        self.now = until
        if until < self.p.horizon:
            self.do(Advance(seconds))
            self.look_for_broken(Event.EXPIRY)

    def happen(self, kind: int, what: object) -> None:
        """One thing."""
        match kind, what:
            case _ if kind == RESTART:
                self.do(Restart(RestartKind(self.p.restart_kind)))
                self.look_for_broken(Event.RESTART)
            case _ if kind == HAZARD:
                self.do(Restart(RestartKind(self.p.restart_kind), Hazard.ABSENCE))
                self.look_for_broken(Event.HAZARD)
            case _ if kind == CRASH:
                self.crash()
            case _ if kind == RECOVERY:
                self.recover()
            case _, Attempt() as one if kind == LOSS:
                if self.cluster.sessions[one.session]:
                    self.do(Disconnect(one.session))
                    self.look_for_broken(Event.LOSS)
            case _, Attempt() as one if kind == NOTICE:
                if self.up and one.cared_for:
                    self.fail(one)
            case _, (Attempt() as one, int(schedule)) if kind == RENEWAL:
                if self.up and one.cared_for and one.renewals == schedule:
                    self.renew(one)
            case _, Attempt() as one if kind == STOP:
                if self.up and one.cared_for:
                    self.stop(one)
            case _, (int(job), int(turn)) if kind == START:
                self.start(job, turn) if self.up else self.waiting.append((job, turn))

    def crash(self) -> None:
        """Of the control plane."""
        self.up = False
        if not self.way.survives:
            for number, session in enumerate(self.cluster.sessions):
                if session:
                    self.do(Disconnect(number))
        self.look_for_broken(Event.CRASH)
        for one in self.attempts:
            if one.cared_for:
                one.renewals += 1
            if one.cared_for and one.forgettable:
                one.forgotten, one.orphan = True, self.live(one)
                self.add(orphans=one.orphan)
                one.cause = CAUSES.index("forgotten") if one.cause is None else one.cause

    def recover(self) -> None:
        """Of the control plane: it looks at all that it knows."""
        self.up = True
        for one in [one for one in self.attempts if one.cared_for]:
            if one.forgotten or (self.way.design.session_bound and one.cause is not None):
                self.fail(one)
            elif one.copied <= self.now:
                self.push(self.now, STOP, one)
            elif self.renewed:
                self.push(self.now, RENEWAL, (one, one.renewals))
        for job, turn in self.waiting:
            self.push(self.now, START, (job, turn), rank=job)
        self.waiting.clear()

    @property
    def ttl(self) -> int | None:
        """Of its backups."""
        return self.p.ttl if self.p.ttl and self.way.design.expiry else None

    @property
    def renewed(self) -> int | None:
        """How often they are."""
        return self.p.renewed if self.ttl and self.way.design.lease else None

    def start(self, job: int, turn: int) -> None:
        """An attempt."""
        cell = self.number, job, turn
        number = len(self.attempts) + 1
        one = Attempt(
            number=number,
            job=job,
            turn=turn,
            start=self.now,
            copied=self.now + int(self.world.durations[cell]),
            due=int(self.world.due[self.number, job]),
            forgettable=bool(self.world.forgotten[cell]),
            session=number,
        )
        self.attempts.append(one)
        self.add(attempts=1)
        if self.way.design.session_bound:
            self.add(connections=1)
            outcome = self.do(Connect(one.session, PLANE.name), Start(one.session, one.label))
            self.push(self.now + int(self.world.losses[cell]), LOSS, one)
        else:
            outcome = self.call(Start(CALLS, one.label, ttl=self.ttl))
        if not isinstance(outcome, Ok):
            one.cause = REFUSED
            self.fail(one, began=False)
            return
        self.push(one.copied, STOP, one)
        if self.ttl:
            self.push(self.now + self.ttl, DUE)
        self.schedule(one)

    def schedule(self, one: Attempt) -> None:
        """The next renewal."""
        if self.renewed and self.now + self.renewed < one.copied:
            self.push(self.now + self.renewed, RENEWAL, (one, one.renewals))

    def renew(self, one: Attempt) -> None:
        """One renewal."""
        if not isinstance(self.call(Renew(CALLS, one.label, ttl=self.ttl)), Ok):
            self.fail(one)
            return
        assert self.ttl
        self.push(self.now + self.ttl, DUE)
        self.schedule(one)

    def stop(self, one: Attempt) -> None:
        """The end of an attempt."""
        if self.way.design.session_bound:
            row = stop_row(self.do(Stop(one.session, one.label)))
            self.do(Disconnect(one.session))
        else:
            row = stop_row(self.call(Stop(CALLS, one.label)))
        if row is None:
            self.fail(one)
            return
        one.cared_for = False
        self.add(good=row.restorable, useless=not row.restorable)
        if row.restorable:
            self.add(good_after=self.now - one.due)
            self.waits.append(self.now - one.due)
        else:
            self.add(useless_seconds=one.copied - one.start)

    def fail(self, one: Attempt, began: bool = True) -> None:
        """An attempt is known to have failed."""
        assert one.cause is not None
        one.cared_for = False
        self.causes[one.cause] += 1
        if began:
            self.add(wasted_copies=1, wasted_seconds=min(self.now, one.copied) - one.start)
        if one.turn + 1 < self.p.tries:
            again = self.now + self.p.wait * self.p.backoff**one.turn
            self.push(again, START, (one.job, one.turn + 1), rank=one.job)
        else:
            self.add(failed=1)


def times_of(moments: Moments, owner: int) -> list[int]:
    """The moments of one owner."""
    return [int(key % SPAN) for key in moments.keys if key // SPAN == owner]


def walk_fleet(p: Parameters, world: World, way: Way) -> Tally:
    """What the servers of a chunk count, all of them walked."""
    settings = way.design.settings._replace(max_backups=p.limit or None)
    total = Tally(servers=world.servers)
    for number in range(world.servers):
        sessions = 1 + world.due.shape[1] * p.tries
        server = Server(p, world, way, number, initial(settings, (PLANE,), sessions))
        server.walk()
        total += tally(server)
    return total


def tally(server: Server) -> Tally:
    """What a server has counted."""
    looks = range(0, server.p.horizon, server.p.sampled)
    then = [next(((h, n) for time, h, n in reversed(server.seen) if time <= look), (0, 0)) for look in looks]
    waits = np.array(server.waits, dtype=np.int64)
    return Tally(
        **server.sums,
        causes=np.array(server.causes),
        waits=np.bincount(bin_of(waits), minlength=BINS).astype(np.int64),
        held=np.array([held for held, _ in then]),
        live=np.array([live for _, live in then]),
        busy=np.array([int(live > 0 and not server.way.design.session_bound) for _, live in then]),
    )
