"""Between the look and the act: an operation is held where it has looked at a backup, and meanwhile all changes.

Phases are held apart in ``test_interleavings.py``; these places lie within one, where the model has no boundary. So
the history is judged as a crowd's is: an order of the model's phases must explain it. What others do meanwhile is
drawn, and done one after the other, so that a failure is always the same, and is made smaller.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.clients.client import PATIENCE, Client, Violation
from harness.clients.crowd import Crowd
from harness.clients.implementation import DURABLE, Implementation
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes
from model.linearizability.linearize import Unexplained, linearize
from model.numbers import StartPoint
from model.operations import Abort, Advance, Connect, ListBackups, Operation, Renew, Start, Stop
from model.outcomes import Outcome, start_point
from model.state import initial
from properties.concurrency.recorded import calls_of
from properties.recording.tally import Tally
from properties.support.lockstep import ROLES
from properties.support.profiles import examples
from properties.support.servers import installed_server

pytestmark = pytest.mark.server

HELD_AT = {
    Start: ("start-checked",),
    Stop: ("backup-found", "stop-published"),
    Abort: ("backup-found", "abort-released"),
    Renew: ("backup-found",),
}
"""Where nobody else has to wait for the one that is held."""
REAPER = "reaper-expiring"
HELD, OTHER = 0, 1
"""Sessions, of one role."""
LABEL, WITNESS = "a", "of somebody else"
TTL = 10


class Plan(NamedTuple):
    """What happens in one example."""

    before: tuple[Operation, ...]
    held: Operation
    point: str
    fenced: bool
    """Does the one that is held name the backup that was started last?"""
    reaper_held: bool
    """Does nobody mark what is overdue meanwhile?"""
    meanwhile: tuple[Operation, ...]


def doings(session: int) -> list[Operation]:
    """What a session may do about the label."""
    timed: list[Operation] = [make(session, LABEL, ttl) for make in (Start, Renew) for ttl in (None, TTL)]
    return [*timed, Stop(session, LABEL), Abort(session, LABEL)]


STARTS = [Start(OTHER, LABEL, ttl) for ttl in (None, TTL)]
PASSING = [Advance(TTL // 2), Advance(TTL)]
MEANWHILE = [*doings(OTHER), *PASSING]
WITHOUT_REAPER = [one for one in MEANWHILE if not isinstance(one, Start)]
"""A start waits for the reaper, to replace something overdue, and for a worker."""
OVERDUE = Advance(TTL)
HELD_OPERATIONS = [(held, point) for held in doings(HELD) for point in HELD_AT[type(held)]]


def short_plans() -> list[Plan]:
    """All in which one thing happens meanwhile, or the backup is overdue, and then one."""
    return [
        Plan((start,), held, point, False, reaper_held, (*(OVERDUE,) * reaper_held, meanwhile))
        for start in STARTS
        for held, point in HELD_OPERATIONS
        for reaper_held in ((False,) if isinstance(held, Start) else (False, True))
        for meanwhile in (WITHOUT_REAPER if reaper_held else MEANWHILE)
    ]


def replaced_plans() -> list[Plan]:
    """All in which two others take a backup's place, one after the other: the second where the first was in memory."""
    turns: list[Operation] = [Stop(OTHER, LABEL), Start(OTHER, LABEL)] * 3
    return [
        Plan((Start(OTHER, LABEL), *turns[:ended]), held, point, False, False, tuple(turns[ended:upto]))
        for held, point in HELD_OPERATIONS
        for ended in (0, 1)
        for upto in (4, 5)
    ]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A backup that may have a deadline, an operation on it, and what may become of the backup before that acts."""
    before = draw(st.lists(st.sampled_from(MEANWHILE), max_size=2))
    held, point = draw(st.sampled_from(HELD_OPERATIONS))
    reaper_held = not isinstance(held, Start) and draw(st.booleans())
    others = st.sampled_from(WITHOUT_REAPER if reaper_held else MEANWHILE)
    meanwhile = draw(st.lists(others, min_size=1, max_size=4))
    start = draw(st.sampled_from(STARTS))
    overdue = (OVERDUE,) * reaper_held
    return Plan((start, *before), held, point, draw(st.booleans()), reaper_held, (*overdue, *meanwhile))


@pytest.fixture(scope="module")
def crowd(instrumented: Build, implementation: Implementation, instruments: None) -> Iterator[Crowd]:
    with installed_server(instrumented, implementation) as cluster:
        yield Crowd(cluster, implementation)


@pytest.fixture(scope="module")
def durable_crowd(instrumented: Build, instruments: None, durable_backups: None) -> Iterator[Crowd]:
    with installed_server(instrumented, DURABLE) as cluster:
        yield Crowd(cluster, DURABLE)


def test_whatever_happens_between_the_look_and_the_act_the_model_explains_it(crowd: Crowd, tally: Tally) -> None:
    look(crowd, tally)


def test_whatever_happens_between_the_look_and_the_act_about_durable_backups_the_model_explains_it(
    durable_crowd: Crowd, tally: Tally
) -> None:
    look(durable_crowd, tally)


def look(crowd: Crowd, tally: Tally) -> None:
    """Tries all short plans, those in which others take the place, and a number of longer ones."""
    for plan in (*short_plans(), *replaced_plans()):
        attempt(crowd, tally, plan)

    @settings(max_examples=examples(0.5))
    @given(plans())
    def check(plan: Plan) -> None:
        attempt(crowd, tally, plan)

    check()


def attempt(crowd: Crowd, tally: Tally, plan: Plan) -> None:
    """One plan; raises Violation."""
    with tally.example():
        client = crowd.client
        try:
            carry_out(crowd, plan)
            client.end()
            explain(crowd)
        except BaseException:
            tally.keep(client.history, failed=True)
            client.recover()
            raise
        finally:
            tally.steps += len(client.history.events)
        tally.keep(client.history, failed=False)


def carry_out(crowd: Crowd, plan: Plan) -> None:
    """The whole example; raises Violation.

    Beside it is a backup that nobody touches: it is under core's protection for as long as it is active.
    """
    client = crowd.client
    crowd.begin(ROLES, 2, client.implementation.design.settings)
    for session in (HELD, OTHER):
        client.perform(Connect(session, "alice"))
    client.perform(Start(OTHER, WITNESS))
    started = last_start([client.perform(operation) for operation in plan.before], plan.before)
    held = plan.held
    if plan.fenced and isinstance(held, Stop | Abort | Renew):
        held = replace(held, start_point=started)
    meet(client, held, plan)
    client.perform(ListBackups(OTHER))
    if not forced_full_page_writes(client.admin):
        raise Violation("core does not force full-page writes any more, and a backup is active that nobody has touched")
    client.perform(Abort(OTHER, WITNESS))


def meet(client: Client, held: Operation, plan: Plan) -> None:
    """One operation is held at its point, and the others happen meanwhile; raises Violation."""
    points = InjectionPoints(client.admin)
    points.attach(plan.point, LABEL, "hold")
    with ThreadPoolExecutor() as threads:
        futures = [threads.submit(client.perform, held)]
        try:
            if not points.arrived(plan.point, LABEL, over=futures[0].done):
                points.detach()  # it never comes there, and nobody else is to be held
            if plan.reaper_held:
                points.attach(REAPER)
            for operation in (*plan.meanwhile, ListBackups(OTHER)):
                futures.append(threads.submit(client.perform, operation))
                if plan.reaper_held and isinstance(operation, Advance):
                    points.arrived(REAPER, over=futures[-1].done)
                else:
                    futures[-1].result(PATIENCE)
            points.wakeup(plan.point)
            futures[0].result(PATIENCE)
        finally:
            points.detach()
        for future in futures:
            future.result(PATIENCE)


def last_start(outcomes: list[Outcome | None], operations: tuple[Operation, ...]) -> StartPoint | None:
    """The start point that was returned last."""
    found = [start_point(one, outcome) for one, outcome in zip(operations, outcomes, strict=True)]
    return next((point for point in reversed(found) if point is not None), None)


def explain(crowd: Crowd) -> None:
    """Raises Violation if no order of phases explains the history."""
    client, design = crowd.client, crowd.client.implementation.design
    answer = linearize(design, initial(design, ROLES, 2), calls_of(client.history))
    if isinstance(answer, Unexplained):
        raise Violation(
            "no order of the phases explains these operations:\n" + "\n".join(map(str, answer.window.calls))
        )
