"""A data directory as a power cut leaves it: what is watched in one of its states, all else done again as it was."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.faults.crash_states import Disk, Tree, Watched, disk_of
from harness.faults.journal import Action, Create, Event, MakeFolder, Remove, Rename, Truncate, Write
from harness.machine.postgres import server_user
from harness.machine.processes import end_server
from harness.server.cluster import Cluster
from harness.server.durable import STATE_DIR
from harness.server.node import give
from harness.server.settings import write_settings

WATCHED = Watched(frozenset({STATE_DIR, "pg_replslot"}), frozenset({"pg_wal"}), frozenset({"global/pg_control"}))
"""The files of the extension, the mark of the last start and the slot that it makes, WAL, and the control file."""


class Moment(NamedTuple):
    """A call has begun or ended, and nothing has happened since."""

    number: int
    event: Event
    over: bool
    changed: bool
    """May a power cut leave something else than a moment before?"""


def copy_of(server: Cluster, mirror: Path) -> Disk:
    """Copies the data directory of a server that is down, but for what is watched, which is returned."""
    copy_files(server.data_dir, mirror)
    for path in (STATE_DIR, "pg_replslot", "pg_wal"):
        shutil.rmtree(mirror / path, ignore_errors=True)
    (mirror / "global/pg_control").unlink()
    return disk_of(server.data_dir, WATCHED)


def copy_files(source: Path, target: Path) -> None:
    """Copies a folder, whose copy has the same owner."""
    subprocess.run(["cp", "-a", source, target], check=True)


def moments(journal: Iterable[Event], disk: Disk, mirror: Path | None = None) -> Iterator[Moment]:
    """Does again what the server did, and pauses at each beginning and end of it. Without a mirror, only what is
    watched."""
    steps = [(number, over, event) for event in journal for over, number in enumerate((event.began, event.ended))]
    for number, over, event in sorted(steps, key=lambda step: step[:2]):
        watched = disk.end(event) if over else disk.begin(event)
        if not over and not watched and mirror is not None:
            do_again(event.action, mirror)
        yield Moment(number, event, bool(over), watched)


def do_again(action: Action, folder: Path) -> None:
    """Does something again in a copy of the data directory."""
    match action:
        case Write():
            with (folder / action.path).open("r+b") as file:
                os.pwrite(file.fileno(), action.data, action.offset)
        case Truncate():
            os.truncate(folder / action.path, action.length)
        case Create():
            (folder / action.path).touch(0o600)
            give(folder / action.path, server_user())
        case MakeFolder():
            (folder / action.path).mkdir(0o700)
            give(folder / action.path, server_user())
        case Remove() if (folder / action.path).is_dir():
            (folder / action.path).rmdir()
        case Remove():
            (folder / action.path).unlink()
        case Rename():
            (folder / action.path).rename(folder / action.new)


def lay_out(server: Cluster, mirror: Path, tree: Tree) -> None:
    """Makes that the data directory of a server that is down.

    The folder of the state files stays the one that it was, by which the extension tells copies from originals.
    """
    own, kept = server.data_dir / STATE_DIR, server.folder / "kept"
    if own.exists() and not kept.exists():
        own.rename(kept)
    end_server(server.data_dir)  # removes the shared memory of one that was killed there
    shutil.rmtree(server.data_dir)
    copy_files(mirror, server.data_dir)
    write_settings(server.data_dir, server.settings, server.user)
    (server.data_dir / "postmaster.pid").unlink(missing_ok=True)  # its process has gone with the power
    for path in kept.iterdir():
        path.unlink()
    if STATE_DIR in tree:
        kept.rename(own)
    for name, contents in sorted(tree.items()):
        path = server.data_dir / name
        if contents is not None:
            path.write_bytes(contents)
        elif not path.exists():
            path.mkdir(0o700)
        give(path, server.user)
