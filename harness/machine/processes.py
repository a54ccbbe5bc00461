"""Ending a server's processes and knowing that they are gone (Linux)."""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
IPC_RMID = 0  # <linux/ipc.h>
SHARED_MEMORY_LINE = 6  # of postmaster.pid, counted from 0: the key and number of its System V segment
POLL = 0.0005  # seconds between looks at a process
_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Makes orphans below this process its own children, so that it can reap them.

    Without this the children of a killed postmaster fall to process 1, which in many containers reaps nothing: they
    would stay zombies and look alive.
    """
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """Has this process be sent SIGTERM when the thread that started it ends, however that comes."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP end the process the way Ctrl-C does, through the ends of all blocks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    replaced = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            replaced[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.strsignal(number))


def descendants(pid: int) -> list[int]:
    """The processes that the process started, and those that they started."""
    children: dict[int, list[int]] = {}
    for child, parent, _command, _state in _processes():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    pending = [pid]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def title(pid: int) -> str:
    """What a process calls itself; empty if it is gone."""
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def titled(pid: int, words: str) -> set[int]:
    """Those of a process's descendants that have these words in their titles."""
    return {one for one in descendants(pid) if words in title(one)}


def _processes() -> Iterator[tuple[int, int, str, str]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                text = Path("/proc", entry, "stat").read_text(errors="replace")
                head, _, tail = text.rpartition(")")
                state, parent = tail.split()[:2]
                yield int(entry), int(parent), head.partition("(")[2], state


def wait_gone(pids: Iterable[int], timeout: float) -> bool:
    """Waits (seconds) until none of the processes runs, and reaps those that are our children; False: too late."""
    deadline = time.monotonic() + timeout
    for pid in pids:
        while runs(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return True


def runs(pid: int) -> bool:
    """Whether there is such a process; a zombie is gone, but for its parent's reaping."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def processor_seconds(pid: int) -> float:
    """What a process has used of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def await_orphans(keep: Iterable[int], timeout: float = 5) -> bool:
    """Waits (seconds) until the server processes that lost their postmaster are gone; False: too late.

    They have become our children (see ``become_subreaper``); those whose number is in ``keep`` are no orphans.
    """
    kept, own = set(keep), os.getpid()
    servers = [pid for pid, parent, command, _state in _processes() if parent == own and command == "postgres"]
    return wait_gone((pid for pid in servers if pid not in kept), timeout)


def kill_server(pid: int) -> None:
    """Kills a postmaster and everything below it at once, as a crash of the machine would, and waits until all is gone.

    The postmaster is stopped first, so that it starts nothing while its children are counted, and killed last: they
    notice when it is gone, and would clean up.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    doomed = [pid, *descendants(pid)]
    for process in reversed(doomed):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    if not wait_gone(doomed, timeout=30):
        raise TimeoutError(f"processes of the server {pid} did not end within 30 s of SIGKILL")


def end_server(data_dir: Path, timeout: float = 5) -> None:
    """Ends whatever server runs in the data directory, and removes the shared memory that a killed one left behind.

    An immediate shutdown comes first, because it releases the shared memory; what has not ended ``timeout`` seconds
    later is killed.
    """
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return
    if _runs_in(pid, data_dir):
        os.kill(pid, signal.SIGQUIT)
        os.kill(pid, signal.SIGCONT)
        if not wait_gone([pid], timeout):
            kill_server(pid)
    if len(lines) > SHARED_MEMORY_LINE:
        _libc.shmctl(int(lines[SHARED_MEMORY_LINE].split()[1]), IPC_RMID, None)


def _runs_in(pid: int, data_dir: Path) -> bool:
    try:
        return os.fsencode(data_dir) in Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def hear_signals() -> None:
    """For a new process: undoes what nohup, and a shell without job control, do to programs in the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Within the block the process does nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
