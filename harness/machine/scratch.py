"""Scratch folders for clusters: on a tmpfs where there is one, and gone afterwards whatever happens.

Each process of the bench has one scratch folder and holds a lock in it. It is removed when the process ends; if the
process was killed before it could, the next one notices that nobody holds the lock, ends the servers in it and
removes it.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness.machine.install import may_read
from harness.machine.postgres import ServerUser, SetupError, server_user
from harness.machine.processes import end_server

PREFIX = "sbb-"
ROOM_NEEDED = 1 << 30  # bytes free for a tmpfs to be chosen
LONGEST_SOCKET_PATH = 100  # bytes; a Unix socket's address holds 107 at most, and testgres adds to it
ABANDONED_AFTER = 60  # seconds without a lock file: enough for a process to create it

_folders: dict[tuple[int, Path], Path] = {}


def scratch_folder() -> Path:
    """This process's scratch folder, which other users may read; created at the first call, removed at exit.

    It lies in the folder named by the variable BENCH_SCRATCH, else on /dev/shm if that has a gigabyte free, else in
    the system's folder for temporary files. Raises SetupError when a server could not use it.
    """
    parent = scratch_parent()
    key = (os.getpid(), parent)
    if key not in _folders:
        _sweep(parent)
        _folders[key] = _create(parent, server_user())
    return _folders[key]


def program_folder() -> Path:
    """Like ``scratch_folder``, but never on /dev/shm, which containers mount without permission to run programs."""
    parent = Path(tempfile.gettempdir())
    key = (os.getpid(), parent)
    if key not in _folders:
        _sweep(parent)
        _folders[key] = _create(parent, server_user())
    return _folders[key]


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in the scratch folder, which the server's user may enter; gone when the block ends."""
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def scratch_parent() -> Path:
    """The folder in which scratch folders are made."""
    chosen = os.environ.get("BENCH_SCRATCH")
    if chosen:
        return Path(chosen).absolute()
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and memory.is_mount() and shutil.disk_usage(memory).free >= ROOM_NEEDED:
        return memory
    return Path(tempfile.gettempdir())


def check_socket_path(socket: Path) -> None:
    """Raises SetupError unless a Unix socket can have that path."""
    if len(os.fsencode(socket)) > LONGEST_SOCKET_PATH:
        raise SetupError(
            f"The path {socket} is too long for a Unix socket (over {LONGEST_SOCKET_PATH} bytes): "
            "set the variable BENCH_SCRATCH to a folder with a shorter path."
        )


def _create(parent: Path, user: ServerUser | None) -> Path:
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError as error:
        raise SetupError(
            f"No scratch folder can be made in {parent} ({error.strerror}): "
            "set the variable BENCH_SCRATCH to a folder that can be written to."
        ) from None
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)  # held until this process ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    atexit.register(_remove_own, folder, os.getpid())
    folder.chmod(0o755)
    if not may_read(folder, user):
        raise SetupError(
            f"The user {user.name if user else ''} who runs the server cannot enter {parent}: "
            "set the variable BENCH_SCRATCH to a folder that everybody may enter."
        )
    return folder


def _remove_own(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child, which inherits the parent's exit functions
        remove(folder)


def remove(folder: Path) -> None:
    """Ends every server whose data directory is below the folder, and removes the folder."""
    for pid_file in [*folder.glob("*/data/postmaster.pid"), *folder.glob("*/*/data/postmaster.pid")]:
        end_server(pid_file.parent)
    shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Removes what processes of the bench have left that were killed, and ends their servers."""
    for parent in {scratch_parent(), Path(tempfile.gettempdir())}:
        _sweep(parent)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(PREFIX + "*"):
        try:
            if folder.stat().st_uid == os.geteuid() and _abandoned(folder):
                remove(folder)
        except FileNotFoundError:  # someone else is removing it
            continue


def _abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > ABANDONED_AFTER
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)
