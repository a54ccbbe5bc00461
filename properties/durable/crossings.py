"""Backups that cross restarts of their server: what happens, in which order, is for Hypothesis to choose."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from harness.clients.implementation import DURABLE, STOCK
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import (
    STEPS,
    Step,
    big_update,
    checkpoint,
    finish_prepared,
    open_transactions,
    prepare_transaction,
    transfers,
)
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster
from harness.server.probes import set_full_page_writes
from harness.server.session import Session
from model.operations import Hazard
from properties.durable.lockstep import PARTS, DurableServer, Fall, archiving, change, what_it_remembers, writing
from properties.restores.backups import Kind, copy_slowly, tool_backup
from properties.support.server_lockstep import SPAN

Result = TypeVar("Result")

LOAD = (*STEPS, prepare_transaction, finish_prepared)
GAP: tuple[Step, ...] = (big_update, checkpoint, transfers)
"""What is done in a gap that is held open."""
UNPROTECTED = "full_page_writes off when the server starts"


@dataclass(frozen=True)
class Crossing:
    """A restart of the server."""

    fall: Fall
    held: bool
    """The gap is held open, with load."""
    unprotected: bool
    """full_page_writes is off when the server starts: what is open is lost."""


@dataclass(frozen=True)
class Backup:
    """When a backup is started and stopped: in a span, which lies between two restarts, or before or after all."""

    kind: Kind
    begin: int
    end: int
    pace: Pace

    @property
    def crosses(self) -> bool:
        """Is there a restart in between?"""
        return self.begin < self.end


@dataclass(frozen=True)
class CrossingsPlan:
    """What happens in one example."""

    crossings: tuple[Crossing, ...]
    backups: tuple[Backup, ...]
    spans: tuple[tuple[int | Step, ...], ...]
    """Of each span, what is done. A number: that backup's copy proceeds; else what the server is made to do."""
    forced: bool
    """full_page_writes is off whenever core is held: then core alone protects the copies."""
    tablespace: bool
    seed: int

    def falls(self, backup: Backup) -> tuple[Fall, ...]:
        """The kinds of restarts that a backup crosses."""
        return tuple(sorted({one.fall for one in self.crossings[backup.begin : backup.end]}))


@dataclass(frozen=True)
class CrossedBackup:
    """A backup that has been taken."""

    scenario: str
    survival_case: SurvivalCase
    label: str | None
    """None: it is core's."""
    snapshot: Snapshot
    files: BackupFiles
    restorable: bool
    early: str
    """A WAL location just before the stop point."""
    prepared: frozenset[str]
    """Prepared transactions that were open then."""

    @property
    def crossed(self) -> bool:
        """Has it crossed a restart?"""
        return self.files.controlfile is not None


@st.composite
def plans(draw: st.DrawFn) -> CrossingsPlan:
    """One to three restarts; the first backup crosses all of them, and beside it are one or two others."""
    seldom = st.sampled_from([False, False, False, False, False, True])
    crossing = st.builds(Crossing, st.sampled_from(Fall), st.booleans(), seldom)
    crossings = tuple(draw(st.lists(crossing, min_size=1, max_size=3)))
    last = len(crossings)
    pace = st.builds(Pace, st.integers(0, 999), st.sampled_from([1024, 2048, 4096]), st.sampled_from([1, 1, 2]))
    begin = draw(st.integers(0, last - 1) | st.integers(0, last))
    backups = [
        Backup(Kind.SHARED, 0, last, draw(pace)),
        Backup(Kind.SHARED, begin, draw(st.integers(begin, last)), draw(pace)),
    ]
    if draw(st.booleans()):
        at = draw(st.integers(0, last))
        backups.append(Backup(draw(st.sampled_from([Kind.STOCK, Kind.TOOL])), at, at, draw(pace)))
    turns = st.sampled_from([0, 1]) | st.sampled_from(LOAD)
    return CrossingsPlan(
        crossings,
        tuple(backups),
        tuple(tuple(draw(st.lists(turns, min_size=2, max_size=5))) for _ in range(last + 1)),
        forced=draw(st.booleans()),
        tablespace=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
    )


@dataclass
class Course:
    """A plan as it is carried out."""

    here: DurableServer
    plan: CrossingsPlan
    copies: dict[int, Generator[None, None, Snapshot]] = field(default_factory=dict)
    whole: dict[int, Snapshot] = field(default_factory=dict)
    taken: list[CrossedBackup] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What was said of the backups that were lost."""
    lost: set[int] = field(default_factory=set)
    gaps: int = 0
    """So many were held open."""
    prepared: frozenset[str] = frozenset()
    """Prepared transactions that are open in the end."""

    def __post_init__(self) -> None:
        self.chance = Random(self.plan.seed)

    @property
    def session(self) -> Session:
        """A superuser's."""
        return self.here.session

    def run(self) -> None:
        """Takes all backups, while the server is written to and restarts."""
        with writing(self.here.origin) as writers:
            for span, turns in enumerate(self.plan.spans):
                if span:
                    self.cross(self.plan.crossings[span - 1])
                self.begin(span)
                self.protect(forced=True)
                for turn in (*turns, *self.turns_of(span)):
                    self.turn(turn)
                self.end(span)
        assert writers.connected > len(self.plan.crossings), "the writers have not connected again after each restart"
        self.prepared = open_transactions(self.session)
        self.here.backups.archive()

    def turns_of(self, part: int) -> list[int | Step]:
        """Pages that were not changed before are changed twice, and the copies proceed."""
        return [*self.copies, change(part), *self.copies, change(part)]

    def cross(self, crossing: Crossing) -> None:
        """The server restarts."""
        set_full_page_writes(self.here.origin, self.session, on=not crossing.unprotected)
        gap = self.in_the_gap if crossing.held else None
        hazard, but = (Hazard.PAGE_WRITES_OFF, UNPROTECTED) if crossing.unprotected else (None, "")
        self.here.backups.fall(crossing.fall, hazard, gap, but)
        if crossing.unprotected:
            self.lost |= {number for number in range(len(self.plan.backups)) if self.is_open(number)}
            self.protect(forced=False)

    def in_the_gap(self, session: Session) -> None:
        """The server writes, and the copies proceed."""
        self.gaps += 1
        part = change(PARTS - self.gaps)
        for step in (*GAP, part, part):
            step(session, self.chance)
            for number in list(self.copies):
                self.proceed(number)

    def protect(self, *, forced: bool) -> None:
        """Leaves it to core to force full-page writes, if it does and if that is the plan."""
        held = any(self.is_open(number) for number in range(len(self.plan.backups)))
        set_full_page_writes(self.here.origin, self.session, on=not (forced and self.plan.forced and held))

    def is_open(self, number: int) -> bool:
        """Has that backup been started, and not been stopped or lost?"""
        return number not in self.lost and (number in self.copies or number in self.whole)

    def turn(self, turn: int | Step) -> None:
        """One of the span."""
        if isinstance(turn, int):
            self.proceed(turn)
        else:
            turn(self.session, self.chance)

    def proceed(self, number: int) -> None:
        """The copy of a backup grows."""
        if number in self.copies:
            try:
                next(self.copies[number])
            except StopIteration as end:
                self.whole[number] = end.value
                del self.copies[number]

    def begin(self, span: int) -> None:
        """Starts the backups of the span; core's own are taken at once."""
        for number, backup in enumerate(self.plan.backups):
            if backup.begin == span and backup.kind is Kind.SHARED:
                self.here.backups.start(label_of(number))
                breath = SPAN // (4 * (1 + backup.end - backup.begin))
                self.copies[number] = copy_slowly(self.here.origin, self.folder(number), backup.pace, breath)
                self.proceed(number)
            elif backup.begin == span:
                with archiving(self.here.origin):
                    self.taken.append(core_s_own(self.here.origin, backup, self.folder(number)))

    def end(self, span: int) -> None:
        """Stops the backups of the span, each when its copy is whole."""
        ending = {n for n, one in enumerate(self.plan.backups) if one.end == span and one.kind is Kind.SHARED}
        while ending & self.copies.keys():
            for number in sorted(ending & self.copies.keys()):
                for turn in (number, transfers, checkpoint):
                    self.turn(turn)
        for number in sorted(ending):
            self.stop(number)

    def stop(self, number: int) -> None:
        """Stops a backup; if it is lost, this is refused with the reason."""
        label, backup = label_of(number), self.plan.backups[number]
        snapshot = self.whole.pop(number)
        if number in self.lost:
            self.refused.append(self.here.backups.refusal(label).detail or "")
            return
        prepared = open_transactions(self.session)
        early = self.session.execute("SELECT pg_current_wal_insert_lsn()::text")[0][0]
        stopped = self.here.backups.stop(label)
        assert backup.crosses == (stopped.files.controlfile is not None), (
            f"a control file is handed out if a restart was crossed: {backup}"
        )
        survival_case = self.here.backups.survival_cases[label]
        assert survival_case == SurvivalCase(DURABLE.name, self.plan.falls(backup)), (
            f"the report would tell of {survival_case}"
        )
        scenario = (
            f"durable, across {' and '.join(survival_case.across)}" if survival_case.across else "durable, no restart"
        )
        self.taken.append(
            CrossedBackup(scenario, survival_case, label, snapshot, stopped.files, stopped.restorable, early, prepared)
        )

    def folder(self, number: int) -> Path:
        """Where the copy of a backup goes."""
        return self.here.copies / str(number)


def label_of(number: int) -> str:
    """The label of a backup."""
    return f"backup {number}"


def core_s_own(server: Cluster, backup: Backup, folder: Path) -> CrossedBackup:
    """A backup of core's own between two restarts, on a server that may hold core for others."""
    session = server.connect()
    early = session.execute("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    if backup.kind is Kind.TOOL:
        taken = last_of(tool_backup(server, folder))
        snapshot, files = taken.snapshot, taken.files
    else:
        session.execute("SELECT pg_backup_start('stock', true)")
        snapshot = last_of(copy_slowly(server, folder, backup.pace))
        files = BackupFiles(*session.execute("SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(false)")[0])
    prepared = open_transactions(session)
    session.close()
    scenario = f"durable, {backup.kind} between restarts"
    return CrossedBackup(scenario, SurvivalCase(STOCK.name), None, snapshot, files, True, early, prepared)


def last_of(steps: Generator[None, None, Result]) -> Result:
    """What comes of something under way that is not paused."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def looking(label: str | None, prepared: frozenset[str]) -> Callable[[Cluster], Iterable[str]]:
    """What is looked at on the restored server."""
    return partial(what_it_remembers, label=label, prepared=prepared)
