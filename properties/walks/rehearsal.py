"""The conformance walk without a server: where does it go? What a walk does depends on its draws and the model only."""

from typing import ClassVar, NamedTuple

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from harness.clients.implementation import Implementation
from model.operations import Operation
from model.outcomes import Outcome
from model.state import Cluster, initial
from model.transition import run
from properties.support.lockstep import ROLES, SESSIONS
from properties.walks.conformance import Walk

REPEATABLE = settings(derandomize=True, database=None, deadline=None)
"""The same examples each time."""
STEPS = 40
"""Of a walk, at most."""


class Step(NamedTuple):
    """One operation of a walk."""

    operation: Operation
    outcome: Outcome
    after: Cluster


class Rehearsal(Walk):
    """A walk on the model alone."""

    walks: ClassVar[list[list[Step]]] = []
    """All of the same class."""

    def __init_subclass__(cls) -> None:
        cls.walks = []

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.walks.append(self.steps)

    @property
    def model(self) -> Cluster:
        return self.steps[-1].after if self.steps else initial(self.design, ROLES, SESSIONS)

    def step(self, operation: Operation) -> None:
        """One step; where the server may do either, it is the first."""
        (after, outcome), *_ = run(self.design, self.model, operation)
        self.steps.append(Step(operation, outcome, after))

    def probe_core(self) -> None:
        """There is no core to look at."""


def rehearse(implementation: Implementation, examples: int) -> list[list[Step]]:
    """About so many walks."""

    class Machine(Rehearsal):
        pass

    Machine.implementation = implementation
    run_state_machine_as_test(Machine, settings=settings(REPEATABLE, max_examples=examples, stateful_step_count=STEPS))
    return Machine.walks
