"""The journal of what a server does to its files, from lines as strace writes them."""

from pathlib import Path

import pytest

from harness.faults.journal import (
    Action,
    Answer,
    Create,
    Flush,
    JournalError,
    Log,
    MakeFolder,
    Remove,
    Rename,
    Truncate,
    Write,
    read_journal,
)

ROOT = Path("/data")


def actions(*lines: str) -> list[Action]:
    """What was done."""
    return [event.action for event in read_journal("\n".join(lines), ROOT)]


def test_a_file_is_written_and_renamed() -> None:
    assert actions(
        '7 openat(AT_FDCWD</data>, "d/a.tmp", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600) = 5</data/d/a.tmp>',
        r'7 write(5</data/d/a.tmp>, "KC\"\\\n\0001", 7) = 7',
        "7 write(5</data/d/a.tmp>, NULL, 0)       = 0",
        '7 write(5</data/d/a.tmp>, "(x) = 1", 7) = 7',
        "7 fsync(5</data/d/a.tmp>)               = 0",
        '7 rename("d/a.tmp", "d/a")              = 0',
        "7 fsync(6</data>)                       = 0",
    ) == [
        Create("d/a.tmp"),
        Truncate("d/a.tmp", 0),
        Write("d/a.tmp", 0, b'KC"\\\n\x001'),
        Write("d/a.tmp", 7, b""),
        Write("d/a.tmp", 7, b"(x) = 1"),
        Flush("d/a.tmp"),
        Rename("d/a.tmp", "d/a"),
        Flush("."),
    ]


def test_bytes_go_to_where_the_call_or_the_process_is() -> None:
    assert actions(
        '7 openat(AT_FDCWD</data>, "f", O_RDWR) = 5</data/f>',
        "7 lseek(5</data/f>, 0, SEEK_END)        = 30",
        '7 write(5</data/f>, "ab", 2)            = 2',
        '7 pwrite64(5</data/f>, "cd", 2, 8192)   = 2',
        '7 pwritev(5</data/f>, [{iov_base="ef", iov_len=2}, {iov_base="gh", iov_len=2}], 2, 99) = 3',
    ) == [Write("f", 30, b"ab"), Write("f", 8192, b"cd"), Write("f", 99, b"efg")]


def test_names_and_what_is_told() -> None:
    assert actions(
        '7 mkdir("d", 0700)                      = 0',
        '7 unlink("d/a")                         = 0',
        '7 rmdir("d")                            = 0',
        "7 ftruncate(5</data/f>, 16)             = 0",
        '7 write(2<pipe:[1]>, "LOG:  said\\n", 11) = 11',
        '7 sendto(9<socket:[2]>, "T", 1, 0, NULL, 0) = 1',
    ) == [
        MakeFolder("d"),
        Remove("d/a"),
        Remove("d"),
        Truncate("f", 16),
        Log('2<pipe:[1]>, "LOG:  said\\n", 11'),
        Answer(),
    ]


def test_what_fails_or_is_done_elsewhere_does_not_count() -> None:
    assert not actions(
        '7 mkdir("d", 0700)                      = -1 EEXIST (File exists)',
        '7 openat(AT_FDCWD</data>, "/etc/x", O_RDWR|O_CREAT, 0600) = 5</etc/x>',
        '7 write(5</etc/x>, "ab", 2)             = 2',
        '7 pwrite64(5</data/f>(deleted), "cd", 2, 8192) = 2',
        '7 rename("/etc/x", "/etc/y")            = 0',
        "7 +++ exited with 0 +++",
    )


def test_a_call_begins_and_ends_and_others_come_between() -> None:
    lines = (
        "7 fsync(5</data/f> <unfinished ...>",
        '8 pwrite64(5</data/f>, "cd", 2, 0)      = 2',
        "7 <... fsync resumed>)                  = 0",
        "7 fsync(5</data/f> <unfinished ...>",
    )
    first, second = read_journal("\n".join(lines), ROOT, first=10)
    assert (first.action, first.began, first.ended) == (Flush("f"), 10, 12)
    assert (second.action, second.began, second.ended) == (Write("f", 0, b"cd"), 11, 11)


@pytest.mark.parametrize(
    "line",
    [
        '7 write(5</data/f>, "ab", 2) = 2',
        '7 pwrite64(5</data/f>, "ab"..., 8192, 0) = 8192',
        '7 openat(AT_FDCWD</data>, "f", O_WRONLY|O_APPEND) = 5</data/f>',
        '7 rename("f", "/elsewhere/f") = 0',
        "7 copy_file_range(5</etc/f>, NULL, 6</data/g>, NULL, 8192, 0) = 8192",
        "7 fallocate(5</data/f>, 0, 0, 8192) = 0",
        "7 dup(5</data/f>) = 6</data/f>",
        "7 syncfs(5</data>) = 0",
    ],
    ids=[
        "not opened",
        "cut short",
        "appended",
        "moved out",
        "copied",
        "allocated",
        "duplicated",
        "file system flushed",
    ],
)
def test_what_cannot_be_done_again_is_refused(line: str) -> None:
    with pytest.raises(JournalError):
        actions(line)
