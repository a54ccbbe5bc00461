"""The processes that run shards, on the machine where a worker is: begun when they are needed, and ended together."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

import msgspec

from harness.machine.project import ROOT
from harness.running.commandline import last_line
from harness.running.workers import here, tell
from properties.campaign.shards import Alive, Began, Counted, Done, Ended, Shard

PATIENCE = 50  # seconds for a process to remove its servers, before it is killed
LONGEST_END = 15 * 60.0
"""Seconds for all processes of a worker to end, when all has been run."""
SILENCE = 300.0
"""Seconds without any sign of life after which a process is killed, unless the job says otherwise."""
TO_BE_READY = 10  # times as long
LONGEST_LAST_WORDS = 2000  # bytes


class Job(NamedTuple):
    """What a campaign runs."""

    arguments: tuple[str, ...]
    """pytest's, as the campaign's own."""
    selection: str | None
    bench_too: bool
    elsewhere: bool = False
    """Are the workers those of a scheduler? They go on when this campaign is gone, and so notice that it is."""
    silence: float = SILENCE
    """Seconds without any sign of life: of the process, after which it is killed; of the campaign, after which a
    process elsewhere ends.
    """

    def words(self) -> list[str]:
        """As the arguments of ``properties.campaign.runner``."""
        return [self.selection or "", "bench too" if self.bench_too else "", *self.arguments]


class Task(NamedTuple):
    """A part of it."""

    job: Job
    shard: Shard


class BrokenDownError(Exception):
    """The process could not be set up, or pytest broke down in it: the words say how."""

    def __init__(self, setup_error: str, internal_error: str) -> None:
        super().__init__(setup_error, internal_error)
        self.setup_error, self.internal_error = setup_error, internal_error

    def __str__(self) -> str:
        return self.setup_error or f"pytest broke down: {last_line(self.internal_error)}"


class LostError(Exception):
    """The process on that worker is gone before it had done what it was told."""

    def __init__(self, how: str, worker: str) -> None:
        super().__init__(how, worker)
        self.how, self.worker = how, worker

    def __str__(self) -> str:
        return self.how


class Ran(NamedTuple):
    """A shard that was run."""

    ended: list[Ended]
    seconds: float
    set_up: float
    """How many of these seconds its process took until it was ready, if it was begun for this shard."""


class Unfinished(NamedTuple):
    """A process that was lost when all had been run: its servers may have crashed as they were shut down."""

    last: str
    """The test that it ran last."""
    why: str


@dataclass
class Runner:
    """A process that runs shards, one after the other."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]
    """What it has printed."""
    job: Job
    last: str = ""
    """The test that it ran last."""
    renewed: float = field(default_factory=time.monotonic)
    """When somebody last said that it is wanted."""
    ready: bool = False
    """It has given a sign of life."""
    silent: bool = False
    """It was killed because it gave no sign of life."""

    def tell(self, shard: Shard) -> None:
        """Tells it what to run; nothing, so that it ends. Raises LostError."""
        assert self.process.stdin
        try:
            self.process.stdin.write(msgspec.json.encode(shard) + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):  # it is gone, or was ended because nobody wanted it any more
            raise LostError(self.last_words(), here()) from None

    def answers(self) -> Iterator[Began | Ended | Counted]:
        """What it tells of the shard; raises LostError or BrokenDownError."""
        assert self.process.stdout
        while True:
            try:
                with self.sign_of_life():
                    said = pickle.load(self.process.stdout)
            except (EOFError, pickle.UnpicklingError):
                raise LostError(self.last_words(), here()) from None
            if isinstance(said, Done):
                if said.setup_error or said.internal_error:
                    raise BrokenDownError(said.setup_error, said.internal_error)
                return
            if not isinstance(said, Alive):
                yield said

    @contextlib.contextmanager
    def sign_of_life(self) -> Iterator[None]:
        """Kills it unless it says something within the block, before it has been silent for too long.

        To be ready takes longer than to say so.
        """
        timer = threading.Timer(self.job.silence * (1 if self.ready else TO_BE_READY), self.kill_silent)
        timer.daemon = True
        timer.start()
        try:
            yield
            self.ready = True
        finally:
            timer.cancel()

    def kill_silent(self) -> None:
        """It hangs, or was stopped."""
        self.silent = True
        os.killpg(self.process.pid, signal.SIGKILL)

    def end_when_forgotten(self) -> None:
        """Ends it when nobody has said for too long that it is wanted."""
        while self.process.poll() is None:
            if time.monotonic() - self.renewed > self.job.silence:
                self.end()
            time.sleep(self.job.silence / 10)

    def last_words(self) -> str:
        """How it ended, and the end of what it has printed."""
        status = self.process.wait()
        if self.silent:
            return f"it gave no sign of life for {self.job.silence:.0f} s"
        if self.said.closed:
            return "nobody had asked for it any more"
        self.said.seek(max(0, self.said.seek(0, os.SEEK_END) - LONGEST_LAST_WORDS))
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"{how} {self.said.read().decode(errors='replace').strip()}".strip()

    def end(self) -> None:
        """Ends it, whatever it is doing: it hears that nobody is there any more, and removes what it has made."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.said.close()


_runners: dict[tuple[str, int, Job], Runner] = {}
"""Those of the workers of this process, by the worker's address and thread."""


def begin(job: Job) -> Runner:
    """A new process, in a session of its own: it is not met by Ctrl-C, but told to end."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
    command = [sys.executable, "-m", "properties.campaign.runner", *job.words()]
    runner = Runner(
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        ),
        said,
        job,
    )
    if job.elsewhere:
        threading.Thread(target=runner.end_when_forgotten, daemon=True).start()
    return runner


def run(task: Task) -> Ran:
    """Runs a shard on the worker that calls it; raises LostError or BrokenDownError."""
    key = here(), threading.get_ident(), task.job
    if key not in _runners:
        _runners[key] = begin(task.job)
    runner, began = _runners[key], time.monotonic()
    try:
        runner.tell(task.shard)
        ended, first = hear(runner)
    except (LostError, BrokenDownError):
        _runners.pop(key, runner).end()
        raise
    return Ran(ended, time.monotonic() - began, first - began)


def hear(runner: Runner) -> tuple[list[Ended], float]:
    """The tests that have ended, and when the first began; that they begin is told."""
    ended, first = [], time.monotonic()
    for said in runner.answers():
        if isinstance(said, Began):
            first = first if runner.last else time.monotonic()
            runner.last = said.test
            tell(said.test)
        elif isinstance(said, Ended):
            ended.append(said)
    return ended, first


def finish(worker: str, job: Job) -> list[Ended | Counted | Unfinished]:
    """On each worker, after its last shard: the processes stop the servers that all tests shared; what was found then.

    And what their servers have counted.
    """
    said: list[Ended | Counted | Unfinished] = []
    for runner in taken(worker, job):
        try:
            runner.tell(Shard(()))
            said += [one for one in runner.answers() if not isinstance(one, Began)]
        except (LostError, BrokenDownError) as error:
            said.append(Unfinished(runner.last, str(error)))
        finally:
            runner.end()
    return said


def renew(worker: str, job: Job) -> None:
    """On each worker: the campaign is still there."""
    for key, runner in list(_runners.items()):
        if (key[0], key[2]) == (worker, job):
            runner.renewed = time.monotonic()


def stop(worker: str, job: Job) -> None:
    """On each worker: ends the processes, whatever they are doing."""
    for runner in taken(worker, job):
        runner.end()


def taken(worker: str, job: Job) -> Iterator[Runner]:
    """The worker's processes, each of which is the caller's now."""
    for key in [key for key in list(_runners) if (key[0], key[2]) == (worker, job)]:
        yield _runners.pop(key)
