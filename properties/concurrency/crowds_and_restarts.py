"""A crowd whose server goes down in the middle of what it does, and which goes on when its backups are back."""

from functools import partial
from random import Random
from time import monotonic, sleep

from hypothesis import strategies as st

from harness.clients.crowd import Crowd
from harness.clients.history import Event
from harness.server import durable
from model.design import StopPolicy
from model.numbers import StartPoint
from model.operations import Connect, ListBackups, Restart, RestartKind, Start, Stop
from model.outcomes import Ok, start_point
from properties.concurrency.crowds import KINDS, LABELS, CrowdPlan, Doings, act, expect_forced, settle
from properties.recording.timeline import Watched
from properties.support.lockstep import ROLES

HOWS: tuple[RestartKind, ...] = tuple(RestartKind)

SHORTEST, LONGEST = 0.05, 0.15
"""Seconds from the first operation to the end of the server."""
ENOUGH = 2_000
"""Operations that a member has in mind before: more than there is time for."""


@st.composite
def plans(draw: st.DrawFn) -> CrowdPlan:
    """The first half of the members is there before the restart, the other half after it."""
    often, seldom = st.integers(1, 4), st.integers(1, 2)
    return CrowdPlan(
        members=2 * draw(st.integers(4, 8)),
        rounds=20,
        labels=LABELS[: draw(st.sampled_from([3, 2, 1]))],
        limit=draw(st.sampled_from([1, 2, None, None])),
        policy=draw(st.sampled_from([StopPolicy.ANY, StopPolicy.OWNER])),
        weights=tuple(draw(weight) for weight in (often, often, seldom, often, seldom, often)),
        expiry=True,  # though no time passes
        changes=False,
        stock=0,
        tool=False,
        cancels=False,
        seed=draw(st.integers(0, 999)),
    )


def carry_out(crowd: Crowd, plan: CrowdPlan, watched: Watched) -> None:
    """The whole example; raises Violation."""
    beginning, half, seen = plan.beginning(crowd), plan.members // 2, dict[str, StartPoint]()
    crowd.begin(ROLES, len(plan.roles), beginning.settings)
    roles = [*enumerate(plan.roles)]
    for number, role in roles[:half]:
        crowd.act(Connect(number, role))
    crowd.rush(
        [partial(act_until_cut_off, crowd, plan, number, seen) for number in range(half)],
        [partial(bring_down, crowd, plan)],
    )
    come_up(crowd, plan)
    for number, role in roles[half:]:
        crowd.act(Connect(number, role))
    crowd.act(ListBackups(plan.closer))
    for label in plan.labels[1:]:
        crowd.act(Stop(plan.closer, label))
    doings = Doings(plan.members)
    crowd.rush([partial(act, crowd, plan, number, seen, doings) for number in range(half, plan.members)])
    settle(crowd, plan)


def act_until_cut_off(crowd: Crowd, plan: CrowdPlan, session: int, seen: dict[str, StartPoint]) -> None:
    """A member that is there before."""
    chance = Random(f"{plan.seed}, {session}")
    for kind in chance.choices(KINDS, plan.weights, k=ENOUGH):
        operation = kind(plan, chance, session, chance.choice(plan.labels), seen)
        outcome = crowd.act(operation)
        if outcome is None:
            return
        if isinstance(operation, Start) and (point := start_point(operation, outcome)) is not None:
            seen[str(operation.label)] = point


def how(plan: CrowdPlan) -> RestartKind:
    """How the server goes down."""
    return HOWS[plan.seed % len(HOWS)]


def bring_down(crowd: Crowd, plan: CrowdPlan) -> None:
    """The server goes down, whatever anybody is doing."""
    sleep(Random(plan.seed).uniform(SHORTEST, LONGEST))
    restart = Event(Restart(how(plan)), "the world", monotonic(), sql=[f"-- the server is restarted ({how(plan)})"])
    crowd.client.history.events.append(restart)
    crowd.client.cluster.go_down(how(plan))


def come_up(crowd: Crowd, plan: CrowdPlan) -> None:
    """It comes up again, with its backups; raises Violation."""
    client = crowd.client
    restart = next(event for event in client.history.events if isinstance(event.operation, Restart))
    client.close_all()
    client.connect_administrators(durable.start(client.cluster))
    restart.completed, restart.outcome = monotonic(), Ok()
    client.compare_clock()
    live = [row.label for row in client.rows() if row.state == "active"]
    expect_forced(crowd, bool(live), f"after the restart, with {len(live)} live backups in the view")
