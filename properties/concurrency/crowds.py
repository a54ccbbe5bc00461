"""What a crowd of sessions does, at once: drawn by Hypothesis, and carried out in whatever order it happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from random import Random
from threading import Lock
from time import monotonic

from hypothesis import strategies as st

from harness.clients.client import Violation
from harness.clients.crowd import Crowd
from harness.server.probes import live_backups
from harness.server.programs import address, start_program
from model.design import StopPolicy
from model.numbers import StartPoint
from model.operations import (
    Abort,
    Advance,
    Connect,
    Grant,
    ListBackups,
    Operation,
    Renew,
    Revoke,
    SetLimit,
    SetPolicy,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.outcomes import Ok, start_point
from model.state import Cluster, initial
from properties.recording.timeline import Blow, Reading, Watched
from properties.support.lockstep import ROLES

MEMBERS = ("alice", "bob", "root", "bob", "carol")
"""The roles of the sessions, in turn."""

MOST = 32
"""Sessions at once."""

LABELS = ("a", "b", "c")
TTL = 10
PAUSE = 0.005
"""Seconds, at most, between two things that an administrator does, or from the start to the stop of core's backups."""

BUSY = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s) AND state = 'active' ORDER BY query_start"
"""Most are idle most of the time."""
CANCELLED = Start | Stop | Abort | Renew | ListBackups
"""What may be cancelled: what a session does about the extension."""


class Doings:
    """What members are doing, for somebody who interferes with it."""

    def __init__(self, members: int) -> None:
        self._locks = [Lock() for _ in range(members)]
        self._doings: list[Operation | None] = [None] * members

    @contextmanager
    def doing(self, member: int, operation: Operation) -> Iterator[None]:
        """A member does something."""
        with self._locks[member]:
            self._doings[member] = operation
        try:
            yield
        finally:
            with self._locks[member]:
                self._doings[member] = None

    @contextmanager
    def staying(self, member: int) -> Iterator[Operation | None]:
        """Until this ends the member does nothing else."""
        with self._locks[member]:
            yield self._doings[member]


@dataclass(frozen=True)
class CrowdPlan:
    """What happens in one example."""

    members: int
    """Sessions, all at work at once."""
    rounds: int
    """Operations of each."""
    labels: tuple[str, ...]
    limit: int | None
    policy: StopPolicy
    weights: tuple[int, ...]
    """How often members do what: a number for each of ``KINDS``."""
    expiry: bool
    """Backups have a time to live, and time passes."""
    changes: bool
    """An administrator changes the limit, the policy and privileges."""
    stock: int
    """Sessions that take one backup after the other by core's own functions."""
    tool: bool
    """pg_basebackup runs again and again."""
    cancels: bool
    """Now and then a member is cancelled."""
    seed: int

    @property
    def keeper(self) -> int:
        """The session that, at the end, holds a backup of core's own."""
        return self.members

    @property
    def closer(self) -> int:
        """The session that, at the end, ends what is left."""
        return self.members + 1

    @property
    def stock_sessions(self) -> range:
        """The sessions that use core's functions."""
        return range(self.members + 2, self.members + 2 + self.stock)

    @property
    def roles(self) -> list[str]:
        """Of all sessions, by number."""
        return [*islice(cycle(MEMBERS), self.members), *["root"] * (2 + self.stock)]

    def beginning(self, crowd: Crowd) -> Cluster:
        """The model's state before anything has happened."""
        design = crowd.client.implementation.design
        limit = design.settings.max_backups if self.limit is None else self.limit
        settings = design.settings._replace(max_backups=limit, stop_policy=self.policy)
        return initial(design, ROLES, len(self.roles), settings)


KINDS: tuple[Callable[[CrowdPlan, Random, int, str, dict[str, StartPoint]], Operation], ...] = (
    lambda plan, chance, session, label, seen: Start(session, label, ttl(plan, chance)),
    lambda plan, chance, session, label, seen: Stop(session, label),
    lambda plan, chance, session, label, seen: Stop(session, label, seen.get(label)),
    lambda plan, chance, session, label, seen: Abort(session, label, sometimes(chance, seen.get(label))),
    lambda plan, chance, session, label, seen: Renew(
        session, label, ttl(plan, chance), sometimes(chance, seen.get(label))
    ),
    lambda plan, chance, session, label, seen: ListBackups(session),
)


def sometimes(chance: Random, fence: StartPoint | None) -> StartPoint | None:
    """A fence, now and then."""
    return fence if chance.random() < 0.3 else None


def ttl(plan: CrowdPlan, chance: Random) -> int | None:
    """A time to live, where there is one."""
    return TTL if plan.expiry and chance.random() < 0.7 else None


def plans(operations: int) -> st.SearchStrategy[CrowdPlan]:
    """Many sessions, few labels: what they do collides all the time. ``operations``: of all members, at most."""
    return mixtures(operations) | mixtures(operations).map(crush)


def crush(plan: CrowdPlan) -> CrowdPlan:
    """Everybody wants the only place, and gives it up at once."""
    rounds = plan.members * plan.rounds // MOST
    return replace(plan, members=MOST, rounds=rounds, labels=LABELS, limit=1, weights=(4, 0, 0, 4, 0, 0), changes=False)


@st.composite
def mixtures(draw: st.DrawFn, operations: int) -> CrowdPlan:
    """A bit of everything, in all proportions."""
    often, seldom = st.integers(1, 4), st.integers(0, 2)
    members = draw(st.integers(8, MOST))
    return CrowdPlan(
        members=members,
        rounds=draw(st.integers(200, operations)) // members,
        labels=LABELS[: draw(st.sampled_from([3, 2, 2, 1]))],
        limit=draw(st.sampled_from([1, 1, 2, None])),
        policy=draw(st.sampled_from([StopPolicy.ANY, StopPolicy.ANY, StopPolicy.OWNER])),
        weights=tuple(draw(weight) for weight in (often, often, seldom, often, seldom, often)),
        expiry=draw(st.sampled_from([True, True, False])),
        changes=draw(st.booleans()),
        stock=draw(st.integers(0, 2)),
        tool=draw(st.sampled_from([False, False, False, True])),
        cancels=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
    )


# What is done


def carry_out(crowd: Crowd, plan: CrowdPlan, watched: Watched) -> None:
    """The whole example, from the first connection to a fresh start and stop at its end; raises Violation.

    ``watched``: what happened beside the operations goes there.
    """
    beginning = plan.beginning(crowd)
    crowd.begin(ROLES, len(plan.roles), beginning.settings)
    for number, role in enumerate(plan.roles):
        crowd.act(Connect(number, role))
    seen: dict[str, StartPoint] = {}
    doings = Doings(plan.members)
    companions = [partial(watch, crowd, watched.readings), partial(administrate, crowd, plan)]
    companions += [partial(cancel, crowd, plan, doings, watched.blows)] * plan.cancels
    companions += [partial(take_stock_backups, crowd, number) for number in plan.stock_sessions]
    companions += [partial(run_pg_basebackup, crowd)] * plan.tool
    crowd.rush([partial(act, crowd, plan, number, seen, doings) for number in range(plan.members)], companions)
    settle(crowd, plan)


def act(crowd: Crowd, plan: CrowdPlan, session: int, seen: dict[str, StartPoint], doings: Doings) -> None:
    """A member of the crowd; ``seen``: the start points that were returned last, by label."""
    chance = Random(f"{plan.seed}, {session}")
    for kind in chance.choices(KINDS, plan.weights, k=plan.rounds):
        if crowd.over.is_set():
            return
        operation = kind(plan, chance, session, chance.choice(plan.labels), seen)
        with doings.doing(session, operation):
            outcome = crowd.act(operation)
        if isinstance(operation, Start) and (point := start_point(operation, outcome)) is not None:
            seen[str(operation.label)] = point


def administrate(crowd: Crowd, plan: CrowdPlan) -> None:
    """Lets time pass, and changes what may be changed while the server runs."""
    choices: list[Operation] = [Advance(TTL // 2)] * (6 * plan.expiry)
    if plan.changes:
        choices += [SetLimit(None), SetLimit(1), SetLimit(2), *map(SetPolicy, StopPolicy)]
        choices += [make(role) for make in (Grant, Revoke) for role in ("alice", "carol")]
    chance = Random(plan.seed)
    while choices and not crowd.over.wait(chance.random() * PAUSE):
        crowd.act(chance.choice(choices))


def cancel(crowd: Crowd, plan: CrowdPlan, doings: Doings, blows: list[Blow]) -> None:
    """Cancels whatever one or the other member is doing: it takes place, or leaves no trace."""
    session, members = crowd.client.cluster.connect(), crowd.client.sessions[: plan.members]
    numbers = {member.pid: number for number, member in enumerate(members) if member}
    while not crowd.over.wait(PAUSE):
        with crowd.door.shared():  # who is alone there, is not disturbed
            for (pid,) in session.execute(BUSY, (list(numbers),)):
                with doings.staying(numbers[pid]) as operation:
                    if isinstance(operation, CANCELLED):
                        session.execute("SELECT pg_cancel_backend(%s)", (pid,))
                        blows.append(Blow(monotonic(), numbers[pid], "cancelled"))
                        break
    session.close()


def watch(crowd: Crowd, readings: list[Reading]) -> None:
    """Reads the view all the time: never may it show more live backups than are allowed."""
    session, view = crowd.client.cluster.connect(), str(crowd.client.implementation.view)
    while not crowd.over.is_set():
        with crowd.door.shared():
            live, ceiling = live_backups(session, view), crowd.ceiling
        readings.append(Reading(monotonic(), live, ceiling))
        if ceiling is not None and live > ceiling:
            raise Violation(f"the view showed {live} live backups at once, and the limit was {ceiling}")
    session.close()


# Coexistence


def take_stock_backups(crowd: Crowd, session: int) -> None:
    """Core's own backups in a session of their own: each is started and stopped, and meanwhile forces full pages."""
    probe = crowd.client.cluster.connect()
    while not crowd.over.is_set():
        succeed(crowd, StockStart(session, f"stock {session}"))
        forced = crowd.forces_full_pages(probe)
        succeed(crowd, StockStop(session))
        if not forced:
            raise Violation("core did not force full-page writes while pg_backup_start() held a backup")
    probe.close()


def run_pg_basebackup(crowd: Crowd) -> None:
    """pg_basebackup again and again; what it writes is thrown away."""
    options = ("--pgdata=-", "--format=tar", "--wal-method=none", "--checkpoint=fast")
    cluster = crowd.client.cluster
    while not crowd.over.is_set():
        process = start_program(cluster, "pg_basebackup", *options, *address(cluster))
        said = process.communicate(timeout=60)[1]
        if process.returncode != 0:
            raise Violation(f"pg_basebackup was disturbed: {said}")


# After the rush


def settle(crowd: Crowd, plan: CrowdPlan) -> None:
    """Everybody has ended: nothing may be left half done, and a fresh start and stop must work; raises Violation."""
    live = []
    for row in crowd.client.rows():
        if row.state in ("starting", "stopping"):
            raise Violation(f"nobody is at work any more, and the view shows {row}")
        live += [row.label] if row.state == "active" else []
    expect_forced(crowd, bool(live), f"after the rush, with {len(live)} live backups in the view")
    succeed(crowd, StockStart(plan.keeper, "keeper"))
    for label in live:
        succeed(crowd, Abort(plan.closer, label))
    expect_forced(crowd, True, "while pg_backup_start() holds a backup, and all of ours have been aborted")
    succeed(crowd, StockStop(plan.keeper))
    expect_forced(crowd, False, "after all backups have been stopped or aborted")
    for operation in (Start(plan.closer, "fresh"), Stop(plan.closer, "fresh"), ListBackups(plan.closer)):
        succeed(crowd, operation)


def expect_forced(crowd: Crowd, expected: bool, when: str) -> None:
    """Core's hidden counter is above zero, or it is not; raises Violation."""
    if crowd.forces_full_pages(crowd.client.admin) != expected:
        raise Violation(f"core {'does not force' if expected else 'still forces'} full-page writes {when}")


def succeed(crowd: Crowd, operation: Operation) -> None:
    """An operation that nothing others do may make fail; raises Violation."""
    outcome = crowd.act(operation)
    if not isinstance(outcome, Ok):
        said = crowd.client.history.events[-1].said
        raise Violation(f"{operation} failed, and nothing was in its way: {said}")
