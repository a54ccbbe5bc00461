"""Operations on durable backups in a server whose journal is kept, and what must hold after a power cut at any moment.

What a caller has been told holds from the answer on. While an operation is under way, there is what was before it, or
what is after it; and from the moment when core may have been released, only the latter.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.faults.crash_states import Disk
from harness.faults.journal import Answer, Event, Log, read_journal
from harness.faults.power_cut import copy_of
from harness.faults.traced import traced_life
from harness.server.cluster import Cluster
from harness.server.durable import resumed
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session

VIEW = "SELECT label, state, start_lsn::text, stop_lsn::text, expires_at::text FROM shared_backups"
MARKER = "power cuts: {} {}"
BEGINS, HELD, ENDS = "begins", "is held", "ends"
ANY = "any"
DECIDED = "resume-decided"
PATIENCE = 60.0


class Row(NamedTuple):
    """What the view shows of a backup."""

    state: str
    start_lsn: str
    stop_lsn: str | None
    expires_at: str | None

    def undetermined(self) -> "Row":
        """The same; but where it was stopped, nobody has been told yet."""
        return self._replace(stop_lsn=ANY) if self.state == "stopped" else self

    def stopped(self) -> "Row":
        """What a restart makes of it if it was to be stopped."""
        return Row("stopped", self.start_lsn, ANY, self.expires_at)

    def admits(self, shown: "Row | None") -> bool:
        """Is that what is shown?"""
        return shown is not None and self == (shown._replace(stop_lsn=ANY) if self.stop_lsn == ANY else shown)


Allowed = Mapping[str, tuple[Row | None, ...]]
"""What may be shown of each backup; None: nothing. Of backups that are not named nothing may be shown."""


@dataclass(frozen=True)
class Operation:
    """Something that is asked of the server."""

    name: str
    statement: str
    held_at: tuple[str, str] | None = None
    """A point where core may have been released, and the label of the backup that is at work there."""
    cut: bool = False
    """It is a stop, and the server is killed while it is held there."""
    undecided: bool = False
    """Where it is held, core has not been released yet."""

    @property
    def label(self) -> str:
        """Of the backup that is held."""
        assert self.held_at is not None
        return self.held_at[1]


RESUMING = Operation("resuming", "")
Work = Callable[[Session], object]
"""Something else that is done meanwhile, in a superuser's session."""


@dataclass
class Promise:
    """What must hold from a moment on."""

    operation: str
    since: int
    allowed: Allowed


@dataclass
class Journey:
    """The lives of a server, one after the other; a power cut may come at any moment."""

    server: Cluster
    mirror: Path
    """A copy of the data directory as it was when this began, but for what is watched."""
    disk: Disk
    """What is watched."""
    events: list[Event] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    lives: list[int] = field(default_factory=lambda: [0])
    """When each life began, and the next one will."""

    def live(self, folder: Path, *todo: "Operation | Work", killed: bool = True) -> None:
        """The server is started, carries that out, and is killed or shut down."""
        noted: list[Noted] = []
        first = self.lives[-1]
        work = partial(carry_out, self.server, todo, noted)
        text = traced_life(self.server, folder / f"calls{first}", work, killed=killed)
        self.lives.append(first + text.count("\n") + 1)
        events = read_journal(text, self.server.data_dir, first)
        self.events += events
        for one in noted:
            self.promises += promises(one, events, self.promises[-1].allowed if self.promises else {}, first)


def begun(server: Cluster) -> Journey:
    """It begins with a server that is down."""
    mirror = server.folder / "mirror"
    return Journey(server, mirror, copy_of(server, mirror))


class Noted(NamedTuple):
    """What was shown when an operation had ended."""

    number: int
    operation: Operation
    after: dict[str, Row]


def carry_out(server: Cluster, todo: Iterable[Operation | Work], noted: list[Noted]) -> None:
    """Carries that out, with a line in the log before and after each operation, and where it is held."""
    admin = server.connect()
    if (points := InjectionPoints(admin)).attached():  # it was told before its start to wait there
        points.arrived(DECIDED)
        mark(admin, 0, HELD)
        points.detach()
    caller = resumed(server)
    mark(caller, 0, ENDS)
    noted.append(Noted(0, RESUMING, view(admin)))
    for number, one in enumerate(todo, 1):
        if isinstance(one, Operation):
            caller = perform(server, one, number, caller, points)
            noted.append(Noted(number, one, view(admin)))
        else:
            one(admin)
    caller.close()
    admin.close()


def perform(server: Cluster, operation: Operation, number: int, caller: Session, points: InjectionPoints) -> Session:
    """Carries out an operation; returns a session that is free afterwards."""
    mark(caller, number, BEGINS)
    if operation.held_at is not None:
        points.attach(*operation.held_at)
    pending = caller.submit(operation.statement)
    if operation.held_at is not None:
        assert points.arrived(*operation.held_at), f"{operation.name} has not come to where it is held"
        mark(points.session, number, HELD)
    if operation.cut:
        return server.connect()
    points.detach()
    pending.result(PATIENCE)
    mark(caller, number, ENDS)
    return caller


def mark(session: Session, number: int, when: str) -> None:
    """A line in the log."""
    session.execute(f"DO $$ BEGIN RAISE LOG '{MARKER.format(number, when)}'; END $$")


def view(session: Session) -> dict[str, Row]:
    """What is shown of each backup."""
    return {label: Row(*row) for label, *row in session.execute(VIEW)}


def promises(noted: Noted, events: list[Event], before: Allowed, first: int) -> Iterator[Promise]:
    """What holds from when an operation begins, is held, and has been answered."""
    number, operation, after = noted
    marks = {when: event for when in (BEGINS, HELD, ENDS) for event in marked(events, number, when)}
    expected = {label: row if row in before.get(label, ()) else row.undetermined() for label, row in after.items()}
    if operation.cut:
        expected = {**after, operation.label: after[operation.label].stopped()}
    labels = before.keys() | expected.keys()
    either = {label: (*before.get(label, (None,)), expected.get(label)) for label in labels}
    yield Promise(operation.name, marks[BEGINS].began if number else first, either)
    if HELD in marks and not operation.undecided:
        yield Promise(f"{operation.name}, held", marks[HELD].began, only(expected))
    if ENDS in marks:
        yield Promise(f"{operation.name}, answered", answered(events, marks[ENDS]), only(after))


def only(rows: Mapping[str, Row]) -> Allowed:
    """Nothing else than that."""
    return {label: (row,) for label, row in rows.items()}


def marked(events: list[Event], number: int, when: str) -> Iterator[Event]:
    """The writing of that line to the log."""
    words = MARKER.format(number, when)
    return (event for event in events if isinstance(event.action, Log) and words in event.action.line)


def answered(events: list[Event], ends: Event) -> int:
    """When the caller was told: the answer before the line that says that the operation has ended."""
    answers = (event.began for event in events if event.pid == ends.pid and isinstance(event.action, Answer))
    return max(began for began in answers if began < ends.began)
