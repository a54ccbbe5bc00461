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
from harness.clients.client import PATIENCE, Violation
from harness.clients.crowd import Crowd
from harness.clients.implementation import DURABLE, Implementation
from harness.server.injection_points import InjectionPoints
from model.linearizability.linearize import Call, Unexplained, linearize
from model.numbers import StartPoint
from model.operations import Abort, Advance, Connect, ListBackups, Operation, Renew, Start, Stop
from model.outcomes import Outcome, start_point
from model.state import initial
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
HELD, OTHER = 0, 1
"""Sessions, of one role."""
TTL = 10


class Plan(NamedTuple):
    """What happens in one example; a fence is by number, of the starts so far."""

    before: tuple[Operation, ...]
    held: Operation
    point: str
    fenced: bool
    """Does the one that is held name the backup that was started last?"""
    meanwhile: tuple[Operation, ...]


def doings(session: int) -> st.SearchStrategy[Operation]:
    """One of the operations that a session may do about the label."""
    ttl = st.sampled_from([None, TTL])
    return st.one_of(
        ttl.map(lambda t: Start(session, "a", t)),
        st.just(Stop(session, "a")),
        st.just(Abort(session, "a")),
        ttl.map(lambda t: Renew(session, "a", t)),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A backup that may have a deadline, an operation on it, and what may become of the backup before that acts."""
    passing: st.SearchStrategy[Operation] = st.sampled_from([Advance(TTL // 2), Advance(TTL), ListBackups(OTHER)])
    others = doings(OTHER) | passing
    before = draw(st.lists(others, max_size=4))
    held = draw(doings(HELD))
    point = draw(st.sampled_from(HELD_AT[type(held)]))
    return Plan(tuple(before), held, point, draw(st.booleans()), tuple(draw(st.lists(others, max_size=5))))


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
    """Tries a number of plans."""

    @settings(max_examples=examples(1))
    @given(plans())
    def check(plan: Plan) -> None:
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

    check()


def carry_out(crowd: Crowd, plan: Plan) -> None:
    """The whole example; raises Violation."""
    client = crowd.client
    crowd.begin(ROLES, 2, client.implementation.design.settings)
    for session in (HELD, OTHER):
        client.perform(Connect(session, "alice"))
    started = last_start([client.perform(operation) for operation in plan.before], plan.before)
    held = plan.held
    if plan.fenced and isinstance(held, Stop | Abort | Renew):
        held = replace(held, start_point=started)
    points = InjectionPoints(client.admin)
    points.attach(plan.point, "a", "hold")
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(client.perform, held)
        try:
            if not points.arrived(plan.point, "a", over=future.done):
                points.detach()  # it never comes there, and nobody else is to be held
            for operation in plan.meanwhile:
                client.perform(operation)
        finally:
            points.detach()
        future.result(PATIENCE)
    client.perform(ListBackups(OTHER))


def last_start(outcomes: list[Outcome | None], operations: tuple[Operation, ...]) -> StartPoint | None:
    """The start point that was returned last."""
    found = [start_point(one, outcome) for one, outcome in zip(operations, outcomes, strict=True)]
    return next((point for point in reversed(found) if point is not None), None)


def explain(crowd: Crowd) -> None:
    """Raises Violation if no order of phases explains the history."""
    client, design = crowd.client, crowd.client.implementation.design
    calls = [Call(event.operation, event.invoked, event.completed, event.outcome) for event in client.history.events]
    answer = linearize(design, initial(design.settings, ROLES, 2), calls)
    if isinstance(answer, Unexplained):
        raise Violation(
            "no order of the phases explains these operations:\n" + "\n".join(map(str, answer.window.calls))
        )
