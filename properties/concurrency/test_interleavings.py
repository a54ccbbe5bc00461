"""Chosen interleavings: whatever a few sessions do at once, in whatever order its phases follow each other.

All orders are tried, not a sample: the model enumerates them, and each is replayed on a server where every process
stops at the end of each phase until it is told to go on.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, permutations

import pytest

from harness.building.build import Build
from harness.clients.client import Violation
from harness.clients.implementation import DURABLE, Implementation
from harness.clients.phases import PhaseController
from harness.server.settings import STARTS_AT_ONCE
from model.design import SHARED as DESIGN
from model.design import Design
from model.interleave import Run, Schedule, interleavings
from model.operations import Abort, Advance, Start, Stop
from model.outcomes import Failed, SqlState
from model.transition import Pending, run
from properties.concurrency.interleavings import NAME_LABELS, ROLES, SESSION_ROLES, Scope, connections, scopes
from properties.concurrency.phase_by_phase import Replay
from properties.recording.tally import Tally
from properties.support.servers import installed_server

OTHERS = ("expiry", "raised limit", "lowered limit", "revoke")
PAIRS = [*combinations_with_replacement(NAME_LABELS, 2), *((kind, other) for kind in NAME_LABELS for other in OTHERS)]
TRIPLES = [*combinations_with_replacement(("start", "stop", "abort"), 3)]
REAPER_POINTS = ("reaper-expiring", "reaper-expired")


# The model's own


def test_every_order_of_the_phases_is_a_schedule() -> None:
    """Calls that do not meet each other have all their phases, so that the orders can be counted otherwise."""
    scope = Scope((), (), (("a", "active"), ("b", "active")), 3)
    calls = (Start(0, "c"), Stop(1, "a"), Abort(2, "b"))
    found = interleavings(DESIGN, scope.first(DESIGN), calls)
    assert set(found) == set(permutations([0, 0, 0, 1, 1, 1, 2, 2]))
    assert list(found) == sorted(found, key=lambda schedule: (len(schedule), schedule))
    for runs in found.values():
        ((*_, last),) = runs
        assert [(label, backup.state) for label, backup in last.cluster.backups] == [("a", "stopped"), ("c", "active")]


@pytest.mark.parametrize("kinds", TRIPLES, ids=" / ".join)
def test_calls_one_after_the_other_come_to_what_they_come_to_alone(kinds: Sequence[str]) -> None:
    for scope in scopes(kinds, ("absent", "active")):
        calls = scope.calls()
        found = interleavings(DESIGN, scope.first(DESIGN), calls)
        for order in permutations(range(len(calls))):
            cluster, outcomes = scope.first(DESIGN), {}
            for number in order:
                ((cluster, outcomes[number]),) = run(DESIGN, cluster, calls[number])
            (one,) = (
                runs
                for schedule, (runs,) in found.items()
                if sorted(schedule, key=order.index) == [*schedule] and tuple(dict.fromkeys(schedule)) == order
            )
            assert one[-1].cluster == cluster
            assert {step.call: step.result for step in one if not isinstance(step.result, Pending)} == outcomes


def test_only_calls_at_once_meet_someone_at_work() -> None:
    """No order of whole operations has this outcome: phases are needed to see it."""
    scope = Scope(("start", "stop"), ("a", "a"), (), 1)
    busy = {
        schedule
        for schedule, runs in scope.interleavings(DESIGN).items()
        if any(step.result == Failed(SqlState.OBJECT_IN_USE) for run in runs for step in run)
    }
    assert busy == {(0, 1, 0, 0), (0, 0, 1, 0)}


# The server's


@pytest.fixture(scope="module")
def phases(instrumented: Build, implementation: Implementation, instruments: None) -> Iterator[PhaseController]:
    with installed_server(instrumented, implementation, STARTS_AT_ONCE) as cluster:
        yield PhaseController(cluster, implementation)


@pytest.fixture(scope="module")
def durable_phases(
    instrumented: Build, instruments: None, durable_backups: None, forgetful: None
) -> Iterator[PhaseController]:
    with installed_server(instrumented, DURABLE, STARTS_AT_ONCE) as cluster:
        yield PhaseController(cluster, DURABLE)


@pytest.fixture
def controller(phases: PhaseController) -> Iterator[PhaseController]:
    """With all sessions connected."""
    connect(phases)
    yield phases
    phases.client.end()


@pytest.fixture
def durable_controller(durable_phases: PhaseController) -> Iterator[PhaseController]:
    """The same, where backups survive restarts."""
    connect(durable_phases)
    yield durable_phases
    durable_phases.client.end()


def connect(controller: PhaseController) -> None:
    controller.client.begin(ROLES, len(SESSION_ROLES), controller.client.implementation.design.settings)
    for connection in connections():
        controller.client.perform(connection)


Case = tuple[Scope, Schedule, list[Run]]


def cases_of(design: Design, among: Sequence[Scope]) -> list[Case]:
    """Every schedule of these scopes, short ones first, so that a failure shows a shortest one."""
    cases = [(scope, schedule, runs) for scope in among for schedule, runs in scope.interleavings(design).items()]
    return sorted(cases, key=lambda case: (len(case[1]), case[0].limit))


def replay(controller: PhaseController, tally: Tally, cases: Sequence[Case], reaper_at: str | None = None) -> None:
    """Each of them on the server."""
    design = controller.client.implementation.design
    for position, (scope, schedule, runs) in enumerate(cases):
        try:
            with tally.example():
                case = scope.case(design, schedule, runs, reaper_at)
                Replay(controller, case).play(exactly=position == len(cases) - 1)
                tally.steps += len(schedule)
                tally.interleavings[scope.order(f"the reaper held at {reaper_at}" if reaper_at else "")] += 1
        except BaseException as failure:
            tally.keep(controller.client.history, failed=True)
            recover(controller)
            if isinstance(failure, Violation):
                again(controller, cases[max(position - 1, 0) : position + 1], reaper_at)
            raise


def again(controller: PhaseController, cases: Sequence[Case], reaper_at: str | None) -> None:
    """On a new server, to see which of these schedules fails by itself: one may have suffered from the one before."""
    design = controller.client.implementation.design
    for scope, schedule, runs in cases:
        try:
            Replay(controller, scope.case(design, schedule, runs, reaper_at)).play(exactly=True)
        except BaseException:
            recover(controller)
            raise


def recover(controller: PhaseController) -> None:
    """Makes all new after a failure."""
    controller.release_all()
    controller.client.recover()
    connect(controller)


@pytest.mark.server
@pytest.mark.parametrize("kinds", PAIRS, ids=" / ".join)
def test_two_at_once(kinds: tuple[str, ...], profile: str, controller: PhaseController, tally: Tally) -> None:
    states = ("absent", "active") if profile == "dev" else ("absent", "active", "stopped")
    replay(controller, tally, cases_of(controller.client.implementation.design, scopes(kinds, states)))


@pytest.mark.server
@pytest.mark.parametrize("reaper_at", REAPER_POINTS)
@pytest.mark.parametrize("kind", ["stop", "abort", "renew"])
def test_a_backup_has_expired_for_everybody_before_the_reaper_has_noticed(
    kind: str, reaper_at: str, controller: PhaseController, tally: Tally
) -> None:
    """Expiry is one phase of the model; the reaper takes three, and is held there until all others have ended."""
    replay(
        controller,
        tally,
        cases_of(controller.client.implementation.design, scopes((kind, "expiry"), ("absent", "active", "stopped"))),
        reaper_at,
    )


@pytest.mark.server
@pytest.mark.parametrize("kinds", TRIPLES, ids=" / ".join)
def test_three_at_once(kinds: tuple[str, ...], profile: str, controller: PhaseController, tally: Tally) -> None:
    everything = scopes(kinds, ("absent", "active"))
    small = [scope for scope in everything if len({*scope.labels}) == 1 or (profile == "gate" and scope.limit == 1)]
    design = controller.client.implementation.design
    cases = cases_of(design, everything if profile == "nightly" else small)
    replay(controller, tally, cases)
    if left := len(cases_of(design, everything)) - len(cases):
        tally.notes.append(f"{left:,} more, about two labels, are for longer profiles")


# Where backups survive restarts, and each phase that matters is in a file first


@pytest.mark.server
@pytest.mark.parametrize("kinds", PAIRS, ids=" / ".join)
def test_two_at_once_about_durable_backups(
    kinds: tuple[str, ...], profile: str, durable_controller: PhaseController, tally: Tally
) -> None:
    """... some of which have crossed a restart."""
    everything = scopes(kinds, ("absent", "active", "carried"))
    if profile == "nightly":
        everything += [scope for scope in scopes(kinds, ("absent", "active", "stopped")) if scope not in everything]
    limit = min(scope.limit for scope in everything)
    small = [scope for scope in everything if len({*scope.labels} - {""}) == 1 and scope.limit == limit]
    cases = cases_of(DURABLE.design, everything if profile == "nightly" else small)
    replay(durable_controller, tally, [case for case in cases if not holds_the_clock(*case)])


def holds_the_clock(scope: Scope, schedule: Schedule, runs: Sequence[Run]) -> bool:
    """Is time to pass while a stop tells core of the end? A test can not move the clock then.

    What is in the state file and in the registry is of one time: the lock on the file is held, and the clock waits.
    """
    calls, counted = scope.calls(), [label for label, state in scope.given if state == "active"]
    return any(
        isinstance(calls[number], Advance)
        and any(
            isinstance(call, Stop) and call.label in counted and len(steps) == 2 and isinstance(steps[1], Pending)
            for call, steps in (
                (call, [step.result for step in runs[0][:position] if step.call == other])
                for other, call in enumerate(calls)
            )
        )
        for position, number in enumerate(schedule)
    )


@pytest.mark.server
@pytest.mark.parametrize("kinds", TRIPLES, ids=" / ".join)
def test_three_at_once_about_durable_backups(
    kinds: tuple[str, ...], profile: str, durable_controller: PhaseController, tally: Tally
) -> None:
    if profile == "nightly":
        among = scopes(kinds, ("absent", "active"))
    else:
        among = [scope for scope in scopes(kinds, ("active",)) if len({*scope.labels}) == 1]
    replay(durable_controller, tally, cases_of(DURABLE.design, among))
