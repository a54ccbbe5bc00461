"""Several backups at once, while the server writes: each proceeds by steps, in an order that Hypothesis chooses."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from random import Random

from hypothesis import strategies as st

from harness.restore.restore import BackupFiles
from harness.restore.snapshot import TABLESPACES, Pace, Snapshot, copying
from harness.restore.workload import STEPS, Step, checkpoint, transfers
from harness.server.cluster import Cluster
from harness.server.node import give
from harness.server.programs import address, start_program
from model.operations import Connect, Disconnect, Start, StockStart, StockStop, Stop
from model.outcomes import Ok, StopRow
from properties.support.lockstep import Lockstep

BREATH = 6_000_000
"""Bytes that a backup copies before it is another's turn: a quarter of a small cluster."""

ROLE = "root"
STARTER, STOPPER, *STOCK_SESSIONS = range(4)
"""Our backups are started in one session, which ends, and stopped in another; core's have a session each."""


class Kind(StrEnum):
    """Who takes a backup."""

    SHARED = "shared_backup"
    STOCK = "pg_backup_start"
    TOOL = "pg_basebackup"


@dataclass(frozen=True)
class BackupsPlan:
    """What happens in one example."""

    kinds: tuple[Kind, ...]
    paces: tuple[Pace, ...]
    turns: tuple[int | Step, ...]
    """A number: that backup proceeds; else what the server is made to do. Afterwards, all are finished in turn."""
    full_page_writes: bool
    tablespace: bool
    pgbench: bool
    """Four clients write all the time, beside what the turns say."""
    to_the_end: bool
    """Restored to the end of the archive instead of the stop point."""
    seed: int

    def scenario(self, kind: Kind) -> str:
        """A name for it in the report."""
        return (
            f"{kind}{' among others' if len(self.kinds) > 1 else ''}"
            f", full_page_writes {'on' if self.full_page_writes else 'off'}{', tablespaces' if self.tablespace else ''}"
        )


@dataclass(frozen=True)
class TakenBackup:
    """A backup that has been taken."""

    kind: Kind
    snapshot: Snapshot
    files: BackupFiles
    restorable: bool
    """What the model says."""


Backup = Generator[None, None, TakenBackup]
"""A backup under way, which pauses (yields) now and then."""


@st.composite
def plans(draw: st.DrawFn) -> BackupsPlan:
    """Up to four backups at once, at least one of them ours."""
    beside = st.sampled_from([Kind.SHARED, Kind.SHARED, Kind.STOCK, Kind.TOOL])
    kinds = (Kind.SHARED, *draw(st.lists(beside, max_size=3).filter(lambda kinds: kinds.count(Kind.STOCK) <= 2)))
    numbers = st.sampled_from(range(len(kinds)))
    pace = st.builds(Pace, st.integers(0, 999), st.sampled_from([1024, 2048, 4096]), st.integers(1, 3))
    return BackupsPlan(
        kinds=kinds,
        paces=tuple(draw(pace) for _ in kinds),
        turns=tuple(draw(st.lists(numbers | st.sampled_from(STEPS), min_size=5, max_size=20))),
        full_page_writes=draw(st.booleans()),
        tablespace=draw(st.booleans()),
        pgbench=draw(st.booleans()),
        to_the_end=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
    )


def take_backups(lockstep: Lockstep, plan: BackupsPlan, folder: Path) -> list[TakenBackup]:
    """Takes the backups that are planned."""
    chance, session = Random(plan.seed), lockstep.client.admin
    sessions = iter(STOCK_SESSIONS)
    waiting: dict[int, Backup] = {}
    for number, (kind, pace) in enumerate(zip(plan.kinds, plan.paces, strict=True)):
        copy = folder / str(number)
        if kind is Kind.SHARED:
            waiting[number] = shared_backup(lockstep, f"backup {number}", copy, pace)
        elif kind is Kind.STOCK:
            waiting[number] = stock_backup(lockstep, next(sessions), copy, pace)
        else:
            waiting[number] = tool_backup(lockstep.client.cluster, copy)
    taken: list[TakenBackup] = []
    for turn in chain(plan.turns, finishing(waiting)):
        if not isinstance(turn, int):
            turn(session, chance)
        elif turn in waiting:
            try:
                next(waiting[turn])
            except StopIteration as end:
                taken.append(end.value)
                del waiting[turn]
    return taken


def finishing(waiting: dict[int, Backup]) -> Iterator[int | Step]:
    """Turns for every backup until all are done, and the server goes on writing."""
    while waiting:
        for number in list(waiting):
            yield from (number, transfers, checkpoint)


def shared_backup(lockstep: Lockstep, label: str, folder: Path, pace: Pace) -> Backup:
    """Ours: started in one session, which ends, copied, and stopped in another."""
    lockstep.step(Connect(STARTER, ROLE))
    lockstep.step(Start(STARTER, label))
    lockstep.step(Disconnect(STARTER))
    yield
    snapshot = yield from copy_slowly(lockstep.client.cluster, folder, pace)
    lockstep.step(Connect(STOPPER, ROLE))
    outcome = lockstep.step(Stop(STOPPER, label, wait_for_archive=True))
    lockstep.step(Disconnect(STOPPER))
    assert isinstance(outcome, Ok)
    assert isinstance(outcome.value, StopRow)
    return TakenBackup(Kind.SHARED, snapshot, BackupFiles(*lockstep.client.handed_out), outcome.value.restorable)


def stock_backup(lockstep: Lockstep, session: int, folder: Path, pace: Pace) -> Backup:
    """Core's own: one session, from the start to the stop."""
    lockstep.step(Connect(session, ROLE))
    lockstep.step(StockStart(session, f"stock {session}"))
    yield
    snapshot = yield from copy_slowly(lockstep.client.cluster, folder, pace)
    outcome = lockstep.step(StockStop(session))
    lockstep.step(Disconnect(session))
    assert isinstance(outcome, Ok)
    assert isinstance(outcome.value, StopRow)
    return TakenBackup(Kind.STOCK, snapshot, BackupFiles(*lockstep.client.handed_out), outcome.value.restorable)


def copy_slowly(cluster: Cluster, folder: Path, pace: Pace, breath: int = BREATH) -> Generator[None, None, Snapshot]:
    """Copies the data directory, and pauses after each breath (bytes)."""
    pause = breath
    for snapshot in copying(cluster.data_dir, folder, pace):
        if snapshot.bytes >= pause:
            pause += breath
            yield
    return snapshot


def tool_backup(cluster: Cluster, folder: Path) -> Backup:
    """pg_basebackup, at its own pace beside the others. It writes its label file, and tablespaces, by itself."""
    folder.mkdir()
    give(folder, cluster.user)
    links = {link.name: link.resolve() for link in (cluster.data_dir / TABLESPACES).iterdir()}
    copies = {oid: folder / "tablespaces" / oid for oid in links}
    mapping = [f"--tablespace-mapping={place}={copies[oid]}" for oid, place in links.items()]
    process = start_program(
        cluster,
        "pg_basebackup",
        *("-D", folder / "data", "--wal-method=none", "--checkpoint=fast", "--no-sync", "--max-rate=20M"),
        *mapping,
        *address(cluster),
    )
    yield
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, f"pg_basebackup was disturbed: {said}"
    spcmapfile = "".join(f"{oid} {place}\n" for oid, place in copies.items())
    return TakenBackup(
        Kind.TOOL, Snapshot(folder / "data", copies), BackupFiles(None, None, spcmapfile), restorable=True
    )
