"""The nemesis (Jepsen's word): faults that strike an operation while it is under way, and how each is healed."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from harness.clients.labelfile import lsn_to_int
from harness.machine.processes import descendants
from harness.server.cluster import Cluster
from harness.server.injection_points import InjectionPoints
from harness.server.node import give
from harness.server.session import CONNECTION_FAILURE, Pending, Session, SqlError

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

CANCELED, SHUT_DOWN, CRASHED = "57014", "57P01", "57P02"
NO_WORKER, LIMIT, INTERNAL, NO_FILE = "53000", "53400", "XX000", "42809"
BUSY, NOT_SO, UNKNOWN_LABEL, NO_RIGHT = "55006", "55000", "42704", "42501"
DYING = frozenset({SHUT_DOWN, CRASHED, CONNECTION_FAILURE})


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
    healing: ExitStack = field(default_factory=ExitStack)
    """What undoes the fault."""

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
    inject: Callable[[Target], None]
    refusals: frozenset[str] = frozenset()
    """The SQLSTATEs that the caller may see; he may always see success."""
    early: frozenset[str] = frozenset()
    """The SQLSTATEs that he may see as well if it strikes before the operation has been looked at."""
    points: tuple[str, ...] = ("start", "stop", "abort", "reaper")
    """It strikes at the points whose names begin so; why not at others is said beside it in FAULTS."""
    briefly: tuple[str, ...] = ()
    """The only points where it strikes if there is little time, because it takes a second to heal."""
    leaves: frozenset[str] = frozenset()
    """States that it may leave the backup in, beside that from before the operation and that from after it."""
    restarts: bool = False
    """The server restarts, and forgets everything."""
    before: str | None = None
    """What the caller's session says first."""
    after: Callable[[Target], None] = Target.linger
    """What follows when the operation has been let go, before the fault is healed."""
    action: str = "wait"
    """How the point is attached."""


# To the caller, the worker or the reaper


def fail(target: Target) -> None:
    """The point itself raises an error."""
    target.cluster.wait_until(lambda: target.points.attached()[0].passed == 1, PATIENCE, "the error to be raised")


def time_out(target: Target) -> None:
    """The caller's session has said how long it may take."""
    target.linger(0.2)


def cancel(target: Target) -> None:
    """The client asks for it."""
    target.pending.cancel()
    target.linger()


def cancel_whoever_is_there(target: Target) -> None:
    """pg_cancel_backend, for workers too."""
    target.admin.execute("SELECT pg_cancel_backend(%s)", (target.victim,))
    target.linger()


def terminate_caller(target: Target) -> None:
    """pg_terminate_backend."""
    target.admin.execute("SELECT pg_terminate_backend(%s)", (target.caller.pid,))
    target.linger()


def terminate(title: str) -> Callable[[Target], None]:
    """SIGTERM to all processes of that title: those that use no database are not in pg_stat_activity."""

    def inject(target: Target) -> None:
        for pid in titled(target.cluster, title):
            os.kill(pid, signal.SIGTERM)
        target.linger()

    return inject


def titled(cluster: Cluster, title: str) -> set[int]:
    """The server's processes whose title says that."""
    assert cluster.pid is not None
    found = set()
    for pid in descendants(cluster.pid):
        with suppress(OSError):  # it has just ended
            if title.encode() in Path("/proc", str(pid), "cmdline").read_bytes():
                found.add(pid)
    return found


def vanish(target: Target) -> None:
    """The client is dead, and does not say so."""
    target.caller.vanish()
    target.linger()


def suspend(target: Target) -> None:
    """SIGSTOP; meanwhile others can start and stop backups."""
    os.kill(target.victim, signal.SIGSTOP)
    target.healing.callback(os.kill, target.victim, signal.SIGCONT)
    target.admin.execute("SELECT shared_backup_start('beside', true)")
    target.admin.execute("SELECT shared_backup_abort('beside')")


# To the server


def kill_whoever_is_there(target: Target) -> None:
    """SIGKILL of one process: the server restarts by itself."""
    os.kill(target.victim, signal.SIGKILL)
    target.cluster.wait_until(
        lambda: not answers(target.admin), PATIENCE, "the server to notice that a process was killed"
    )


def kill_postmaster(target: Target) -> None:
    """SIGKILL of the postmaster alone: its children notice."""
    if target.cluster.pid is not None:
        os.kill(target.cluster.pid, signal.SIGKILL)
    target.cluster.wait_until(lambda: target.cluster.pid is None, PATIENCE, "the postmaster to be gone")
    target.cluster.start()


def restart(kind: str) -> Callable[[Target], None]:
    """All processes end at once, and the server is started again."""
    return lambda target: target.cluster.restart(kind)


def answers(session: Session) -> bool:
    """Is the session's server there?"""
    try:
        return session.execute("SELECT true") == [(True,)]
    except SqlError:
        return False


# To what an operation needs


def use_up_workers(target: Target) -> None:
    """Other starts have all the background workers, and keep them."""
    for number in count():
        label, session = f"hog {number}", target.cluster.connect()
        target.healing.callback(session.close)
        target.points.attach("start-taken", label)
        pending = session.submit("SELECT shared_backup_start(%s, true)", (label,))
        if not target.points.arrived("start-taken", label, pending.done):
            break
        target.healing.callback(target.admin.execute, "SELECT shared_backup_abort(%s)", (label,))
        target.healing.callback(pending.result, PATIENCE)
        target.healing.callback(target.points.detach, "start-taken")


def spoil_history_file(target: Target) -> None:
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
        target.healing.callback(path.rmdir)


def close_archive(target: Target) -> None:
    """Nothing can be written to the archive's folder."""
    folder = target.cluster.archive_dir
    assert folder is not None
    folder.chmod(0o500)
    target.healing.callback(configure, target, {})  # the archiver tries again
    target.healing.callback(folder.chmod, 0o755)


def fail_archiving(target: Target) -> None:
    """archive_command fails."""
    command = target.cluster.settings["archive_command"]
    configure(target, {"archive_command": "false"})
    target.healing.callback(configure, target, {"archive_command": command})


def cancel_waiting(target: Target) -> None:
    """The stop waits for the archive, and is told not to."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'BackupWaitWalArchive'"
    target.cluster.wait_until(
        lambda: target.pending.done() or bool(target.admin.execute(waiting, (target.caller.pid,))),
        PATIENCE,
        "the stop to wait for the archive",
    )
    cancel(target)


# By another session


def meddle(work: str) -> Callable[[Target], None]:
    """Another session ends the same backup, or is told that it can not."""

    def inject(target: Target) -> None:
        try:
            target.admin.execute(work)
        except SqlError as error:
            if error.sqlstate not in (BUSY, NOT_SO, UNKNOWN_LABEL):
                raise

    return inject


# To time, settings and rights


def clock_forwards(target: Target) -> None:
    """Past the backup's deadline; the reaper, which may be held, is not waited for."""
    session = target.cluster.connect()
    pending = session.submit("SELECT shared_backup_clock_advance('20 s')")
    target.healing.callback(session.close)
    target.healing.callback(pending.result, PATIENCE)
    target.linger()


def clock_back(target: Target) -> None:
    """By as much as it was ahead."""
    target.admin.execute("SELECT shared_backup_clock_release()")


NEW_SETTINGS = {
    "shared_backup.max_backups": "0",
    "shared_backup.ttl": "5s",
    "shared_backup.stop_policy": "owner",
    "shared_backup.result_retention": "1min",
}


def change_settings(target: Target) -> None:
    """All that can be reloaded."""
    target.healing.callback(configure, target, dict.fromkeys(NEW_SETTINGS))
    configure(target, NEW_SETTINGS)


def configure(target: Target, settings: dict[str, str] | dict[str, None]) -> None:
    """Reloads the configuration with these settings, without waiting for processes that may be held."""
    target.cluster.configure(settings)
    target.cluster.reload(sessions=[target.admin])


def drop_role(target: Target) -> None:
    """The caller's."""
    target.admin.execute(f"DROP OWNED BY {CALLER}")
    target.admin.execute(f"DROP ROLE {CALLER}")
    target.healing.callback(make_role, target.admin)


def revoke(target: Target) -> None:
    """The caller may not do it any more."""
    target.admin.execute(REVOKE)
    target.healing.callback(target.admin.execute, GRANT)


def make_role(admin: Session) -> None:
    """The caller's role, with all the rights that it needs."""
    admin.execute(f"CREATE ROLE {CALLER} LOGIN")
    admin.execute(GRANT)


CALLED = ("start", "stop", "abort")
"""Not the reaper, to which nobody calls."""

FAULTS = (
    Fault("cancel", cancel, frozenset({CANCELED}), points=CALLED),
    # a reaper that was cancelled is another's beginning; the caller waits for that one
    Fault("pg_cancel_backend", cancel_whoever_is_there, frozenset({CANCELED})),
    Fault("statement_timeout", time_out, frozenset({CANCELED}), points=CALLED,
          before="SET statement_timeout = '100ms'"),
    Fault("terminate caller", terminate_caller, DYING),
    Fault("terminate starter", terminate("shared_backup starter"), frozenset({SHUT_DOWN}),
          briefly=("start-requested", "start-taken", "start-point-taken")),
    Fault("terminate reaper", terminate("shared_backup reaper"),
          briefly=("start-requested", "stop-core-ended", "reaper-expiring", "reaper-expired")),
    Fault("client gone", vanish, DYING, before="SET client_connection_check_interval = '5ms'"),
    Fault("client gone, unnoticed", vanish, DYING),
    Fault("SIGSTOP", suspend),
    Fault("error", fail, frozenset({INTERNAL}), leaves=frozenset({"gone"}), action="error"),
    Fault("another session's abort", meddle("SELECT shared_backup_abort('held')"),
          early=frozenset({BUSY, UNKNOWN_LABEL}), leaves=frozenset({"gone"})),
    Fault("another session's stop", meddle("SELECT shared_backup_stop('held', false)"),
          early=frozenset({BUSY, NOT_SO}), leaves=frozenset({"stopped"})),
    # a start takes no longer than it takes to get its worker; others need none
    Fault("no worker left", use_up_workers, frozenset({NO_WORKER}), points=("start",)),
    # core's last act in a stop is to write it, and it comes after the backup has ended: it is lost, as with core
    Fault("history file not writable", spoil_history_file, frozenset({NO_FILE}), points=("stop-claimed",),
          leaves=frozenset({"gone"})),
    # nobody else waits for the archive
    Fault("archive not writable", close_archive, points=("stop",)),
    Fault("archive_command failing", fail_archiving, frozenset({CANCELED}), points=("stop",),
          after=cancel_waiting),
    Fault("clock forwards", clock_forwards, early=frozenset({NOT_SO}), leaves=frozenset({"expired"})),
    Fault("clock back", clock_back, leaves=frozenset({"active"})),
    Fault("settings reloaded", change_settings, early=frozenset({LIMIT})),
    Fault("role dropped", drop_role, early=frozenset({NO_RIGHT}), points=CALLED),
    Fault("EXECUTE revoked", revoke, early=frozenset({NO_RIGHT}), points=CALLED),
    Fault("SIGKILL of a backend", kill_whoever_is_there, DYING, restarts=True),
    Fault("SIGKILL of the postmaster", kill_postmaster, DYING, restarts=True),
    Fault("SIGQUIT of the postmaster", restart("immediate"), DYING, restarts=True),
    Fault("power cut", restart("crash"), DYING, restarts=True),
)  # fmt: skip
