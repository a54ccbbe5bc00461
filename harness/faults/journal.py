"""What a server does to its data directory, call by call, with all that it writes: enough to do it again (Linux).

The journal is read from what strace has written. Whatever it cannot do again, it refuses.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CALLS = (
    "openat,open,creat,write,pwrite64,pwritev,pwritev2,writev,ftruncate,truncate,fallocate,lseek,dup,dup2,dup3,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,"
    "copy_file_range,sendfile,splice,fsync,fdatasync,sync,syncfs,io_uring_enter,sendto"
)
LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()(?P<rest>.*)", re.DOTALL)
UNFINISHED = " <unfinished ...>"
RESULT = re.compile(r"\) += (?P<result>\d+)(?P<more>.*)")
DESCRIPTOR = re.compile(r"(?P<number>\d+)<(?P<path>[^>]*)>(?P<gone>\(deleted\))?")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?', re.DOTALL)
SEVERAL = ("rename", "pwritev", "pwritev2")
"""Calls with more than one string."""
STDERR = 2


class JournalError(Exception):
    """The server did something that cannot be done again from the journal."""


@dataclass(frozen=True)
class Write:
    """Bytes are written there."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    """The file is cut, or extended with zeros, to so many bytes."""

    path: str
    length: int


@dataclass(frozen=True)
class Create:
    """The file is there, empty, unless it was there before."""

    path: str


@dataclass(frozen=True)
class MakeFolder:
    """An empty folder is made."""

    path: str


@dataclass(frozen=True)
class Remove:
    """A file or an empty folder goes."""

    path: str


@dataclass(frozen=True)
class Rename:
    """A file or a folder gets that name, in place of what had it."""

    path: str
    new: str


@dataclass(frozen=True)
class Flush:
    """What has been done to the file is on the disk; or, to a folder: which names are in it, and for which files."""

    path: str


@dataclass(frozen=True)
class Log:
    """A line in the server's log."""

    line: str


@dataclass(frozen=True)
class Answer:
    """A client is told something."""


Change = Write | Truncate | Create | MakeFolder | Remove | Rename
Action = Change | Flush | Log | Answer


@dataclass(frozen=True)
class Event:
    """What a process did, and when: numbers that grow with time, and no two are the same."""

    pid: int
    began: int
    ended: int
    """Whatever began after that can rely on it."""
    action: Action


@dataclass(frozen=True)
class Call:
    """A system call that succeeded."""

    pid: int
    began: int
    ended: int
    name: str
    arguments: str
    result: int
    more: str
    """What stands behind the result: the path of a file descriptor."""


@dataclass
class Reader:
    """Makes actions of calls; paths are those within the data directory, "." is the directory itself."""

    root: Path
    positions: dict[tuple[int, int], int] = field(default_factory=dict)
    """Where a process is in an open file, by its number and that of the file descriptor."""

    def actions(self, call: Call) -> Iterator[Action]:
        """What the call has done to the data directory, or told anybody."""
        match call.name:
            case "openat" | "open" | "creat":
                yield from self.opened(call)
            case "write" | "pwrite64" | "pwritev" | "pwritev2":
                yield from self.written(call)
            case "sendto":
                yield Answer()
            case "lseek":
                self.positions[call.pid, number_of(call)] = call.result
            case "ftruncate" if path := self.path_of(call):
                yield Truncate(path, int(last_number(call)))
            case "fsync" | "fdatasync" if path := self.path_of(call):
                yield Flush(path)
            case "mkdir" | "rmdir" | "unlink" | "rename":
                yield from self.renamed(call)
            case _ if call.name in ("sync", "syncfs", "io_uring_enter") or self.is_about_files(call):
                raise JournalError(f"{call.name}({call.arguments[:200]} cannot be done again")

    def opened(self, call: Call) -> Iterator[Action]:
        """A file is opened, and perhaps made or emptied."""
        path = self.inside(PurePosixPath(call.more.strip()[1:-1]))
        flags = call.arguments[call.arguments.rindex('"') :]
        if path and "O_APPEND" in flags:
            raise JournalError(f"{path} is opened to append to it, which cannot be done again")
        self.positions[call.pid, call.result] = 0
        if path and "O_CREAT" in flags:
            yield Create(path)
        if path and "O_TRUNC" in flags:
            yield Truncate(path, 0)

    def written(self, call: Call) -> Iterator[Action]:
        """Bytes are written to a file, or to the log."""
        if number_of(call) == STDERR:
            yield Log(call.arguments)
        path = self.path_of(call)
        if not path:
            return
        data = b"".join(texts(call))[: call.result]
        if call.name != "write":
            yield Write(path, offset_of(call), data)
            return
        place = call.pid, number_of(call)
        if place not in self.positions:
            raise JournalError(f"process {call.pid} writes to {path}, and has not opened it itself")
        yield Write(path, self.positions[place], data)
        self.positions[place] += len(data)

    def renamed(self, call: Call) -> Iterator[Action]:
        """Names come, change and go."""
        names = [self.inside(PurePosixPath(self.root, name.decode())) for name in texts(call)]
        match call.name, names:
            case "mkdir", [str(path)]:
                yield MakeFolder(path)
            case "rmdir" | "unlink", [str(path)]:
                yield Remove(path)
            case "rename", [str(path), str(new)]:
                yield Rename(path, new)
            case "rename", names if any(names):
                raise JournalError(f"rename({call.arguments[:200]} crosses the border of the data directory")

    def path_of(self, call: Call) -> str | None:
        """The path of the file that a call is about, if it is in the data directory, and has a name."""
        found = DESCRIPTOR.match(call.arguments)
        return self.inside(PurePosixPath(found["path"])) if found and not found["gone"] else None

    def is_about_files(self, call: Call) -> bool:
        """Is any of its files in the data directory?"""
        return any(self.inside(PurePosixPath(found["path"])) for found in DESCRIPTOR.finditer(call.arguments))

    def inside(self, path: PurePosixPath) -> str | None:
        """A path within the data directory; None if it is elsewhere."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else None


def read_journal(text: str, root: Path, first: int = 0) -> list[Event]:
    """What strace (``-f -y``, and of strings all) has written of a server with that data directory.

    ``first``: the number of its first line. Raises JournalError if there is something that cannot be done again.
    """
    reader = Reader(root)
    found = []
    for call in calls_in(text, first):
        found += [Event(call.pid, call.began, call.ended, action) for action in reader.actions(call)]
    return sorted(found, key=lambda event: event.began)


def calls_in(text: str, first: int = 0) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended."""
    under_way: dict[int, tuple[int, str, str]] = {}
    for number, line in enumerate(text.split("\n"), first):
        if not (found := LINE.match(line)):
            continue
        pid = int(found["pid"])
        began, name, arguments = (
            under_way.pop(pid, (number, "", "")) if found["resumed"] else (number, found["name"], "")
        )
        arguments += found["rest"]
        if arguments.endswith(UNFINISHED):
            under_way[pid] = began, name, arguments.removesuffix(UNFINISHED)
        elif ended := RESULT.match(arguments, max(0, arguments.rfind(")"))):
            yield Call(pid, began, number, name, arguments[: ended.start()], int(ended["result"]), ended["more"])


def texts(call: Call) -> list[bytes]:
    """The strings among the arguments of a call."""
    found = TEXT.findall(call.arguments) if call.name in SEVERAL else [longest(call.arguments)]
    if any(cut for _, cut in found):
        raise JournalError(f"strace has cut what {call.name} writes short")
    return [ast.literal_eval(f'b"{text}"') for text, _ in found]


def longest(arguments: str) -> tuple[str, str]:
    """The string among arguments that have only one, and what is there if it was cut."""
    begin, end = arguments.find('"'), arguments.rfind('"')  # both -1 if nothing is written
    return arguments[begin + 1 : max(0, end)], "..." if arguments.startswith('"...', end) else ""


def number_of(call: Call) -> int:
    """The file descriptor that a call is about."""
    found = DESCRIPTOR.match(call.arguments)
    return int(found["number"]) if found else -1


def last_number(call: Call) -> int:
    """The last argument."""
    return int(call.arguments.rpartition(",")[2])


def offset_of(call: Call) -> int:
    """Where bytes go: the last argument, but for flags."""
    words = call.arguments.rsplit(",", 2)
    return int(words[-2] if call.name == "pwritev2" else words[-1])
