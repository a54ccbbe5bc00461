"""The nemesis (Jepsen's word): faults that strike an operation while it is under way, and how each is healed.

A fault is a function and a row of FAULTS. What the function does before its ``yield`` is the fault; then the operation
is let go; what it does after that heals. What may become of the operation is no matter of this file: the table in
``properties/faults/expectations.py`` says it, with a row for each fault.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import NamedTuple

from harness.machine.processes import stopped, titled
from harness.server.cluster import Cluster
from harness.server.injection_points import InjectionPoints
from harness.server.node import give
from harness.server.session import Pending, Session, SqlError
from harness.server.wal import lsn_to_int
from model.outcomes import SqlState

PATIENCE = 30.0
BRIEFLY = 0.02
"""Seconds within which a fault is felt, if it is."""

CALLER = "caller"
"""The role that calls for the operation."""
GRANT = (
    "GRANT EXECUTE ON FUNCTION shared_backup_start, shared_backup_stop, shared_backup_abort,"
    f" shared_backup_clock_advance TO {CALLER}"
)
REVOKE = GRANT.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")


@dataclass
class Target:
    """An operation under way: its caller, and the processes that wait at a point, if it was brought to one."""

    cluster: Cluster
    points: InjectionPoints
    caller: Session
    pending: Pending
    point: str | None = None
    """The point; None: it is struck at any moment."""
    held: tuple[int, ...] = ()
    start_lsn: str | None = None
    """Of the backup that is to be stopped, if there is one."""

    @property
    def admin(self) -> Session:
        """A superuser's session."""
        return self.points.session

    @property
    def victim(self) -> int:
        """The process that waits at the point, else the caller's."""
        return self.held[0] if self.held else self.caller.pid

    def linger(self, seconds: float = BRIEFLY) -> None:
        """Lets the fault be felt: returns when the operation has ended, or after that time."""
        deadline = time.monotonic() + seconds
        while not self.pending.done() and time.monotonic() < deadline:
            time.sleep(0.001)


class Fault(NamedTuple):
    """What strikes an operation that has been brought to a point, before it is let go again."""

    name: str
    inject_and_heal: Callable[[Target], Iterator[None]]
    """Before its ``yield`` it injects the fault; after it, when the operation was let go, it heals."""
    before: str | None = None
    """What the caller's session says before it calls for the operation."""
    restarts: bool = False
    """The server restarts, and forgets everything."""
    action: str = "wait"
    """How the point is attached."""

    @contextmanager
    def injected(self, target: Target) -> Iterator[None]:
        """It has struck when the block begins, and is healed when the block ends, also if that fails."""
        course = self.inject_and_heal(target)
        next(course)
        try:
            yield
        finally:
            next(course, None)


# To the caller, the worker or the reaper


def fail(target: Target) -> Iterator[None]:
    """The point itself raises an error."""
    target.cluster.wait_until(lambda: target.points.attached()[0].passed == 1, PATIENCE, "the error to be raised")
    yield


def time_out(target: Target) -> Iterator[None]:
    """The caller's session has said how long it may take."""
    target.linger(0.2)
    yield


def cancel(target: Target) -> Iterator[None]:
    """The client asks for it."""
    target.pending.cancel()
    target.linger()
    yield


def cancel_whoever_is_there(target: Target) -> Iterator[None]:
    """pg_cancel_backend, for workers too."""
    target.admin.execute("SELECT pg_cancel_backend(%s)", (target.victim,))
    target.linger()
    yield


def terminate_caller(target: Target) -> Iterator[None]:
    """pg_terminate_backend."""
    target.admin.execute("SELECT pg_terminate_backend(%s)", (target.caller.pid,))
    target.linger()
    yield


def terminate(title: str, target: Target) -> Iterator[None]:
    """SIGTERM to all processes of that title: those that use no database are not in pg_stat_activity."""
    assert target.cluster.pid is not None
    for pid in titled(target.cluster.pid, title):
        os.kill(pid, signal.SIGTERM)
    target.linger()
    yield


def vanish(target: Target) -> Iterator[None]:
    """The client is dead, and does not say so."""
    target.caller.vanish()
    target.linger()
    yield


def suspend(target: Target) -> Iterator[None]:
    """SIGSTOP; where it waits at a point, others can start and stop backups meanwhile.

    Elsewhere it may hold one of core's own locks, and everybody waits until it goes on.
    """
    with stopped(target.victim):
        if target.held:
            target.admin.execute("SELECT shared_backup_start('beside', true)")
            target.admin.execute("SELECT shared_backup_abort('beside')")
        else:
            target.linger()
        yield


# To the server


def kill_whoever_is_there(target: Target) -> Iterator[None]:
    """SIGKILL of one process: the server restarts by itself."""
    os.kill(target.victim, signal.SIGKILL)
    target.cluster.wait_until(
        lambda: not target.admin.answers(), PATIENCE, "the server to notice that a process was killed"
    )
    yield


def kill_postmaster(target: Target) -> Iterator[None]:
    """SIGKILL of the postmaster alone: its children notice."""
    if target.cluster.pid is not None:
        os.kill(target.cluster.pid, signal.SIGKILL)
    target.cluster.wait_until(lambda: target.cluster.pid is None, PATIENCE, "the postmaster to be gone")
    target.cluster.start()
    yield


def restart(kind: str, target: Target) -> Iterator[None]:
    """All processes end at once, and the server is started again."""
    target.cluster.restart(kind)
    yield


# To what an operation needs


def use_up_workers(target: Target) -> Iterator[None]:
    """Other starts have all the background workers, and keep them."""
    with ExitStack() as hogs:
        for number in count():
            label, session = f"hog {number}", target.cluster.connect()
            hogs.callback(session.close)
            target.points.attach("start-taken", label)
            pending = session.submit("SELECT shared_backup_start(%s, true)", (label,))
            if not target.points.arrived("start-taken", label, pending.done):
                break
            hogs.callback(target.admin.execute, "SELECT shared_backup_abort(%s)", (label,))
            hogs.callback(pending.result, PATIENCE)
            hogs.callback(target.points.detach, "start-taken")
        yield


def spoil_history_file(target: Target) -> Iterator[None]:
    """A folder lies where core is to write the backup's history file."""
    assert target.start_lsn is not None
    row = target.admin.execute(
        "SELECT pg_walfile_name(%s::pg_lsn), pg_size_bytes(current_setting('wal_segment_size'))", (target.start_lsn,)
    )[0]
    offset = lsn_to_int(target.start_lsn) % int(row[1])
    path = target.cluster.data_dir / "pg_wal" / f"{row[0]}.{offset:08X}.backup"
    with suppress(FileExistsError):  # the stop was faster
        path.mkdir()
        give(path, target.cluster.user)
    yield
    if path.is_dir():
        path.rmdir()


def close_archive(target: Target) -> Iterator[None]:
    """Nothing can be written to the archive's folder."""
    folder = target.cluster.archive_dir
    assert folder is not None
    folder.chmod(0o500)
    yield
    folder.chmod(0o755)
    configure(target, {})  # the archiver tries again


def fail_archiving(target: Target) -> Iterator[None]:
    """archive_command fails; the stop that waits for the archive is told not to."""
    command = target.cluster.settings["archive_command"]
    configure(target, {"archive_command": "false"})
    yield
    waiting = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'BackupWaitWalArchive'"
    target.cluster.wait_until(
        lambda: target.pending.done() or bool(target.admin.execute(waiting, (target.caller.pid,))),
        PATIENCE,
        "the stop to wait for the archive",
    )
    target.pending.cancel()
    target.linger()
    configure(target, {"archive_command": command})


# By another session


def meddle(work: str, target: Target) -> Iterator[None]:
    """Another session ends the same backup, or is told that it can not."""
    no_longer = (SqlState.OBJECT_IN_USE, SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE, SqlState.UNDEFINED_OBJECT)
    try:
        target.admin.execute(work)
    except SqlError as error:
        if error.sqlstate not in no_longer:
            raise
    yield


# To time, settings and rights


def clock_forwards(target: Target) -> Iterator[None]:
    """Past the backup's deadline; the reaper, which may be held, is not waited for."""
    session = target.cluster.connect()
    pending = session.submit("SELECT shared_backup_clock_advance('20 s')")
    target.linger()
    yield
    pending.result(PATIENCE)
    session.close()


def clock_back(target: Target) -> Iterator[None]:
    """By as much as it was ahead."""
    target.admin.execute("SELECT shared_backup_clock_release()")
    yield


NEW_SETTINGS = {
    "shared_backup.max_backups": "0",
    "shared_backup.ttl": "5s",
    "shared_backup.stop_policy": "owner",
    "shared_backup.result_retention": "1min",
}


def change_settings(target: Target) -> Iterator[None]:
    """All that can be reloaded."""
    configure(target, NEW_SETTINGS)
    yield
    configure(target, dict.fromkeys(NEW_SETTINGS))


def configure(target: Target, settings: dict[str, str] | dict[str, None]) -> None:
    """Reloads the configuration with these settings, without waiting for processes that may be held."""
    target.cluster.configure(settings)
    target.cluster.reload(sessions=[target.admin])


def drop_role(target: Target) -> Iterator[None]:
    """The caller's."""
    target.admin.execute(f"DROP OWNED BY {CALLER}")
    target.admin.execute(f"DROP ROLE {CALLER}")
    yield
    make_role(target.admin)


def revoke(target: Target) -> Iterator[None]:
    """The caller may not do it any more."""
    target.admin.execute(REVOKE)
    yield
    target.admin.execute(GRANT)


def make_role(admin: Session) -> None:
    """The caller's role, with all the rights that it needs."""
    admin.execute(f"CREATE ROLE {CALLER} LOGIN")
    admin.execute(GRANT)


KILL_OF_A_PROCESS = Fault("SIGKILL of a backend", kill_whoever_is_there, restarts=True)
KILL_OF_THE_POSTMASTER = Fault("SIGKILL of the postmaster", kill_postmaster, restarts=True)

FAULTS = (
    Fault("cancel", cancel),
    Fault("pg_cancel_backend", cancel_whoever_is_there),
    Fault("statement_timeout", time_out, before="SET statement_timeout = '100ms'"),
    Fault("terminate caller", terminate_caller),
    Fault("terminate starter", partial(terminate, "shared_backup starter")),
    Fault("terminate reaper", partial(terminate, "shared_backup reaper")),
    Fault("client gone", vanish, before="SET client_connection_check_interval = '5ms'"),
    Fault("client gone, unnoticed", vanish),
    Fault("SIGSTOP", suspend),
    Fault("error", fail, action="error"),
    Fault("another session's abort", partial(meddle, "SELECT shared_backup_abort('held')")),
    Fault("another session's stop", partial(meddle, "SELECT shared_backup_stop('held', false)")),
    Fault("no worker left", use_up_workers),
    Fault("history file not writable", spoil_history_file),
    Fault("archive not writable", close_archive),
    Fault("archive_command failing", fail_archiving),
    Fault("clock forwards", clock_forwards),
    Fault("clock back", clock_back),
    Fault("settings reloaded", change_settings),
    Fault("role dropped", drop_role),
    Fault("EXECUTE revoked", revoke),
    KILL_OF_A_PROCESS,
    KILL_OF_THE_POSTMASTER,
    Fault("SIGQUIT of the postmaster", partial(restart, "immediate"), restarts=True),
    Fault("power cut", partial(restart, "crash"), restarts=True),
)
