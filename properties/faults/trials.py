"""Trials: an operation is brought to an injection point, a fault strikes, it is let go; and then all must be well.

How a fault strikes and is healed is said in ``harness.faults.nemesis``, what may come of it in ``expectations``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import sleep
from typing import NamedTuple

from harness.clients.labelfile import parse_label_file
from harness.faults.nemesis import CALLER, Fault, Target, make_role
from harness.machine.processes import runs, titled, wait_gone
from harness.server.cluster import Cluster, ClusterError
from harness.server.durable import state_files
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Pending, Row, Session, SqlError
from harness.server.shared_memory import dynamic_shared_memory, main_shared_memory
from properties.faults.expectations import EXPECTATIONS, GONE
from properties.recording.tally import Tally

PATIENCE = 30.0

START = "SELECT start_lsn FROM shared_backup_start('held', true, '10 s')"
STOP = "SELECT lsn, labelfile, spcmapfile FROM shared_backup_stop('held', {wait})"
WORK = {
    "start": START,
    "stop": STOP.format(wait=True),
    "abort": "SELECT shared_backup_abort('held')",
    "reaper": "SELECT shared_backup_clock_advance('20 s')",
}
"""What comes to the points whose names begin like that."""

COUNTS = "SELECT live, results, results_size, chunks FROM shared_backup_counts()"
BYSTANDER_START, BYSTANDER_STOP = "SELECT pg_backup_start('bystander', true)", "SELECT pg_backup_stop(false)"


@dataclass(frozen=True)
class End:
    """How the operation ended for its caller."""

    rows: list[Row] | None
    sqlstate: str | None = None


def end_of(pending: Pending) -> End:
    """Waits for it."""
    try:
        return End(pending.result(PATIENCE))
    except SqlError as error:
        return End(None, error.sqlstate)


def kind_of(point: str) -> str:
    """What comes to a point: one of WORK."""
    return point.partition("-")[0]


def label_of(point: str | None) -> str | None:
    """The label that a point is attached for: whoever has expired has none any more."""
    return None if point == "reaper-expired" else "held"


class FaultTrials:
    """One server, struck again and again; a backup of core's own stands by, and must not notice."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.points = InjectionPoints(cluster.connect())
        self.admin.execute("CREATE EXTENSION shared_backup")
        self.admin.execute("CREATE EXTENSION shared_backup_instruments")
        make_role(self.admin)
        prepare_probe(self.admin)
        self.use()
        self.memory = self.shared_memory()

    @property
    def admin(self) -> Session:
        return self.points.session

    def points_of(self, fault: Fault) -> list[str]:
        """The points at which a fault makes sense."""
        points = EXPECTATIONS[fault.name].points()
        return [point for point in points if fault.action == "wait" or self.points.may_fail(point)]

    # One trial

    def trial(self, fault: Fault, kind: str, point: str | None = None, delay: float = 0.0) -> str:
        """The fault strikes an operation at a point (else after so many seconds).

        Returns what its caller was told: "ok", or an SQLSTATE. Raises AssertionError if all is not well afterwards.
        """
        target, bystander = self.begin(fault, kind, point)
        sleep(delay)
        with fault.injected(target):
            if fault.restarts:
                self.reconnect()
            elif point is not None:
                self.points.detach(point)
            target.linger()
        end = end_of(target.pending)
        self.check_aftermath(fault, kind, target, bystander, end)
        return end.sqlstate or "ok"

    def begin(self, fault: Fault, kind: str, point: str | None) -> tuple[Target, Session]:
        """A backup of core's own, another to be worked on, and an operation on that, brought to the point."""
        self.clear()
        bystander, caller = self.cluster.connect(), self.cluster.connect(CALLER)
        bystander.execute(BYSTANDER_START)
        start_lsn = None if kind == "start" else caller.execute(START)[0][0]
        self.at_full_strength()
        if fault.before:
            caller.execute(fault.before)
        label = label_of(point)
        if point is not None:
            self.points.attach(point, label, fault.action)
        target = Target(self.cluster, self.points, caller, caller.submit(WORK[kind]), point, start_lsn=start_lsn)
        if point is not None and fault.action == "wait":
            arrived = self.points.arrived(point, label, target.pending.done)
            assert arrived or fault.before, f"the operation ended before {point}"  # its time may be up already
            target.held = self.points.waiting(point, label)
        return target, bystander

    def clear(self) -> None:
        """Nothing is attached, open or remembered, and the clock is ahead, so that it can step back."""
        self.points.detach()
        self.admin.execute("SELECT shared_backup_clock_freeze()")
        for hours in (1, 10, 100, 1000, 10_000):  # it may have been far ahead, and have stepped back
            self.admin.execute("SELECT shared_backup_clock_advance(make_interval(hours => %s))", (hours,))
            if not (left := self.admin.execute("SELECT label, state FROM shared_backups")):
                self.eventually(lambda: not any(self.admin.execute(COUNTS)[0]), "of no backup something is left")
                return
        raise AssertionError(f"after a year there is still {left}")

    def reconnect(self) -> None:
        """The server is another one."""
        self.admin.close()
        self.points.session = self.cluster.await_session(PATIENCE)

    # After a trial

    def check_aftermath(self, fault: Fault, kind: str, target: Target, bystander: Session, end: End) -> None:
        """All is well again; raises AssertionError."""
        expected = EXPECTATIONS[fault.name]
        assert end.sqlstate in (None, *expected.refused(target.point)), f"the caller was told {end.sqlstate}"
        target.caller.close()
        self.eventually(lambda: not runs(target.caller.pid), "the caller's process is still there")
        in_time = kind == "reaper" and target.point is not None  # its time is up, whatever who waited for it was told
        possible = {GONE} if fault.restarts else expected.states(kind, took_place=in_time or end.sqlstate is None)
        state = self.settled()
        assert state in possible, f"the caller was told {end.sqlstate or 'ok'}, and it is {state}, not {possible}"
        if not fault.restarts:
            assert forced_full_page_writes(self.admin), "core has forgotten the bystander's backup"
            bystander.execute(BYSTANDER_STOP)
        bystander.close()
        assert wait_gone([bystander.pid], PATIENCE)
        self.counted(state)
        if state == "stopped":
            self.told_again(end.rows if kind == "stop" else None)
        if state == "active":
            self.admin.execute(WORK["abort"])
            self.counted(GONE)
        self.use()
        self.kept()
        self.alone()

    def settled(self) -> str:
        """The state of the backup, when nobody is at work on it any more."""
        self.nobody_left()  # a worker may yet undo a start whose caller has gone
        at_work = "SELECT label, state FROM shared_backups WHERE state IN ('starting', 'stopping')"
        self.eventually(lambda: not self.admin.execute(at_work), "a backup is left behind in mid-operation")
        rows = self.admin.execute("SELECT state FROM shared_backups WHERE label = 'held'")
        return str(rows[0][0]) if rows else GONE

    def counted(self, state: str) -> None:
        """Core counts a backup exactly if it is live."""
        forced = forced_full_page_writes(self.admin)
        assert forced == (state == "active"), f"{state}, and core {'counts' if forced else 'does not count'} a backup"

    def told_again(self, rows: list[Row] | None) -> None:
        """A stop that is asked again says the same."""
        again = self.admin.execute(STOP.format(wait=False))
        assert again == self.admin.execute(STOP.format(wait=True)) == (rows or again), "a repeated stop differs"
        assert parse_label_file(again[0][1]).label == "held"

    def use(self) -> None:
        """The next backup is as good as any."""
        point = self.admin.execute("SELECT start_lsn FROM shared_backup_start('fresh', true)")[0][0]
        assert forced_full_page_writes(self.admin), "core does not count a fresh backup"
        row = self.admin.execute("SELECT labelfile FROM shared_backup_stop('fresh', false)")[0]
        label_file = parse_label_file(row[0])
        assert (label_file.label, label_file.start_lsn) == ("fresh", point)
        self.counted("stopped")

    def alone(self) -> None:
        """No process is left over, and shared memory is as it was."""
        client = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        self.eventually(lambda: not self.admin.execute(client), "a session is left over")
        self.nobody_left()
        memory = self.shared_memory()
        assert memory == self.memory, f"shared memory (main, dynamic) was {self.memory} and is {memory} bytes"

    def kept(self) -> None:
        """Each backup has its state file, and there is no other."""
        count = "SELECT count(*) FROM shared_backups WHERE current_setting('shared_backup.durable')::bool"
        backups = self.admin.execute(count)[0][0]
        self.eventually(lambda: len(state_files(self.cluster)) == backups, f"{backups} backups, but other files")

    def nobody_left(self) -> None:
        """Of the extension's processes there are at most the reaper and one warm worker."""
        known = "SELECT pid FROM shared_backup_reaper() UNION SELECT warm_pid FROM shared_backup_starter()"

        def nobody() -> bool:
            assert self.cluster.pid is not None
            there = titled(self.cluster.pid, "shared_backup")
            return there <= {pid for (pid,) in self.admin.execute(known)}

        self.eventually(nobody, "a background worker is left over")

    def comes_to(self, point: str) -> bool:
        """Does a process come there? On a PostgreSQL with our patch, starts need no starter to be asked for."""
        return point != "start-requested" or not self.cluster.build.postgres.detaches_backups

    def at_full_strength(self) -> None:
        """There is a reaper, and where starts need them, a warm worker."""
        pids = "pid" if self.cluster.build.postgres.detaches_backups else "pid, warm_pid"
        there = f"SELECT {pids} FROM shared_backup_reaper(), shared_backup_starter()"
        self.eventually(lambda: None not in self.admin.execute(there)[0], "reaper or warm worker has not come back")

    def shared_memory(self) -> tuple[int, int]:
        """Bytes: what the server allocated at its start, and the files of its dynamic shared memory."""
        return main_shared_memory(self.admin, "_%"), dynamic_shared_memory(self.cluster)

    def eventually(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Raises AssertionError if it does not hold before long."""
        try:
            self.cluster.wait_until(holds, PATIENCE, otherwise)
        except ClusterError:
            raise AssertionError(otherwise) from None


# Many of them


class Case(NamedTuple):
    """A trial, in words."""

    fault: str
    point: str
    trial: Callable[[], str]
    """Has the fault strike, and returns what the caller was told; raises an exception unless all is well afterwards."""
    about: str = ""
    """What it strikes, if the point does not tell."""


def survive(trials: FaultTrials, tally: Tally, case: Case) -> None:
    """Its trial ends well; or else the next one has a server to which nothing has happened."""
    try:
        with tally.example():
            tally.count_fault(case.fault, case.point, case.trial)
            tally.steps += 1
    except Exception as error:
        error.add_note(f"{case.fault} at {case.point} {case.about}".rstrip())
        trials.cluster.restart("immediate")
        trials.reconnect()
        raise


def survive_all(trials: FaultTrials, tally: Tally, cases: Iterable[Case]) -> None:
    """All their trials end well; each takes place."""
    failed = []
    for case in cases:
        try:
            survive(trials, tally, case)
        except Exception as error:
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {tally.examples} were not survived", failed)
