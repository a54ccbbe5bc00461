"""A counterexample is done again on a server, with today's model beside it."""

from dataclasses import dataclass

from harness.clients.client import Client, Violation
from harness.clients.implementation import Implementation
from harness.clients.phases import PhaseController
from harness.machine.postgres import SetupError
from harness.schema.counterexample import Counterexample, Step
from harness.server.cluster import Cluster, ClusterError
from harness.server.injection_points import EXPIRING
from harness.server.session import SqlError
from model.interleave import interleavings
from model.operations import Operation
from model.state import Cluster as Model
from model.state import Role, initial
from model.transition import run
from properties.concurrency.phase_by_phase import Case, Replay
from properties.recording.tally import Tally
from properties.support.counterexamples import operation_of, steps, tried


@dataclass(frozen=True)
class Again:
    """What came this time."""

    steps: tuple[Step, ...]
    failed: int | None = None
    """The number of the step that failed; None: every one came as expected."""
    found: str = ""
    """What disagrees there."""


def try_again(one: Counterexample, case: Case | None, cluster: Cluster, implementation: Implementation) -> Again:
    """Does it again on a server with the implementation; ``case``: see ``case_of``."""
    if case is not None:
        return by_phases(PhaseController(cluster, implementation), case)
    client, first = Client(cluster, implementation), beginning(one, implementation)
    try:
        violation = tried(client, [*map(operation_of, one.steps)], Tally(), first.roles, len(first.sessions))
    except (SqlError, ClusterError, TimeoutError) as error:
        return broken(tuple(steps(client)), error)
    return Again(tuple(steps(client))) if violation is None else failing(violation)


def beginning(one: Counterexample, implementation: Implementation) -> Model:
    """Where the model begins: nobody is connected, and the settings are the design's."""
    roles = tuple(Role(role.name, role.superuser, role.execute, role.monitor, role.member_of) for role in one.roles)
    return initial(implementation.design, roles, one.sessions)


def failing(violation: Violation) -> Again:
    """What a violation says."""
    again = violation.counterexample
    return Again((), 0, f"{violation}") if again is None else Again(again.steps, again.failed, again.found)


def broken(done: tuple[Step, ...], error: Exception) -> Again:
    """The server did not go on."""
    return Again(done, len(done), f"the server does not go on: {error}")


# Phase by phase


def case_of(one: Counterexample, implementation: Implementation) -> Case | None:
    """The schedule, with what may come of it; None: it has no phases.

    Raises SetupError if the design has no such schedule.
    """
    if not any(step.phase for step in one.steps):
        return None
    design, first = implementation.design, beginning(one, implementation)
    cluster = first
    before = [operation_of(step) for step in one.steps if not step.phase]
    phases = [operation_of(step) for step in one.steps if step.phase]
    calls: list[Operation] = list(dict.fromkeys(phases))
    schedule = tuple(map(calls.index, phases))
    for operation in before:
        cluster = run(design, cluster, operation)[0][0]
    runs = interleavings(design, cluster, calls).get(schedule)
    if runs is None:
        raise SetupError(
            f"In the design {design.name} these operations have other phases than they had in "
            f"{one.implementation.design.get('name')}: name another --implementation, or find it again."
        )
    reaper_at = next((point for point, _ in one.points if point in EXPIRING), None)
    return Case(first, tuple(before), tuple(calls), schedule, tuple(runs), reaper_at)


def by_phases(controller: PhaseController, case: Case) -> Again:
    """Takes the phases in their order."""
    client = controller.client
    client.begin(case.first.roles, len(case.first.sessions), case.first.settings)
    replay = Replay(controller, case)
    try:
        replay.play(exactly=True)
    except Violation as violation:
        return failing(violation)
    except (SqlError, ClusterError, TimeoutError) as error:
        return broken(tuple(replay.done()), error)
    finally:
        controller.release_all()
        controller.threads.shutdown()
    return Again(tuple(replay.done()))
