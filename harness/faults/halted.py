"""A start of a server after a crash that is held, by signals, where crash recovery ends (Linux).

The startup process has the checkpointer write the checkpoint that ends recovery, waits for it, and then declares
recovery to be over. The checkpointer reads the configuration in between if it is told to; and what it makes of it then,
while recovery is not over, it does not write to the WAL (UpdateFullPageWrites() in xlog.c).

The instrumented extension holds the startup process before redo, so that both processes are found in time; then only
one of the two runs at a time. So nothing here depends on how fast the machine is.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from harness.machine.processes import descendants, runs, titled
from harness.server.cluster import Cluster, ClusterError
from harness.server.controldata import CHECKPOINT, control_data

STARTUP, CHECKPOINTER = "startup", "checkpointer"
SOON = 0.3
"""Seconds in which a checkpoint that was asked for is there; otherwise the asking is looked at again."""
PATIENCE = 30.0
HOLD = "shared_backup_recovery_hold"
"""As long as it is in the data directory, no redo begins (``harness/extension/instruments.c``)."""
PAUSE = 0.0005
RELOADED = "received SIGHUP, reloading configuration files"


class TooLateError(Exception):
    """Recovery had ended before it could be held."""


def start_with_reload_at_the_end_of_recovery(cluster: Cluster, configure: Callable[[], object]) -> None:
    """Starts a server that has crashed; ``configure`` is done, and the configuration read, when recovery has come to
    its last checkpoint and is not over.

    Returns when the server accepts connections. Raises TooLateError, and leaves the server running, if recovery could
    not be held; whether the checkpointer has acted before it was over, the WAL tells.
    """
    before = control_data(cluster)[CHECKPOINT]
    position = cluster.log_position()
    hold = cluster.data_dir / HOLD
    hold.touch()
    cluster.launch()
    try:
        checkpointer = process_of(cluster, CHECKPOINTER)
        stop(checkpointer)
        startup = process_of(cluster, STARTUP)
        hold.unlink()
        await_last_checkpoint(cluster, startup, checkpointer, before)
        configure()
        reload_in(cluster, checkpointer, position)
    finally:
        hold.unlink(missing_ok=True)
        for pid in descendants(cluster.pid) if cluster.pid else ():
            resume(pid)
        cluster.await_ready()


def process_of(cluster: Cluster, kind: str) -> int:
    """Waits for that process of the server; raises TooLateError if there is none any more."""
    deadline = time.monotonic() + PATIENCE
    while cluster.pid is not None and time.monotonic() < deadline:
        if there := titled(cluster.pid, f"postgres: {kind}"):
            return there.pop()
        if titled(cluster.pid, "postgres: walwriter"):
            break
    raise TooLateError(f"there is no {kind} process")


def stop(pid: int) -> None:
    """Stops a process, and waits until it does not run; raises TooLateError if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    while runs(pid):
        if state(pid) == "T":
            return
        time.sleep(PAUSE)
    raise TooLateError(f"the process {pid} is gone")


def resume(pid: int) -> None:
    """Lets a process go on."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def state(pid: int) -> str:
    """The letter of ps for the state of a process; empty if it is gone."""
    return field(pid, "State")[:1]


def field(pid: int, name: str) -> str:
    """A line of what the kernel tells of a process; empty if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path("/proc", str(pid), "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
    return ""


def await_last_checkpoint(cluster: Cluster, startup: int, checkpointer: int, before: str) -> None:
    """Lets recovery go on to its last checkpoint: the startup process runs while the checkpointer is stopped, and the
    other way round, until the checkpoint is written. Then the checkpointer runs."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(SOON / 10)
        stop(startup)
        resume(checkpointer)
        soon = time.monotonic() + SOON
        while time.monotonic() < soon:
            if control_data(cluster)[CHECKPOINT] != before:
                return
        stop(checkpointer)
        resume(startup)
    raise ClusterError(f"recovery did not come to its end within {PATIENCE} s")


def reload_in(cluster: Cluster, checkpointer: int, position: int) -> None:
    """Has the configuration read, and waits until the checkpointer has looked at it and sleeps again."""
    assert cluster.pid is not None
    woken = field(checkpointer, "voluntary_ctxt_switches")
    os.kill(cluster.pid, signal.SIGHUP)

    def handled() -> bool:
        told = RELOADED in cluster.log_since(position)
        return told and field(checkpointer, "voluntary_ctxt_switches") != woken and state(checkpointer) == "S"

    cluster.wait_until(handled, PATIENCE, "the checkpointer to read the configuration")
