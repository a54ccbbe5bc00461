"""Operations that a restart cuts off between two of their phases, and what the model says there is afterwards."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

from harness.clients.client import PATIENCE, Client, Violation, interval, with_values
from harness.clients.history import Event
from harness.clients.implementation import UNFENCED, Implementation
from harness.server.injection_points import InjectionPoints
from harness.server.probes import lowered_too_often
from harness.server.session import Row
from harness.server.wal import plain_lsn
from model.design import Design
from model.operations import Abort, Connect, ListBackups, Operation, Renew, Restart, RestartKind, Start, Stop
from model.scope import ROOT
from model.state import Cluster
from model.transition import Pending, give_up, invoke, resume, run, view
from properties.support.lockstep import Lockstep

LABEL, TTL = "a", 10
HELD, LATER = 0, 1
"""Sessions: the one whose operation is cut off, and one that comes when the server is up again."""

OPERATIONS: Mapping[str, Operation] = {
    "start": Start(HELD, LABEL, TTL),
    "stop": Stop(HELD, LABEL),
    "abort": Abort(HELD, LABEL),
    "renew": Renew(HELD, LABEL, 3 * TTL),
}

GIVEN: Mapping[str, tuple[Operation, ...]] = {
    "absent": (),
    "stopped": (Start(HELD, LABEL, TTL), Stop(HELD, LABEL)),
    "active": (Start(HELD, LABEL, TTL),),
    "carried": (Start(HELD, LABEL, TTL), Restart(RestartKind.CRASH), Connect(HELD, ROOT.name)),
}
"""What there may be under the label before, and how it came to be there."""

AFTERWARDS: tuple[Operation, ...] = (
    Connect(LATER, ROOT.name),
    ListBackups(LATER),
    Stop(LATER, LABEL),
    Stop(LATER, LABEL),
    Start(LATER, LABEL),
    Restart(RestartKind.CRASH),
    Connect(LATER, ROOT.name),
    Stop(LATER, LABEL),
)
"""What is done when the server is up again."""

PHASES: Mapping[tuple[str, str], int] = {
    ("start", "start-reserved"): 1,
    ("start", "start-taken"): 1,
    ("start", "start-point-taken"): 2,
    ("start", "file-flushed"): 2,
    ("start", "file-renamed"): 3,
    ("start", "start-published"): 3,
    ("start", "start-accepted"): 3,
    ("stop", "stop-claimed"): 1,
    ("stop", "stop-core-ended"): 2,
    ("stop", "stop-published"): 3,
    ("abort", "abort-claimed"): 1,
    ("abort", "file-removed"): 2,
    ("abort", "abort-released"): 2,
    ("renew", "file-flushed"): 0,
    ("renew", "file-renamed"): 1,
}
"""Operations, points where they can be held, and how many phases are behind them there, as far as the files say."""

STATES: Mapping[str, tuple[str, ...]] = {
    "start": ("absent", "stopped"),
    "stop": ("active", "carried"),
    "abort": ("active", "carried"),
    "renew": ("active", "carried"),
}


class Cut(NamedTuple):
    """One operation, cut off."""

    kind: str
    point: str
    given: str
    restart: RestartKind

    @property
    def phases(self) -> int:
        """How many phases are behind the operation.

        Core is not told of the end of a backup that was carried before until its result is in the file.
        """
        if self.given == "carried" and self.point == "stop-core-ended":
            return 1
        return PHASES[self.kind, self.point]


def cuts() -> Iterator[Cut]:
    """All of them."""
    for kind, point in PHASES:
        for given in STATES[kind]:
            for how in RestartKind:
                yield Cut(kind, point, given, how)


class Interrupted:
    """What the model says of an operation that is between two phases."""

    def __init__(self, design: Design, before: Cluster, operation: Operation, phases: int) -> None:
        self.design = design
        self.completed = [after for after, _ in run(design, before, operation)]
        self.now: Cluster = before
        self.traceless: Cluster | None = before
        """As if it had never been; None: too late."""
        pending: Pending | None = None
        for _ in range(phases):
            ((self.now, result),) = resume(design, self.now, pending) if pending else invoke(design, before, operation)
            pending = result if isinstance(result, Pending) else None
            self.traceless = give_up(self.now, pending) if pending else None

    def left_by(self, how: RestartKind, answered: bool) -> list[Cluster]:
        """What a restart may leave. Before a fast one, an operation comes to an end of its own, good or bad."""
        states: list[Cluster] = [self.now]
        if answered:
            states = self.completed
        elif how is RestartKind.FAST:
            states = [*self.completed, *([self.traceless] if self.traceless else [])]
        return [after for state in states for after, _ in run(self.design, state, Restart(how))]


def play(client: Client, lockstep: Lockstep, cut: Cut) -> str:
    """Cuts the operation off, and compares what is left, and what becomes of it; raises Violation.

    Returns the state of the label after the restart.
    """
    for before in (Connect(HELD, ROOT.name), *GIVEN[cut.given]):
        lockstep.step(before)
    operation = OPERATIONS[cut.kind]
    interrupted = Interrupted(lockstep.design, lockstep.model, operation, cut.phases)
    with held(client, operation, cut.point) as answer:
        client.perform(Restart(cut.restart))
        answered = answer.exception(PATIENCE) is None
    number_start_points(client)
    shown = client.rows()
    left = interrupted.left_by(cut.restart, answered)
    agreeing = [cluster for cluster in left if view(cluster) == shown]
    if not agreeing:
        wanted = "\nor\n  ".join(dict.fromkeys(str(view(cluster)) for cluster in left))
        said = f"was {'answered' if answered else 'cut off'} at {cut.point}"
        raise Violation(f"{operation}\n  {said}, and afterwards the view shows\n  {shown}\nexpected\n  {wanted}")
    lockstep.model = agreeing[0]
    client.start_points.untold(lockstep.model.start_points)
    backup = lockstep.model.backup(LABEL)
    state = "absent" if backup is None else backup.state.value
    lockstep.probe()
    for after in AFTERWARDS:
        lockstep.step(after)
    lockstep.probe()
    if lowered_too_often(client.admin):
        raise Violation("core was released more often than backups were started")
    return state


@contextmanager
def held(client: Client, operation: Operation, point: str) -> Iterator[Future[list[Row]]]:
    """The operation is under way, and stands at the point; its session is the client's no more."""
    session = client.sessions[HELD]
    assert session is not None
    points, label = InjectionPoints(client.admin), None if point.startswith("file-") else LABEL
    points.attach(point, label)
    statement, parameters = in_sql(client.implementation, operation)
    event = Event(operation, client.signature(operation), time.monotonic())
    event.sql += [with_values(statement, parameters), f"-- it is held at {point}"]
    client.history.events.append(event)
    client.sessions[HELD] = None
    answer = session.submit(statement, parameters)
    try:
        if not points.arrived(point, label, over=answer.done):
            raise Violation(f"{operation} does not come to {point}: {answer.future}")
        yield answer.future
    finally:
        session.close()


def in_sql(implementation: Implementation, operation: Operation) -> tuple[str, dict[str, object]]:
    """The statement that carries an operation out, and its parameters."""
    match operation:
        case Start(_, label, ttl, fast):
            return implementation.start, {"label": label, "fast": fast, "ttl": interval(ttl)}
        case Stop(_, label):
            return implementation.stop, {"label": label, "wait": False, **UNFENCED}
        case Abort(_, label):
            return str(implementation.abort), {"label": label, **UNFENCED}
        case Renew(_, label, ttl):
            return str(implementation.renew), {"label": label, "ttl": interval(ttl), **UNFENCED}
        case _:
            raise AssertionError(f"nobody holds {operation}")


def number_start_points(client: Client) -> None:
    """A start that was cut off has told nobody its start point, and the view may."""
    for row in client.admin.execute(str(client.implementation.view)):
        if row[3] is not None and plain_lsn(row[3]) not in client.start_points.lsns:
            client.start_points.returned(row[3])
