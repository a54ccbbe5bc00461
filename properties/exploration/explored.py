"""Steps of an exploration as it is kept (``harness.schema.exploration``), as the model's operations again."""

from typing import get_args

import msgspec

from harness.schema.exploration import Counterexample, Move, Step
from harness.schema.run import Scalar
from model.design import Design, Settings
from model.operations import Operation
from model.state import Role, Session, initial
from model.steps import Cancel, CutOff, Lose, NextPhase, Situation
from model.steps import Step as ModelStep

OPERATIONS: dict[str, type[Operation]] = {kind.__name__: kind for kind in get_args(Operation)}
CUTS: dict[str, type[CutOff]] = {kind.__name__: kind for kind in (Cancel, Lose)}

FIRST_PHASES = ("reserve", "claim to stop", "claim to abort")
"""Of operations that have several."""


def operation_of(step: Step | Move) -> Operation | CutOff:
    """What a step is, or is a phase of."""
    if step.operation in CUTS:
        assert step.session is not None
        return CUTS[step.operation](step.session)
    return msgspec.convert(with_session(step), OPERATIONS[step.operation])


def with_session(step: Step | Move) -> dict[str, Scalar | dict[str, Scalar]]:
    """The arguments of its operation. A start that is rolled back has its session already."""
    own = {} if step.session is None or step.operation == "Rollback" else {"session": step.session}
    return {**own, **step.arguments}


def model_step(step: Step | Move) -> ModelStep:
    """The step of the model."""
    if step.phase and step.phase not in FIRST_PHASES and step.operation not in CUTS:
        assert step.session is not None
        return NextPhase(step.session)
    return operation_of(step)


def settings_of(one: Counterexample) -> Settings:
    """The settings of the beginning."""
    return msgspec.convert([one.settings[name] for name in Settings._fields], Settings)


def beginning_of(design: Design, one: Counterexample) -> Situation:
    """Where a history of the design begins."""
    roles = tuple(Role(role.name, role.superuser, role.execute, role.monitor, role.member_of) for role in one.roles)
    sessions = tuple(None if session.role is None else Session(session.role) for session in one.before.sessions)
    cluster = initial(design, roles, len(sessions), settings_of(one))._replace(sessions=sessions)
    return Situation(cluster, (None,) * len(sessions) if one.phases else ())
