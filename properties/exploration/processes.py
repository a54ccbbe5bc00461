"""The processes that explore, on the machine where a worker is: each for one scope of one design, and then it ends."""

import contextlib
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from typing import IO, NamedTuple

import msgspec
from msgspec.structs import replace

from harness.machine.project import ROOT
from harness.running.workers import here, tell, wanted
from properties.exploration.compiled import compiled_model
from properties.exploration.worker import Found, News, Task

PROGRAM = "from properties.exploration.worker import main; main()"
READER = msgspec.json.Decoder(News)
PATIENCE = 50  # seconds for a process to say what it has found so far, before it is killed
LONGEST_LAST_WORDS = 20_000  # bytes


class Work(NamedTuple):
    """A task, as a worker is given it."""

    run: str
    """The name of what it is a part of, and is ended with."""
    number: int
    """Which part."""
    task: Task
    memory: dict[str, int]
    """Bytes that it may use, by the address of its worker; the least of them on one that has come later."""
    compiled: bool
    """By the compiled model, which the worker compiles if it has none."""

    def here(self) -> Task:
        """The task, with what it may use on this worker."""
        return replace(self.task, memory=self.memory.get(here(), min(self.memory.values())))


class LostError(Exception):
    """The process is gone before it has said what it has found."""

    def __init__(self, how: str, said: str, worker: str) -> None:
        super().__init__(how, said, worker)
        self.how, self.said, self.worker = how, said, worker

    def __str__(self) -> str:
        return self.how


@dataclass(eq=False)
class Process:
    """A process that explores."""

    work: Work
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    """What it has written to its standard error."""
    found: Found | None = None
    over: threading.Event = field(default_factory=threading.Event)
    """Nothing more will be found."""

    def listen(self) -> None:
        """Tells how far it is, until it has said what it has found, or is gone; ends it if nobody waits for that."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                news = READER.decode(line)
            except msgspec.DecodeError:  # it was killed in mid-sentence
                return
            if isinstance(news, Found):
                self.found = news
            elif wanted():
                tell([self.work.run, self.work.number, msgspec.to_builtins(news)])
            else:
                self.process.kill()

    def lost(self) -> LostError:
        """How it ended, and what it said."""
        status = self.process.wait()
        self.said.seek(0)
        said = self.said.read(LONGEST_LAST_WORDS).decode(errors="replace")
        return LostError(f"signal {-status}" if status < 0 else f"status {status}", said, here())


_under_way: set[Process] = set()
"""Those of the workers of this process."""
_ended: set[str] = set()
"""Runs that have ended: a task of theirs may still be on its way here."""
_lock = threading.Lock()
"""What is begun is under way before its run has ended, or it is not begun."""


def carry_out(work: Work) -> Found | None:
    """Explores on the worker that calls it; None: its run has ended. Raises LostError, or SetupError."""
    one = begin(work)
    if one is None:
        return None
    try:
        with one.process, one.said:
            one.listen()
            if one.found is None and work.run not in _ended:
                raise one.lost()
        return one.found
    finally:
        one.over.set()
        _under_way.discard(one)


def begin(work: Work) -> Process | None:
    """A new process, unless its run has ended; raises SetupError."""
    path = [*dict.fromkeys([str(compiled_model() if work.compiled else ROOT), str(ROOT)])]
    command = [sys.executable, "-P", "-c", f"import sys; sys.path[:0] = {path!r}; {PROGRAM}"]
    with _lock:
        if work.run in _ended:
            return None
        one = started(work, command)
        _under_way.add(one)
    return one


def started(work: Work, command: list[str]) -> Process:
    """The process, in a session of its own: it is not met by Ctrl-C. It ends if nobody reads what it writes."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it is gone already, which is found out when nothing is heard of it
        process.stdin.write(msgspec.json.encode(work.here()))
        process.stdin.close()
    return Process(work, process, said)


def end(_worker: str, run: str) -> list[tuple[int, Found]]:
    """On each worker: ends what is under way of a run, and has no more of it begin.

    Returns the numbers of those tasks, with what had been found so far.
    """
    with _lock:
        _ended.add(run)
        ending = [one for one in list(_under_way) if one.work.run == run]
    for one in ending:
        one.process.terminate()
    for one in ending:
        if not one.over.wait(PATIENCE):
            one.process.kill()
    return [(one.work.number, one.found) for one in ending if one.found is not None]
