"""What is in a state file is believed only if it is what was written there; all else is told, and hinders nobody."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.machine.scratch import temporary_folder
from harness.server.cluster import Cluster
from harness.server.durable import STATE_DIR, resumed, state_files
from harness.server.node import give
from harness.server.programs import base_backup
from harness.server.session import Session, SqlError
from properties.durable.lockstep import LONG_GAP
from properties.durable.losses import COPY, check_released, open_server
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

START = "SELECT shared_backup_start(%s, true)"
STOP = "SELECT lsn, labelfile, controlfile FROM shared_backup_stop(%s, false)"
STATE = "SELECT state FROM shared_backups WHERE label = %s"
STATES = "SELECT label, state FROM shared_backups"
UNKNOWN = "42704"

HEADER = struct.Struct("=IIQI4x")
"""Of every state file: magic number, version, length of the contents, checksum of the length and the contents."""
PADDING = 4
"""Bytes at its end that say nothing, whatever they are."""

UNREADABLE = "The record of the server's restarts could not be read."

SHORT = "It is shorter than its header."
LENGTH = "It does not have the length that it should have."
MAGIC = "It has a wrong magic number."
VERSION = "It was written by another version."
CHECKSUM = "It has a wrong checksum."
FOREIGN = "It belongs to another database system."
RENAMED = "It has been renamed."

DAMAGED = "damaged"
"""How the labels begin of backups whose files are damaged."""
LENGTH_OF_LABEL, PHASE = 8, 16
"""How many bytes before the label they stand, as whole numbers."""

CRASHES = 3
BATCH = 20
"""Files that are damaged before one start of the server."""

numbers = count(1)


@pytest.fixture(scope="module")
def server(instrumented: Build, durable_backups: None) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield open_server(instrumented, stack, **LONG_GAP)


# Damage


def crc32c(data: bytes) -> int:
    """The checksum that PostgreSQL uses."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sealed(contents: bytes, magic: int, version: int) -> bytes:
    """A file with these contents, and a header that fits."""
    checksum = crc32c(struct.pack("=Q", len(contents)) + contents)
    return HEADER.pack(magic, version, len(contents), checksum) + contents


def rewrite(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """It has other bytes."""
    return lambda file: overwrite(file, change(file.read_bytes()))


def rewrite_contents(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """It has other contents, and the checksum of those."""

    def sealed_again(before: bytes) -> bytes:
        magic, version, _length, _checksum = HEADER.unpack_from(before)
        return sealed(change(before[HEADER.size :]), magic, version)

    return rewrite(sealed_again)


def overwrite(file: Path, contents: bytes) -> None:
    """Gives a file other bytes, and leaves it to its owner."""
    with file.open("r+b") as there:
        there.truncate()
        there.write(contents)


def flip(file: Path, position: int, bit: int) -> None:
    """One bit of it is another one, of those that say something."""
    contents = bytearray(file.read_bytes())
    position %= len(contents) - PADDING
    contents[position if position < HEADER.size - PADDING else position + PADDING] ^= 1 << bit
    overwrite(file, bytes(contents))


def rewrite_number(before_label: int, number: int) -> Callable[[Path], None]:
    """A number that stands so many bytes before the label is another one; the checksum is that of it."""

    def change(contents: bytes) -> bytes:
        place = contents.index(DAMAGED.encode()) - before_label
        return contents[:place] + struct.pack("=i", number) + contents[place + 4 :]

    return rewrite_contents(change)


class Damage(NamedTuple):
    """Something that happens to a file."""

    name: str
    inflict: Callable[[Path], object]
    reason: str
    """Why it is not believed."""


def other_number(file: Path) -> Path:
    """It has the name of another backup's."""
    return file.rename(file.with_name("00000000000ABCDE.backup"))


DAMAGES = (
    Damage("empty", rewrite(lambda bytes_: b""), SHORT),
    Damage("cut short within its header", rewrite(lambda bytes_: bytes_[: HEADER.size - 1]), SHORT),
    Damage("cut short after its header", rewrite(lambda bytes_: bytes_[: HEADER.size]), LENGTH),
    Damage("cut short within its contents", rewrite(lambda bytes_: bytes_[: len(bytes_) // 2]), LENGTH),
    Damage("a byte short", rewrite(lambda bytes_: bytes_[:-1]), LENGTH),
    Damage("a byte more", rewrite(lambda bytes_: bytes_ + b"\0"), LENGTH),
    Damage("zeroes", rewrite(lambda bytes_: bytes(len(bytes_))), MAGIC),
    Damage("zeroes after its header", rewrite(lambda b: b[: HEADER.size] + bytes(len(b) - HEADER.size)), CHECKSUM),
    Damage("a text", rewrite(lambda bytes_: b"This is no state file, but a text."), MAGIC),
    Damage("of another version", rewrite(lambda b: b[:4] + struct.pack("=I", 999) + b[8:]), VERSION),
    Damage("of another database system", rewrite_contents(lambda b: struct.pack("=Q", 1) + b[8:]), FOREIGN),
    Damage("of something else", rewrite_contents(lambda b: b[:20]), "It is too short for a shared backup."),
    Damage("with more than it should have", rewrite_contents(lambda b: b + b"x"), "It has more than the files"),
    Damage("with less than it should have", rewrite_contents(lambda b: b[:-1]), "It does not have the files"),
    *(
        Damage(f"with {what}", rewrite_number(LENGTH_OF_LABEL, length), "It does not describe a shared backup.")
        for what, length in {"no label": 0, "an endless label": 1_000_000, "a label beyond its end": 1000}.items()
    ),
    Damage("in no phase that lasts", rewrite_number(PHASE, 1), "It does not describe a shared backup."),
    Damage("renamed", other_number, RENAMED),
)

RECORD_DAMAGES = (
    *(one for one in DAMAGES if one.reason in (SHORT, LENGTH, MAGIC, VERSION, CHECKSUM)),
    Damage("of something else", rewrite_contents(lambda b: b + b"x"), "It has an unexpected length."),
)


# What is the same for all


def open_backups(server: Cluster, session: Session, *labels: str) -> list[Path]:
    """Starts backups; returns their files."""
    before = set(state_files(server))
    for label in labels:
        session.execute(START, (label,))
    return [file for file in state_files(server) if file not in before]


def names(*what: str) -> list[str]:
    """Labels that were never used before."""
    number = next(numbers)
    return [f"{word} {number}" for word in what]


def state(session: Session, label: str) -> str | None:
    """How a backup is; None: unknown."""
    rows = session.execute(STATE, (label,))
    return str(rows[0][0]) if rows else None


def told_of(file: Path) -> str:
    """What the log says of a file that is set aside."""
    return f'ignoring file "{STATE_DIR}/{file.name}", which has been renamed to "{STATE_DIR}/{file.name}.bad"'


def check_forgotten(session: Session, label: str) -> None:
    """Nothing is known of a backup, and its label is as good as any."""
    assert state(session, label) is None, f"{label} is {state(session, label)}"
    with pytest.raises(SqlError) as refusal:
        session.execute(STOP, (label,))
    assert refusal.value.sqlstate == UNKNOWN, refusal.value
    session.execute(START, (label,))
    session.execute(STOP, (label,))


def check_going_on(session: Session, label: str) -> None:
    """A backup is active, and can be stopped as one that has crossed a restart."""
    assert state(session, label) == "active", f"{label}: {session.execute(STATES)}"
    assert session.execute(STOP, (label,))[0][2] is not None, f"{label} is stopped as if there had been no restart"


def check_end(server: Cluster, session: Session) -> None:
    """When all has ended, core is released, and the reaper has not died of what it met."""
    check_released(server, session)
    session.close()


# Files of backups


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_a_damaged_file_is_set_aside(server: Cluster, tally: Tally, damage: Damage) -> None:
    """The log says which and why, its backup is unknown, and others go on."""
    with tally.example():
        damaged, sound = names(DAMAGED, "sound")
        session = resumed(server)
        file, _ = open_backups(server, session, damaged, sound)
        session.close()
        server.stop()
        file = damage.inflict(file) or file  # type: ignore[assignment]
        position = server.log_position()
        server.start()
        session = resumed(server)
        log = server.log_since(position)
        assert log.count(told_of(file)) == 1, f"the log is to say once: {told_of(file)}"
        assert damage.reason in log, f"the log is to say: {damage.reason}"
        check_going_on(session, sound)
        check_forgotten(session, damaged)
        check_end(server, session)
        file.with_name(f"{file.name}.bad").unlink()
        tally.steps += 1


def test_a_bit_that_is_another_one_is_noticed(server: Cluster, tally: Tally, exhaustive: bool) -> None:
    """Wherever it is in a file, and whatever the file tells of."""
    flips = st.tuples(st.integers(0, 10_000), st.integers(0, 7))

    @settings(max_examples=200 if exhaustive else 3, phases=UNSHRUNK)
    @given(st.lists(flips, min_size=BATCH, max_size=BATCH))
    def damage(flipped: list[tuple[int, int]]) -> None:
        with tally.example():
            damaged = [name for _ in flipped for name in names("flipped")]
            (sound,) = names("sound")
            session = resumed(server)
            files = open_backups(server, session, *damaged, sound)
            for label in damaged[::2]:
                session.execute(STOP, (label,))
            session.close()
            server.stop()
            for file, (position, bit) in zip(files, flipped, strict=False):
                flip(file, position, bit)
            server.start()
            session = resumed(server)
            for label in damaged:
                assert state(session, label) is None, f"{label} is {state(session, label)}"
                tally.steps += 1
            check_going_on(session, sound)
            check_end(server, session)
            for file in files[:-1]:
                file.with_name(f"{file.name}.bad").unlink()

    damage()


def become_folder(file: Path) -> None:
    """In its place is a folder."""
    file.unlink()
    file.mkdir()


def become_link(file: Path) -> None:
    """In its place is a link to what is not there now."""
    file.unlink()
    file.symlink_to("elsewhere")


HINDRANCES: dict[str, Callable[[Path], object]] = {
    "a folder": become_folder,
    "a file that nobody may read": lambda file: file.chmod(0),
    "a link to nowhere": become_link,
}


@pytest.mark.parametrize("what", HINDRANCES)
def test_what_cannot_be_opened_is_set_aside(server: Cluster, tally: Tally, what: str) -> None:
    """At the next start it might be read again, and nobody has protected its backup until then."""
    with tally.example():
        sound, damaged = names("sound", "damaged")
        session = resumed(server)
        file = open_backups(server, session, sound, damaged)[-1]
        session.close()
        server.stop()
        position = server.log_position()
        HINDRANCES[what](file)
        server.start()
        session = resumed(server)
        log = server.log_since(position)
        assert told_of(file) in log, f"the log is to say: {told_of(file)}"
        assert "It could not be " in log, "the log does not say why"
        aside = file.with_name(f"{file.name}.bad")
        assert not os.path.lexists(file), "it may come back"
        check_going_on(session, sound)
        check_forgotten(session, damaged)
        check_end(server, session)
        aside.rmdir() if aside.is_dir() else aside.unlink()


def test_what_is_set_aside_does_not_pile_up_and_hinders_no_base_backup(server: Cluster, tally: Tally) -> None:
    """A server that crashes again and again while it takes up what is left says it once."""
    with tally.example():
        damaged, sound = names("damaged", "sound")
        session = resumed(server)
        file, _ = open_backups(server, session, damaged, sound)
        session.close()
        server.stop()
        overwrite(file, b"")
        overwrite(server.data_dir / STATE_DIR / "server", b"")
        position = server.log_position()
        for _ in range(CRASHES):
            server.start()
            server.crash()
        server.start()
        session = resumed(server)
        aside = sorted(path.name for path in file.parent.glob("*.bad"))
        assert aside == [f"{file.name}.bad", "server.bad"], aside
        assert server.log_since(position).count(told_of(file)) == 1, "the log says it more than once"
        with temporary_folder() as folder:
            base_backup(server, folder / "copy")
        assert state(session, sound) == "lost"
        check_forgotten(session, damaged)
        check_end(server, session)
        for name in aside:
            file.with_name(name).unlink()


def test_what_an_interrupted_write_left_is_removed_and_what_is_no_state_file_stays(
    server: Cluster, tally: Tally
) -> None:
    with tally.example():
        (sound,) = names("sound")
        session = resumed(server)
        (file,) = open_backups(server, session, sound)
        session.close()
        server.stop()
        left = file.with_name(f"{file.name}.tmp")
        others = [file.with_name(name) for name in ("README", f"{'long' * 20}.tmp", f"{'long' * 20}.backup")]
        for path in (left, *others):
            path.write_text("by somebody")
            give(path, server.user)
        server.start()
        session = resumed(server)
        assert not left.exists(), "the file of an interrupted write is still there"
        for path in others:
            assert path.exists(), f"{path.name} is no state file, and was removed"
            path.unlink()
        check_going_on(session, sound)
        check_end(server, session)


# The file of the server


def check_unvouched(server: Cluster, tally: Tally, inflict: Callable[[Path], object]) -> None:
    """If it cannot be believed, what was active is lost, and what had ended is as it was."""
    with tally.example():
        active, stopped = names("active", "stopped")
        session = resumed(server)
        open_backups(server, session, active, stopped)
        row = session.execute(STOP, (stopped,))
        session.close()
        server.stop()
        record, position = server.data_dir / STATE_DIR / "server", server.log_position()
        inflict(record)
        damaged = record.exists()
        server.start()
        session = resumed(server)
        log = server.log_since(position)
        assert f'shared backup "{active}" was lost' in log, "the log does not say that it was lost"
        assert (told_of(record) in log) == damaged, f"the log on the record: {log}"
        assert state(session, active) == "lost"
        with pytest.raises(SqlError) as refusal:
            session.execute(STOP, (active,))
        assert refusal.value.detail == UNREADABLE, refusal.value
        assert session.execute(STOP, (stopped,)) == row, "a result is not what it was"
        check_end(server, session)
        tally.steps += 1
    (server.data_dir / STATE_DIR / "server.bad").unlink(missing_ok=True)


@pytest.mark.parametrize("damage", RECORD_DAMAGES, ids=lambda damage: damage.name)
def test_without_the_record_of_restarts_nothing_is_vouched_for(server: Cluster, tally: Tally, damage: Damage) -> None:
    check_unvouched(server, tally, damage.inflict)


def test_a_record_of_restarts_that_is_missing_is_missed(server: Cluster, tally: Tally) -> None:
    check_unvouched(server, tally, Path.unlink)


OTHER_SYSTEM = rewrite_contents(lambda b: struct.pack("=Q", 1) + b[8:])
NO_BIRTH = rewrite_contents(lambda b: b[:16] + bytes(8) + b[24:])
"""As on a file system that does not tell when the folder was made."""
NO_BIRTH_AND_OTHER_NUMBER = rewrite_contents(lambda b: b[:8] + struct.pack("=Q", 1) + bytes(8) + b[24:])


@pytest.mark.parametrize(
    ("whose", "is_copy"),
    [(OTHER_SYSTEM, True), (NO_BIRTH_AND_OTHER_NUMBER, True), (NO_BIRTH, False)],
    ids=["another database system", "another folder, by its number", "this folder, by its number"],
)
def test_the_record_tells_whose_the_folder_is(
    server: Cluster, tally: Tally, whose: Callable[[Path], None], is_copy: bool
) -> None:
    """In a copy all backups are lost, also those that had ended: they are the original's."""
    with tally.example():
        active, stopped = names("active", "stopped")
        session = resumed(server)
        open_backups(server, session, active, stopped)
        row = session.execute(STOP, (stopped,))
        session.close()
        server.stop()
        whose(server.data_dir / STATE_DIR / "server")
        server.start()
        session = resumed(server)
        if is_copy:
            for label in (active, stopped):
                assert state(session, label) == "lost"
                with pytest.raises(SqlError) as refusal:
                    session.execute(STOP, (label,))
                assert refusal.value.detail == COPY, refusal.value
        else:
            check_going_on(session, active)
            assert session.execute(STOP, (stopped,)) == row, "a result is not what it was"
        check_end(server, session)
        tally.steps += 2


def test_a_bit_of_the_record_that_is_another_one_is_noticed(server: Cluster, tally: Tally, exhaustive: bool) -> None:
    @settings(max_examples=500 if exhaustive else 5, phases=UNSHRUNK)
    @given(st.integers(0, 10_000), st.integers(0, 7))
    def damage(position: int, bit: int) -> None:
        check_unvouched(server, tally, lambda file: flip(file, position, bit))

    damage()
