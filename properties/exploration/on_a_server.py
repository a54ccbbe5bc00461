"""A history of an exploration, carried out on a real server step by step, and compared with the model after each.

Operations stop at the ends of their phases (``harness.clients.phases``) and are cut off there. After each step the
outcome, the view, and whether core counts a backup are what the model says, and what was kept of the exploration.
"""

import time
from dataclasses import dataclass, field

from harness.clients.client import BRIEFLY, PATIENCE, UnknownOutcome, Violation
from harness.clients.history import describe
from harness.clients.phases import BOUNDARIES, AtBoundary, PhaseController, Place
from harness.machine.processes import wait_gone
from harness.schema.exploration import Counterexample, Step
from harness.server.probes import forced_full_page_writes
from harness.server.session import SqlError
from harness.server.wal import lsn_to_int
from model.design import OnRestart
from model.linearizability.schedule import explains, without_ghosts
from model.numbers import StartPoint
from model.operations import Abort, Advance, Operation, Restart, Stop
from model.outcomes import Outcome, start_point
from model.state import ACTIVE
from model.steps import Cancel, CutOff, Lose, NextPhase, Result, Situation, pending_of, take
from model.steps import Step as ModelStep
from model.transition import Pending, publish_start, publish_stop, view
from properties.exploration.explored import beginning_of, model_step

TOO_LATE = (BOUNDARIES[Stop][-1], BOUNDARIES[Abort][-1])
"""Who waits here is not to be interrupted any more, and goes on to the end."""
KNOWS = "start-accepted"
"""Where the session that starts a backup knows that this is done."""
CUT_BY = {Cancel: "pg_cancel_backend", Lose: "pg_terminate_backend"}


class CannotBeReplayedError(Exception):
    """A server cannot be brought to do this; says why, as the end of a sentence."""


@dataclass
class OnServer:
    """A history on a server, so far."""

    controller: PhaseController
    history: Counterexample
    situation: Situation = field(init=False)
    under_way: dict[int, Operation] = field(default_factory=dict)
    """What each session is in the middle of."""
    places: list[Place] = field(default_factory=list)
    """The points that are armed."""

    def __post_init__(self) -> None:
        self.client = self.controller.client
        self.design = self.client.implementation.design
        self.situation = beginning_of(self.design, self.history)

    def play(self) -> int:
        """All of it; returns how many steps. Raises Violation where the server says something else than the model."""
        self.check_that_it_can_be()
        self.begin()
        try:
            for step in self.history.steps:
                try:
                    self.take(step, model_step(step))
                except (Violation, SqlError, TimeoutError) as error:
                    raise Violation(f"step {step.number}, {step.operation} {step.phase}: {error}") from error
        finally:
            if self.places:
                self.controller.release_all()
        return len(self.history.steps)

    def begin(self) -> None:
        """The roles, the settings and the connections; points are armed for what has phases."""
        cluster = self.situation.cluster
        self.client.begin(cluster.roles, len(cluster.sessions), cluster.settings)
        for number, session in enumerate(cluster.sessions):
            if session is not None:
                self.client.connect(number, session.role)
        if self.history.phases:
            calls = [one for one in map(model_step, self.history.steps) if isinstance(one, Operation)]
            self.places = self.controller.hold_between_phases(calls)

    def check_that_it_can_be(self) -> None:
        """Raises CannotBeReplayedError."""
        situation = self.situation
        for step in self.history.steps:
            advance = isinstance(model_step(step), Advance)
            if advance and not self.client.implementation.has_clock:
                raise CannotBeReplayedError("time passes, and there is no clock that a test can move")
            if advance and self.holds_the_clock(situation):
                raise CannotBeReplayedError("the clock waits while a stop writes the end of a durable backup")
            situation = self.following(situation, step)[0][0]

    def holds_the_clock(self, situation: Situation) -> bool:
        """What is in a state file and in the registry is of one time: the clock waits for the lock on the file."""
        return self.design.on_restart is OnRestart.RESUME and any(
            isinstance(pending.operation, Stop) and pending.next_phase is publish_stop for pending in situation.busy()
        )

    def following(self, situation: Situation, step: Step) -> list[tuple[Situation, Result]]:
        """What a step leads to in the model; at first what was kept of the exploration."""
        every = take(self.design, situation, model_step(step))
        return sorted(every, key=lambda one: one[0].cluster.running_backups != step.after.core)

    # A step

    def take(self, step: Step, taken: ModelStep) -> None:
        """A step on both sides; raises Violation."""
        alternatives = self.following(self.situation, step)
        match taken:
            case Cancel() | Lose():
                self.cut_off(taken, pending_of(self.situation, taken.session), alternatives[0][0])
            case Restart():
                self.restart(taken)
            case NextPhase(session):
                self.take_phase(session, self.under_way.pop(session), alternatives)
            case _ if isinstance(alternatives[0][1], Pending):
                self.take_phase(alternatives[0][1].operation.session, taken, alternatives)
            case _:
                self.agree(taken, self.client.perform(taken), alternatives)
        patience = PATIENCE if isinstance(taken, CutOff) else 0.0  # what was cut off may take a moment to be undone
        self.situation = self.agreeing([after for after, _ in alternatives], patience)
        self.compare_with_kept(step)

    def take_phase(self, session: int, operation: Operation, alternatives: list[tuple[Situation, Result]]) -> None:
        """A phase of an operation, which is then to wait, or has ended."""
        came = self.controller.take_phase(operation)
        waits = [result for _, result in alternatives if isinstance(result, Pending)]
        if isinstance(came, AtBoundary) != bool(waits):
            expected = "it was to wait" if waits else describe_all(alternatives)
            raise Violation(f"{came.place[0] if isinstance(came, AtBoundary) else describe(came)}; {expected}")
        if isinstance(came, AtBoundary):
            self.under_way[session] = operation
        else:
            self.agree(operation, came, alternatives)

    def agree(self, operation: Operation, came: Outcome, alternatives: list[tuple[Situation, Result]]) -> None:
        """Keeps the alternatives with that outcome; raises Violation if there are none."""
        point, agreeing = start_point(operation, came), []
        for after, result in alternatives:
            assert not isinstance(result, Pending | None)
            wanted = without_ghosts(operation, result)
            if point is not None and (number := start_point(operation, wanted)) is not None:
                self.controller.start_points.told(point, number)
                came, point = wanted, None
            if explains(wanted, came):
                agreeing.append((after, result))
        if not agreeing:
            raise Violation(f"{describe(came)}, and the model says {describe_all(alternatives)}")
        alternatives[:] = agreeing

    def cut_off(self, cut: CutOff, pending: Pending, aim: Situation) -> None:
        """Cancels an operation that waits at a point, or ends its session; it has ended then, or it was too late.

        A start can be brought to either, so it is brought to the one that was kept of the exploration.
        """
        operation = self.under_way.pop(cut.session)
        place, session = self.controller.at_boundary.pop(operation), self.client.sessions[cut.session]
        assert session is not None
        label = pending.operation.label or ""
        backup = aim.cluster.backup(label)
        if pending.next_phase is publish_start and backup is not None and backup.state is ACTIVE:
            self.let_it_start(operation, place)
            self.number_untold(label, pending.start_point)
        self.client.admin.execute(f"SELECT {CUT_BY[type(cut)]}(%s)", (session.pid,))
        if place[0] in TOO_LATE:
            self.controller.points.wakeup(*place)
        error = self.controller.under_way[operation].exception(PATIENCE)
        if error is not None and not isinstance(error, UnknownOutcome):
            raise error
        if isinstance(cut, Lose):
            session.close()
            self.client.sessions[cut.session] = None
            if not wait_gone([session.pid], PATIENCE):
                raise Violation("the backend is still there after its session was ended")

    def let_it_start(self, operation: Operation, place: Place) -> None:
        """The start is done, and its session, which has not said so yet, can still be cancelled."""
        known = (KNOWS, place[1])
        self.controller.points.attach(*known, action="hold")
        self.controller.points.wakeup(*place)
        self.controller.points.arrived(*known, over=self.controller.under_way[operation].done)

    def number_untold(self, label: str, number: StartPoint) -> None:
        """A start that tells nobody its start point has it in the view."""
        rows = self.client.admin.execute(str(self.client.implementation.view))
        (lsn,) = [row[3] for row in rows if row[0] == label]
        self.controller.start_points.told(StartPoint(lsn_to_int(lsn)), number)

    def restart(self, restart: Restart) -> None:
        """The server goes down under whoever is in the middle of something, and the points are armed anew."""
        busy = [self.client.sessions[number] for number in self.under_way]
        for number in self.under_way:
            self.client.sessions[number] = None  # it is not the client's to close while it is in use
        ended = [self.controller.under_way[operation] for operation in self.under_way.values()]
        self.client.perform(restart)
        for future in ended:
            future.exception(PATIENCE)
        for session in filter(None, busy):
            session.close()
        self.under_way.clear()
        self.controller.under_way.clear()
        self.controller.at_boundary.clear()
        if self.places:
            self.controller.points.attach_all(self.places)

    # What there is

    def agreeing(self, situations: list[Situation], patience: float) -> Situation:
        """The first of them that the server shows, for which it has so many seconds; raises Violation if none."""
        deadline = time.monotonic() + patience
        while True:
            forced = forced_full_page_writes(self.client.admin)
            shown = self.client.rows() if self.client.implementation.view else None
            for one in situations:
                if (shown is None or view(one.cluster) == shown) and forced == (one.cluster.running_backups > 0):
                    return one
            if time.monotonic() > deadline:
                wanted = " or ".join(f"{view(one.cluster)}, core {counts(one)}" for one in situations)
                raise Violation(f"{shown}, core {'counts some' if forced else 'counts none'}; the model says {wanted}")
            time.sleep(BRIEFLY)

    def compare_with_kept(self, step: Step) -> None:
        """The model of today goes where the exploration went; raises CannotBeReplayedError if it may go elsewhere."""
        kept = {one.label: one.state for one in step.after.backups}
        now = {label: backup.state.value for label, backup in self.situation.cluster.backups}
        if kept != now or step.after.core != self.situation.cluster.running_backups:
            raise CannotBeReplayedError(f"the server may do either at step {step.number}, and did the other")


def counts(one: Situation) -> str:
    """What core does, in the model."""
    return f"counts {one.cluster.running_backups}"


def describe_all(alternatives: list[tuple[Situation, Result]]) -> str:
    """What may come."""
    return " or ".join(describe(one) for _, one in alternatives if isinstance(one, Outcome))
