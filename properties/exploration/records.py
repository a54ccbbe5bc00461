"""What an exploration has found, as it is kept in ``exploration.json``."""

from collections.abc import Iterator
from dataclasses import asdict

from harness.clients.history import describe
from harness.schema import exploration as schema
from harness.schema.counterexample import Role
from harness.schema.run import Scalar
from model.axes import point
from model.design import Design
from model.explore import History, beginning
from model.outcomes import Failed, Ok, StopRow
from model.promises import PROMISES, Promise
from model.scope import Scope
from model.state import Backup, Cluster, Session
from model.steps import CutOff, NextPhase, Result, Situation, Step, phase, words
from model.transition import Pending

NOTHING_TOLD = "nobody is told"


def designed(design: Design) -> schema.Design:
    """A design with its axes and its claims."""
    claims = [promise.name for promise in PROMISES if promise.claimed_by(design)]
    return schema.Design(name=design.name, axes=point(design), claims=tuple(claims))


def promised(promise: Promise) -> schema.Promise:
    """A promise."""
    about = tuple([kind.__name__ for kind in promise.about])
    return schema.Promise(name=promise.name, sentence=promise.sentence, about=about)


def roles(cluster: Cluster) -> tuple[Role, ...]:
    """The roles of a cluster."""
    return tuple([Role(**role._asdict()) for role in cluster.roles])


def counterexample(scope_name: str, scope: Scope, path: History) -> schema.Counterexample:
    """A history that breaks a promise."""
    first = beginning(scope, None)
    return schema.Counterexample(
        scope=scope_name,
        phases=scope.phases,
        roles=roles(first.cluster),
        settings=first.cluster.settings._asdict(),
        before=state(first, first.cluster),
        steps=tuple(steps(first, path)),
    )


def steps(first: Situation, path: History) -> Iterator[schema.Step]:
    """The steps of a history, each with the state afterwards."""
    before = first
    for number, (step, result, after) in enumerate(path, start=1):
        yield schema.Step(
            number=number,
            session=getattr(step, "session", None),
            operation=name_of(before, step),
            arguments=arguments(before, step),
            phase=phase_of(before, step, result),
            outcome=told(result),
            after=state(after, first.cluster),
        )
        before = after


def name_of(before: Situation, step: Step) -> str:
    """The name of the operation that a step is of, or of how it cuts one off."""
    pending = pending_of(before, step)
    return type(step if pending is None else pending.operation).__name__


def arguments(before: Situation, step: Step) -> dict[str, Scalar | dict[str, Scalar]]:
    """Those of the operation, without its session."""
    pending = pending_of(before, step)
    found = asdict(step if pending is None else pending.operation)
    return {name: value for name, value in found.items() if name != "session"}


def pending_of(before: Situation, step: Step) -> Pending | None:
    """The operation whose next phase a step is; None: it is none."""
    return before.under_way[step.session] if isinstance(step, NextPhase) else None


def phase_of(before: Situation, step: Step, result: Result) -> str:
    """Which phase of its operation a step is; how far the operation was that it cuts off."""
    if isinstance(step, CutOff):
        cut = before.under_way[step.session]
        return f"before {words(cut)}" if cut is not None else ""
    return phase(pending_of(before, step), result)


def told(result: Result) -> str:
    """What its caller is told, in words."""
    match result:
        case None:
            return NOTHING_TOLD
        case Pending():
            return "..."
        case Ok(StopRow() as row):
            again = ", again" if row.repeated else ""
            return f"ok, the backup of start {row.start_point}{again}{'' if row.restorable else ', not restorable'}"
        case Ok(tuple() as rows):
            return f"ok, shows {', '.join(f'{row.label} {row.state}' for row in rows) or 'nothing'}"
        case Ok() | Failed():
            return describe(result)


def state(situation: Situation, first: Cluster) -> schema.State:
    """A situation, beside the cluster that it all began with."""
    cluster, under_way = situation
    settings, was = cluster.settings._asdict(), first.settings._asdict()
    amid = under_way or (None,) * len(cluster.sessions)
    return schema.State(
        now=cluster.now,
        core=cluster.running_backups,
        backups=tuple([kept(label, backup) for label, backup in cluster.backups]),
        sessions=tuple([connected(one, pending) for one, pending in zip(cluster.sessions, amid, strict=True)]),
        settings={name: value for name, value in settings.items() if value != was[name]},
        roles=() if cluster.roles == first.roles else roles(cluster),
    )


def kept(label: str, backup: Backup) -> schema.Backup:
    """A backup."""
    return schema.Backup(
        label=label,
        state=backup.state.value,
        owner=backup.owner,
        start_point=backup.start_point,
        expires_at=backup.expires_at,
        forget_at=backup.forget_at,
        restorable=backup.restorable,
        carried=backup.carried,
        replaces=backup.before.state.value if backup.before else None,
    )


def connected(session: Session | None, pending: Pending | None) -> schema.Session:
    """A session, and what it is in the middle of."""
    stock = session.stock.start_point if session is not None and session.stock is not None else 0
    if pending is None:
        return schema.Session(role=session and session.role, stock=stock)
    return schema.Session(
        role=session and session.role,
        stock=stock,
        amid=type(pending.operation).__name__,
        on=pending.operation.label,
        next_phase=words(pending),
    )
