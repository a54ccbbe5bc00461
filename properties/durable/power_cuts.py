"""Operations on durable backups in a server whose journal is kept, and what must hold after a power cut at any moment.

What a caller has been told holds from the answer on. While an operation is under way, there is what was before it, or
what is after it; and from the moment when core may have been released, only the latter.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.clients.labelfile import parse_label_file
from harness.faults.crash_states import Disk, Tree, states
from harness.faults.journal import Answer, Event, Flush, Log, read_journal
from harness.faults.power_cut import Moment, copy_of, lay_out, moments
from harness.faults.traced import traced_life
from harness.server.cluster import Cluster
from harness.server.durable import STATE_DIR, resumed, state_files
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session, SqlError

VIEW = "SELECT label, state, start_lsn::text, stop_lsn::text, expires_at::text FROM shared_backups"
STOP = "SELECT lsn, labelfile, spcmapfile, controlfile FROM shared_backup_stop(%s, false)"
MARKER = "power cuts: {} {}"
BEGINS, HELD, ENDS = "begins", "is held", "ends"
ANY = "any"
DECIDED = "resume-decided"
PATIENCE = 60.0
NOT_WRITTEN = ("pg_dynshmem", "bench.conf")
"""What has its contents from elsewhere: mapped memory, and the bench."""
OURS = (STATE_DIR, "pg_replslot")


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
    lines: int = 0

    def live(self, folder: Path, *todo: "Operation | Work", killed: bool = True) -> None:
        """The server is started, carries that out, and is killed or shut down."""
        noted: list[Noted] = []
        first = self.lines
        work = partial(carry_out, self.server, todo, noted)
        text = traced_life(self.server, folder / f"calls{first}", work, killed=killed)
        self.lines += text.count("\n") + 1
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


# What a power cut leaves


@dataclass
class CrashState:
    """What a power cut may leave, at one moment or several."""

    key: int
    number: int
    """Of the first such moment."""
    after: str
    """What had happened just then."""
    ours: int
    """Those with the same number differ only in WAL and in the control file."""
    promises: list[Promise]
    """What must hold at these moments."""


@dataclass
class Found:
    """All states, how many combinations were not looked at, and what is there in the end."""

    states: dict[int, CrashState] = field(default_factory=dict)
    left_out: int = 0
    last: Tree = field(default_factory=dict)


def crash_states(journey: Journey, mirror: Path) -> Found:
    """What a power cut may leave at any moment. The mirror becomes what there is in the end."""
    disk = deepcopy(journey.disk)
    found, promise, left = Found(), None, states(disk)
    since = {promise.since: promise for promise in journey.promises}
    for moment in moments(journey.events, disk, mirror):
        found.last = left.trees[-1]
        if not moment.changed and moment.number not in since:
            continue
        promise = since.get(moment.number, promise)
        if moment.changed:
            left = states(disk)
            found.left_out += left.left_out
        if promise is None:
            continue
        for tree in left.trees:
            state = CrashState(key(tree), moment.number, said(moment), key(ours(tree)), [])
            known = found.states.setdefault(state.key, state)
            if promise not in known.promises:
                known.promises.append(promise)
    return found


def key(tree: Tree) -> int:
    """The same number for the same files."""
    return hash(tuple(sorted(tree.items())))


def ours(tree: Tree) -> Tree:
    """What is not core's."""
    return {path: contents for path, contents in tree.items() if path.split("/")[0] in OURS}


def said(moment: Moment) -> str:
    """What has happened just then, in few words."""
    action = moment.event.action
    names = [str(getattr(action, name)) for name in ("path", "new") if hasattr(action, name)]
    return f"{'end' if moment.over else 'beginning'} of {type(action).__name__}({', '.join(names)})"


def nearest_first(journey: Journey, found: Found) -> list[CrashState]:
    """Those near to a flush of ours or to an answer come first, each operation in its turn."""
    flushed = [event for event in journey.events if isinstance(event.action, Flush) and is_ours(event.action.path)]
    anchors = sorted(
        {*(one.since for one in journey.promises), *(n for one in flushed for n in (one.began, one.ended))}
    )
    by_operation: dict[str, list[tuple[bool, int, int, CrashState]]] = {}
    seen: set[tuple[str, int]] = set()
    for state in found.states.values():
        operation = state.promises[-1].operation
        distance = min(abs(state.number - anchor) for anchor in anchors)
        again = (operation, state.ours) in seen
        seen.add((operation, state.ours))
        by_operation.setdefault(operation, []).append((again, distance, state.number, state))
    turns = [[state for *_, state in sorted(those, key=lambda one: one[:3])] for those in by_operation.values()]
    return [state for turn in zip_longest(*turns) for state in turn if state is not None]


def is_ours(path: str) -> bool:
    """Is it a flush of the extension's?"""
    return path == "." or path.split("/")[0] in OURS


def unlike(server: Cluster, mirror: Path, tree: Tree) -> list[str]:
    """Files in which the data directory of a server that is down differs from what was done again."""
    again = contents_of(mirror) | {path: contents for path, contents in tree.items() if contents is not None}
    real = contents_of(server.data_dir)
    differing = (path for path in again.keys() | real.keys() if again.get(path) != real.get(path))
    return sorted(path for path in differing if path.split("/")[0] not in NOT_WRITTEN)


def contents_of(folder: Path) -> dict[str, bytes]:
    """All files in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def laid_out(journey: Journey, chosen: Iterable[CrashState]) -> Iterator[tuple[CrashState, Tree]]:
    """Makes each of these states the data directory of the server, which is down before and afterwards."""
    disk = deepcopy(journey.disk)
    wanted: dict[int, dict[int, CrashState]] = {}
    for state in chosen:
        wanted.setdefault(state.number, {})[state.key] = state
    for moment in moments(journey.events, disk, journey.mirror):
        if moment.number not in wanted:
            continue
        here = wanted[moment.number]
        for tree in states(disk).trees:
            if key(tree) in here:
                state = here.pop(key(tree))
                lay_out(journey.server, journey.mirror, tree)
                yield state, tree


def listing(tree: Tree) -> str:
    """What is there of ours, and how long it is."""
    lines = (f"    {path}: {'a folder' if contents is None else len(contents)}" for path, contents in tree.items())
    return "\n".join(line for line in lines if is_ours(line.strip()))


# What the server says then


def check(server: Cluster, state: CrashState) -> None:
    """The server starts; what it shows is allowed, and it acts accordingly. Raises AssertionError if not."""
    position = server.log_position()
    session = up(server)
    shown = view(session)
    for promise in state.promises:
        for label in sorted(promise.allowed.keys() | shown.keys()):
            allowed, row = promise.allowed.get(label, (None,)), shown.get(label)
            assert any(one == row if one is None else one.admits(row) for one in allowed), (
                f"{promise.operation}: the backup {label} is {row}, and should be {' or '.join(map(str, allowed))}"
            )
    for label, row in shown.items():
        check_stop(session, label, row)
    session.execute("SELECT shared_backup_start('fresh', true, NULL)")
    check_stop(session, "fresh", view(session)["fresh"])
    log = server.log_since(position)
    assert "ignoring file" not in log, "a file that was being written was believed in"
    known = {"server", "clock", "points", *(file.name for file in state_files(server))}
    left = {path.name for path in (server.data_dir / STATE_DIR).iterdir() if path.suffix != ".bad"} - known
    assert not left, f"files are left over: {sorted(left)}"
    session.close()
    server.crash()


def up(server: Cluster) -> Session:
    """Starts the server; returns a superuser's session once its backups are back."""
    server.start()
    session = server.connect()
    InjectionPoints(session).detach()  # where the traced server was told to wait at its next start
    session.close()
    return resumed(server)


def check_stop(session: Session, label: str, row: Row) -> None:
    """The stop of a backup does what the view says."""
    if row.state not in ("active", "stopped"):
        with pytest.raises(SqlError, match="55000"):
            session.execute(STOP, (label,))
        return
    lsn, labelfile, _, controlfile = session.execute(STOP, (label,))[0]
    assert row.stop_lsn in (None, lsn), f"the stop of {label} says {lsn}, and the view {row}"
    found = parse_label_file(labelfile)
    assert (found.label, found.start_lsn) == (label, row.start_lsn), f"the stop of {label} hands out {found}"
    assert (found.source == "standby") == (controlfile is not None), "label file and control file do not fit"
