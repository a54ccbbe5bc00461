"""Steps of an exploration as it is kept (``harness.schema.exploration``), as the model's operations again."""

from typing import get_args

import msgspec

from harness.schema.exploration import Counterexample, Move, Step
from harness.schema.run import Scalar
from model.design import Design, Settings
from model.explore import History, beginning
from model.menu import Move as ModelMove
from model.operations import Operation
from model.scope import Scope
from model.state import Role, Session, initial
from model.steps import Cancel, CutOff, Lose, NextPhase, Situation, take
from model.steps import Step as ModelStep
from properties.exploration.records import state, told

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


def history_of(scope: Scope, one: Counterexample) -> History:
    """The same history as the model has it."""
    first = situation = beginning(scope, None)
    path: list[ModelMove] = []
    for kept in one.steps:
        step = model_step(kept)
        ways = [ModelMove(step, result, after) for after, result in take(scope.design, situation, step)]
        path.append(next(way for way in ways if is_kept(way, kept, first)))
        situation = path[-1].situation
    return tuple(path)


def is_kept(way: ModelMove, kept: Step, first: Situation) -> bool:
    """Does it come to what was kept?"""
    return told(way.result) == kept.outcome and state(way.situation, first.cluster) == kept.after
