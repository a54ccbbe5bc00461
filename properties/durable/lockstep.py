"""Durable backups on a server that restarts, with the model beside it, and sessions that write all the while."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from shutil import copyfile

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE
from harness.machine.scratch import temporary_folder
from harness.restore.workload import Step, archive_all, open_with_workload, transfers
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster
from harness.server.durable import SETTINGS, resumed
from harness.server.injection_points import InjectionPoints
from harness.server.probes import prepare_probe
from harness.server.session import Row, Session, SqlError
from model.operations import Hazard, Restart, RestartKind
from properties.recording.tally import Tally
from properties.support.server_lockstep import ServerLockstep, Stopped

SERVER = {
    **SETTINGS,
    "shared_preload_libraries": "shared_backup",
    "shared_buffers": "1MB",  # so little that the server writes pages all the time
    "max_prepared_transactions": "10",
    "full_page_writes": "on",
}
LONG_GAP = {"wal_keep_size": "256MB"}
"""For gaps that are held open: nothing but the archive keeps WAL until the reaper reserves it."""

PARTS = 8
RESERVE = (
    "CREATE TABLE reserve (part int, ballast text) WITH (fillfactor = 50)",
    "INSERT INTO reserve SELECT part, repeat('x', 100)"
    f" FROM generate_series(0, {PARTS - 1}) part, generate_series(1, 1500) ORDER BY part",
)
"""Pages that nobody changes for a while. Once the WAL of a backup has a page as a whole, it mends that page whenever it
is torn: what protects the copy later on shows in pages that are new to it."""

REFUSED = "55000"
PATIENCE = 30.0
PAUSE = 0.005


class Fall(StrEnum):
    """How the server goes down."""

    FAST = "fast shutdown"
    IMMEDIATE = "immediate shutdown"
    POSTMASTER = "postmaster killed"
    BACKEND = "backend killed"

    @property
    def kind(self) -> RestartKind:
        """What the model calls it."""
        kinds = {Fall.FAST: RestartKind.FAST, Fall.IMMEDIATE: RestartKind.IMMEDIATE}
        return kinds.get(self, RestartKind.CRASH)


def bring_down_and_up(server: Cluster, fall: Fall, while_down: Callable[[], object] | None = None) -> None:
    """Restarts the server, and returns when it accepts connections; it is down as a whole while that is done."""
    if fall is not Fall.BACKEND:
        server.go_down(fall.kind)
        if while_down is not None:
            while_down()
        server.start()
        return
    assert while_down is None, "a server whose backend is killed comes up again by itself"
    position = server.log_position()
    victim = server.connect()
    os.kill(victim.pid, signal.SIGKILL)
    down = lambda: "all server processes terminated; reinitializing" in server.log_since(position)  # noqa: E731
    server.wait_until(down, PATIENCE, "the server to go down because a backend was killed")
    victim.close()
    server.await_session(PATIENCE).close()


@contextmanager
def archiving(server: Cluster) -> Iterator[None]:
    """While the block runs, WAL is archived, if need be by hand.

    If all processes crash soon after the start of the server, the archiver does not come back before 10 s have passed
    since then (PGARCH_RESTART_INTERVAL), and somebody connects.
    """
    session, over = server.connect(), threading.Event()
    there = session.execute("SELECT FROM pg_stat_activity WHERE backend_type = 'archiver'")
    session.close()

    def archive() -> None:
        while not over.wait(PAUSE):
            archive_by_hand(server)

    thread = threading.Thread(target=archive)
    if there:
        yield
        return
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def archive_by_hand(server: Cluster) -> None:
    """What the archiver would do now."""
    wal = server.data_dir / "pg_wal"
    assert server.archive_dir is not None
    for ready in sorted((wal / "archive_status").glob("*.ready")):
        part = server.archive_dir / f"{ready.stem}.by_hand"
        copyfile(wal / ready.stem, part)
        part.rename(server.archive_dir / ready.stem)
        ready.rename(ready.with_suffix(".done"))


class DurableLockstep(ServerLockstep):
    """Backups that survive the restarts of their server, and the model of them."""

    def __init__(self, server: Cluster, tally: Tally, design: str = DURABLE.name) -> None:
        super().__init__(server, DURABLE, tally)
        self.design = design
        """The report's name for what is taken here."""
        self.session = resumed(server)
        """A superuser's, of the server as it is up now."""
        self.survival_cases: dict[str, SurvivalCase] = {}
        """What each backup has gone through, by its label."""

    def start(self, label: str) -> str:
        """Starts a backup; returns the start point."""
        self.survival_cases[label] = SurvivalCase(self.design)
        return super().start(label)

    def fall(
        self,
        fall: Fall,
        hazard: Hazard | None = None,
        in_the_gap: Callable[[Session], object] | None = None,
        but: str = "",
        *,
        while_down: Callable[[], object] | None = None,
        compare: bool = True,
    ) -> None:
        """Restarts the server, and compares what is live when the backups are back.

        ``in_the_gap``: done after the restart, before anybody tells core again of the backups that were open.
        ``but``: what is wrong with them afterwards, in the words of the report.
        ``while_down``: done before the server is started again.
        ``compare``: false where a stop will be judged first (``properties.durable.judged``), and compares.
        """
        if in_the_gap is not None:
            InjectionPoints(self.session).attach("resume-begun")
            self.session.execute("SELECT shared_backup_injection_points_keep()")
        self.session.close()
        bring_down_and_up(self.server, fall, while_down)
        if in_the_gap is not None:
            points = InjectionPoints(self.server.connect())
            assert points.arrived("resume-begun")
            in_the_gap(points.session)
            points.detach()
            points.session.close()
        self.crossed(fall, hazard, but, compare=compare)

    def fall_twice(
        self,
        fall: Fall,
        in_the_gap: Callable[[Session], object],
        hazard: Hazard | None = None,
        but: str = "",
        *,
        while_down: Callable[[], object] | None = None,
        while_down_again: Callable[[], object] | None = None,
        compare: bool = True,
    ) -> None:
        """Like ``fall``, but the server is killed in the gap, and comes to the backups at the next start only."""
        InjectionPoints(self.session).attach("resume-begun")
        self.session.execute("SELECT shared_backup_injection_points_keep()")
        self.session.close()
        bring_down_and_up(self.server, fall, while_down)
        points = InjectionPoints(self.server.connect())
        assert points.arrived("resume-begun")
        in_the_gap(points.session)
        points.session.close()
        bring_down_and_up(self.server, Fall.POSTMASTER, while_down_again)
        self.went_through(fall)
        self.crossed(Fall.POSTMASTER, hazard, but, compare=compare)

    def crossed(self, fall: Fall, hazard: Hazard | None = None, but: str = "", *, compare: bool = True) -> None:
        """The server has fallen and is up again, however that came to be: see ``fall``."""
        self.went_through(fall, but)
        self.back(Restart(fall.kind, hazard), compare=compare)

    def promoted(self, how: str) -> None:
        """The server, a standby, has been promoted; to its backups that is nothing, but for the report."""
        self.went_through(how)
        self.agreed()

    def went_through(self, what: str, but: str = "") -> None:
        """What is live has, in the words of the report; ``but``: what is wrong with it afterwards."""
        for label in (label for label, backup in self.model.backups if backup.live):
            self.survival_cases[label] = self.survival_cases[label].through(what, but)

    def back(self, restart: Restart, *, compare: bool = True) -> None:
        """The server is up again."""
        self.play(restart)
        self.session = resumed(self.server)
        if compare:
            self.agreed()

    def stop(self, label: str) -> Stopped:
        """Stops a backup."""
        with archiving(self.server):
            return super().stop(label)

    def archive(self) -> None:
        """All WAL written so far."""
        with archiving(self.server):
            archive_all(self.server, self.session)

    def refusal(self, label: str) -> SqlError:
        """How the stop of a lost backup is refused, on which the model agrees."""
        with pytest.raises(SqlError) as refusal:
            self.stop(label)
        assert refusal.value.sqlstate == REFUSED, refusal.value
        self.tally.refused(self.survival_cases[label], refusal.value)
        return refusal.value

    def does(self, *steps: Step, chance: Random) -> list[Callable[[], None]]:
        """These steps, each to be done in the session that there is then."""
        return [lambda step=step: step(self.session, chance) for step in steps]  # type: ignore[misc]

    def rows(self) -> list[Row]:
        """Label and state of each backup."""
        return self.session.execute("SELECT label, state FROM shared_backups ORDER BY label")


@dataclass(frozen=True)
class DurableServer:
    """A server with the workload, its WAL archived, and a folder for copies."""

    origin: Cluster
    copies: Path
    backups: DurableLockstep

    @property
    def session(self) -> Session:
        """A superuser's."""
        return self.backups.session


@contextmanager
def open_durable(build: Build, settings: Mapping[str, str], *, tablespace: bool = False) -> Iterator[Cluster]:
    """A fresh server with the workload and the probe, its WAL archived; gone when the block ends."""
    with open_with_workload(build, {**SERVER, **settings}, DURABLE, tablespace=tablespace) as server:
        session = server.connect()
        prepare_probe(session)
        session.close()
        yield server


@contextmanager
def durable_server(
    build: Build, tally: Tally, settings: Mapping[str, str] | None = None, *, tablespace: bool = False
) -> Iterator[DurableServer]:
    """One example on a fresh server; all is gone when the block ends."""
    with (
        tally.example(),
        temporary_folder() as copies,
        open_durable(build, settings or {}, tablespace=tablespace) as origin,
    ):
        session = origin.connect()
        for statement in RESERVE:
            session.execute(statement)
        session.close()
        yield DurableServer(origin, copies, DurableLockstep(origin, tally))


def change(part: int) -> Step:
    """All pages of a part of the reserve are changed, and written to their file."""

    def step(session: Session, chance: Random) -> None:
        session.execute(f"UPDATE reserve SET ballast = repeat('{chance.choice('abcdefgh')}', 100) WHERE part = {part}")
        session.execute("CHECKPOINT")

    return step


def read_reserve(session: Session) -> None:
    """All pages of the reserve are read for the first time, and written: whoever reads them later leaves them, and WAL,
    alone. (To read rows that were committed since sets hint bits, and with checksums the WAL has such pages whole.)"""
    session.execute("SELECT count(*) FROM reserve")
    session.execute("CHECKPOINT")


# Sessions that write


class Writers:
    """Sessions that do one transaction after another, each in a thread; a restart makes them connect again."""

    def __init__(self, server: Cluster, count: int) -> None:
        self.server = server
        self.over = threading.Event()
        self.connected = 0
        """How often, all together."""
        self.threads = [threading.Thread(target=self.write, args=(Random(number),)) for number in range(count)]

    def write(self, chance: Random) -> None:
        """What one of them does."""
        while not self.over.is_set():
            with suppress(SqlError):
                session = self.server.connect()
                self.connected += 1
                try:
                    while not self.over.is_set():
                        transfers(session, chance)
                        time.sleep(PAUSE)  # or else nothing else of this program gets anywhere
                finally:
                    session.close()
            time.sleep(PAUSE)


@contextmanager
def writing(server: Cluster, count: int = 2) -> Iterator[Writers]:
    """So many of them write while the block runs."""
    writers = Writers(server, count)
    for thread in writers.threads:
        thread.start()
    try:
        yield writers
    finally:
        writers.over.set()
        for thread in writers.threads:
            thread.join()


# What a restored server has of them

MISSED_FILE = 'could not remove file "pg_twophase/FFFFFFFF'
"""PostgreSQL 17 and 18 lose a transaction that was prepared, and written out by a checkpoint, while any base backup was
made; this is in the log then. The first of the findings in ``properties/findings/README.md`` tells why."""


def what_it_remembers(copy: Cluster, label: str | None, prepared: frozenset[str]) -> Iterable[str]:
    """Flaws of a restored server: it has the state files of the server that it is a copy of, and must not believe them;
    and it has its prepared transactions, which this rolls back."""
    session = resumed(copy)
    try:
        rows: dict[str, str] = dict(session.execute("SELECT label, state FROM shared_backups"))
        if label is not None and label not in rows:
            yield f"the copy knows nothing of the backup {label}"
        for found, state in rows.items():
            if state != "lost":
                yield f"the copy takes the backup {found} for {state}"
        if label in rows and "is a copy of the one" not in (detail := detail_of_stop(session, label)):
            yield f"the copy says of the backup {label}: {detail}"
        there = {row[0] for row in session.execute("SELECT gid FROM pg_prepared_xacts")}
        if there != prepared and not (there < prepared and MISSED_FILE in copy.log_since(0)):
            yield f"of the prepared transactions {sorted(prepared)} it has {sorted(there)}"
        for gid in there:
            session.execute(f"ROLLBACK PREPARED '{gid}'")
    finally:
        session.close()


def detail_of_stop(session: Session, label: str | None) -> str:
    """Why it cannot be stopped."""
    try:
        session.execute("SELECT shared_backup_stop(%s, false)", (label,))
    except SqlError as error:
        return error.detail or f"{error}"
    return "it can be stopped"
