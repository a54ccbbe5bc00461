"""Copying a live data directory, the way a snapshot tool would: in pieces, in any order, while the server writes.

What pg_basebackup leaves out is left out (``basebackup.c``: WAL, temporary and unlogged relations, what a server makes
anew when it starts), tablespaces come along, and ``pg_control`` is copied last. Pieces can be smaller than a page, so
that a page that the server writes meanwhile is copied half old, half new: torn.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from harness.server.controldata import CONTROL_FILE

TABLESPACES = "pg_tblspc"

EMPTY = ("pg_wal", "pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans")
"""Folders that are empty in the copy."""

KEPT_INSIDE = ("archive_status", "summaries")
"""Folders in these that are there all the same, and empty, too."""

LEFT_OUT = re.compile(
    r"postmaster\.(pid|opts)|backup_label(\.old)?|tablespace_map(\.old)?|backup_manifest|pg_internal\.init.*"
    r"|current_logfiles(\.tmp)?|postgresql\.auto\.conf\.tmp|pgsql_tmp.*|t\d+_\d+(_[a-z]+)?(\.\d+)?"
)
"""Names that are left out wherever they are."""

RELATION = re.compile(r"(?P<number>\d+)(_(?P<fork>[a-z]+))?(\.\d+)?")


@dataclass(frozen=True)
class Pace:
    """How a copy is made; the same pace over the same files makes the same copy."""

    seed: int = 0
    """Of the order of folders and pieces."""
    piece: int = 4096
    """Bytes read at a time; a page has 8192."""
    rounds: int = 2
    """The folders are dealt out to so many rounds. A round lists its folders when it begins, so that it finds files
    that have appeared since the copy began, and copies the pieces of all its files in any order."""


@dataclass
class Snapshot:
    """A copy of a data directory, whole or under way."""

    data: Path
    tablespaces: dict[str, Path] = field(default_factory=dict)
    """Copies of the tablespaces, by OID; the copy of the data directory does not link to them."""
    bytes: int = 0


class Piece(NamedTuple):
    """Some bytes of a file."""

    source: Path
    copy: Path
    offset: int
    length: int


def copying(data_dir: Path, folder: Path, pace: Pace = Pace()) -> Iterator[Snapshot]:
    """Copies a data directory into a new folder, and pauses (yields) after each piece; whole when this ends.

    What the caller does at a pause happens in the middle of the copy.
    """
    chance = Random(pace.seed)
    snapshot = Snapshot(folder / "data")
    tops = [(data_dir, snapshot.data)]
    for link in sorted((data_dir / TABLESPACES).iterdir()):
        snapshot.tablespaces[link.name] = folder / "tablespaces" / link.name
        tops.append((link.resolve(), snapshot.tablespaces[link.name]))
    folders = [pair for source, copy in tops for pair in folders_of(source, copy)]
    chance.shuffle(folders)
    for number in range(pace.rounds):
        pieces = [piece for pair in folders[number :: pace.rounds] for piece in pieces_of(*pair, pace.piece)]
        chance.shuffle(pieces)
        for piece in pieces:
            snapshot.bytes += copy_piece(piece)
            yield snapshot
    whole = (data_dir / CONTROL_FILE).stat().st_size
    snapshot.bytes += copy_piece(Piece(data_dir / CONTROL_FILE, snapshot.data / CONTROL_FILE, 0, whole))
    yield snapshot


def take(data_dir: Path, folder: Path, pace: Pace = Pace()) -> Snapshot:
    """The same without a pause."""
    *_, snapshot = copying(data_dir, folder, pace)
    return snapshot


def folders_of(top: Path, copy: Path) -> list[tuple[Path, Path]]:
    """A folder and all below it whose files are to be copied, each with its copy, which is made."""
    found = []
    for path, children, _files in os.walk(top):
        folder = Path(path)
        inside = folder.relative_to(top)
        (copy / inside).mkdir(parents=True)
        if inside.parts and (inside.parts[0] in EMPTY or inside.parts[0] == TABLESPACES):
            children[:] = [name for name in children if name in KEPT_INSIDE]
        else:
            children[:] = sorted(name for name in children if not LEFT_OUT.fullmatch(name))
            found.append((folder, copy / inside))
    return found


def pieces_of(folder: Path, copy: Path, length: int) -> Iterator[Piece]:
    """The files of a folder, cut into pieces; they are there in the copy from now on, still empty."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:  # its database has been dropped since
        return
    unlogged = {found["number"] for name in names if (found := RELATION.fullmatch(name)) and found["fork"] == "init"}
    for name in names:
        relation = RELATION.fullmatch(name)
        is_unlogged = relation is not None and relation["number"] in unlogged and relation["fork"] != "init"
        if LEFT_OUT.fullmatch(name) or is_unlogged or (folder / name).match(CONTROL_FILE):
            continue
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:  # dropped just now
            continue
        (copy / name).touch()
        yield from (Piece(folder / name, copy / name, offset, length) for offset in range(0, size, length))


def copy_piece(piece: Piece) -> int:
    """Copies some bytes, where they are still there; returns how many."""
    try:
        source = os.open(piece.source, os.O_RDONLY)
    except FileNotFoundError:  # dropped since: recovery will drop it, too
        return 0
    try:
        read = os.pread(source, piece.length, piece.offset)
    finally:
        os.close(source)
    copy = os.open(piece.copy, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        return os.pwrite(copy, read, piece.offset)
    finally:
        os.close(copy)
