"""What an exploration has found, to be pasted: counterexamples as scripts for psql and the isolation tester."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.clients.designs import speaking, why_not
from harness.clients.implementation import Implementation
from harness.clients.phases import BOUNDARIES
from harness.running.results import recorded
from harness.schema import counterexample as schema
from harness.schema.exploration import Counterexample, Design, Exploration, Judgement, Move, Promise, Step
from harness.schema.run import Scalar, Server
from model.numbers import StartPoint
from model.operations import Abort, Start, Stop
from properties.exploration.explored import CUTS, FIRST_PHASES
from properties.exploration.statements import statements
from properties.recording.isolation_spec import isolation_spec
from properties.recording.isolation_steps import UntellableError
from properties.recording.psql_script import psql_script

FOLDER = "counterexamples"
SET_BY = {
    "max_backups": "SetLimit",
    "ttl": "SetTtl",
    "stop_policy": "SetPolicy",
    "result_retention": "SetRetention",
    "max_results": "SetResults",
}
"""The operations that change settings."""

POINTS: dict[str, str] = {
    "reserve": BOUNDARIES[Start][0],
    "take start point": BOUNDARIES[Start][1],
    "claim to stop": BOUNDARIES[Stop][0],
    "end backup": BOUNDARIES[Stop][1],
    "claim to abort": BOUNDARIES[Abort][0],
}
"""Where an operation waits after a phase that is not its last."""


def write_scripts(folder: Path, results: Exploration) -> None:
    """Writes the scripts of every counterexample; raises OSError."""
    designs = {one.name: one for one in results.designs}
    promises = {one.name: one for one in results.promises}
    (folder / FOLDER).mkdir()
    for one in results.judgements:
        if one.counterexample is not None:
            told = script(one, one.counterexample, designs[one.design], promises[one.promise])
            for suffix, text in texts(told):
                name = f"{one.design}.{one.promise}{suffix}"
                (folder / FOLDER / name).write_text(text, encoding="utf-8")


def texts(one: schema.Counterexample) -> Iterator[tuple[str, str]]:
    """The endings of the files, and what is in them."""
    yield ".sql", psql_script(one)
    try:
        yield ".spec", isolation_spec(one)
    except UntellableError:
        return


def script(judgement: Judgement, found: Counterexample, design: Design, promise: Promise) -> schema.Counterexample:
    """A counterexample, as those that are found on a server are kept."""
    by, steps = speaking(design.name), tuple(told_steps(speaking(design.name), found))
    why = why_not(design.name)
    note = f"\n(There is {why}. These are the calls of {by.name}, which need not end like this.)" if why else ""
    return schema.Counterexample(
        promise=promise.sentence,
        found=f"the model of the design {design.name} breaks {promise.name}{note}",
        failed=len(steps),
        implementation=recorded(by),
        server=Server(version=""),
        flavour="instrumented" if by.prepare_instruments else "",
        roles=found.roles,
        sessions=len(found.before.sessions),
        settings=found.settings,
        points=tuple(dict.fromkeys(place(step) for step in found.steps if waits(step))),
        steps=steps,
    )


def told_steps(by: Implementation, found: Counterexample) -> Iterator[schema.Step]:
    """The connections and settings that it begins with, and its steps."""
    named = {step.session for step in found.steps}
    for number, session in enumerate(found.before.sessions):
        if session.role is not None and number in named:
            yield told(by, Step(number=0, session=number, operation="Connect", arguments={"role": session.role},
                                outcome="ok", after=found.before), session.role, ())  # fmt: skip
    if any(step.operation == "Advance" for step in found.steps):
        for name, value in found.settings.items():
            if name in by.settings and getattr(by.design.settings, name) != value:
                yield told(by, Step(number=0, operation=SET_BY[name], arguments={name: value}, outcome="ok",
                                    after=found.before), None, ())  # fmt: skip
    for number, step in enumerate(found.steps):
        before = found.before if number == 0 else found.steps[number - 1].after
        role = None if step.session is None else before.sessions[step.session].role
        yield told(by, step, role, found.steps[:number])


def told(by: Implementation, step: Step, role: str | None, earlier: Sequence[Step]) -> schema.Step:
    """A step, as those of a server are kept."""
    sql = () if phase_of(step) > 1 else statements(by, step, begun(step, earlier), numbered)
    return schema.Step(
        who=who(step, role),
        operation=step.operation,
        arguments=arguments(step),
        phase=phase_of(step),
        until=place(step)[0] if waits(step) else None,
        sql=sql,
        expected=outcome(step),
        came=outcome(step),
    )


def arguments(step: Step) -> dict[str, Scalar | dict[str, Scalar]]:
    """Those of its operation. To cut off an operation is an administrator's."""
    own = {} if step.session is None or step.operation in CUTS else {"session": step.session}
    return {**own, **step.arguments}


def who(step: Step | Move, role: str | None) -> str:
    """Who does it."""
    if step.session is None:
        return "the world" if step.operation in ("Restart", "Advance") else "an administrator"
    return "an administrator" if step.operation in CUTS else f"session {step.session} ({role or '-'})"


def phase_of(step: Step | Move) -> int:
    """Which phase it is, from 1; 0: all of it, at once."""
    if not step.phase or step.operation in CUTS:
        return 0
    return 1 if step.phase in FIRST_PHASES else 2


def waits(step: Step | Move) -> bool:
    """Does its operation wait for its next phase then?"""
    return step.phase in POINTS and step.operation not in CUTS


def place(step: Step | Move) -> tuple[str, str | None]:
    """Where it waits: the point, and the label."""
    return POINTS[step.phase], label_of(step)


def label_of(step: Step | Move) -> str | None:
    """What it is about."""
    start = step.arguments.get("start")
    label = (start if isinstance(start, dict) else step.arguments).get("label")
    return None if label is None else str(label)


def outcome(step: Step) -> str:
    """What comes of it."""
    return f"waits at {POINTS[step.phase]}" if waits(step) else step.outcome


def begun(step: Step, earlier: Sequence[Step]) -> Step | None:
    """The first phase of what its session is in the middle of."""
    return next((one for one in reversed(earlier) if one.session == step.session and phase_of(one) == 1), None)


def numbered(_label: str | None, number: StartPoint) -> str:
    """The variable with the token of a start."""
    return f"start_{number}_token"
