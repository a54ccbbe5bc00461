"""The processes that run shards, on the machine where a worker is: begun when they are needed, and ended together."""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from harness.machine.project import ROOT
from harness.running.commandline import last_line
from harness.running.workers import here, tell
from properties.campaign.shards import Began, Counted, Done, Ended, Shard

PATIENCE = 50  # seconds for a process to remove its servers, before it is killed
LONGEST_LAST_WORDS = 2000  # bytes


class Job(NamedTuple):
    """What a campaign runs."""

    arguments: tuple[str, ...]
    """pytest's, as the campaign's own."""
    selection: str | None
    bench_too: bool

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
    """The process is gone before it had done what it was told."""


@dataclass
class Runner:
    """A process that runs shards, one after the other."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]
    """What it has printed."""

    def tell(self, shard: Shard) -> None:
        """Tells it what to run; nothing, so that it ends."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(shard.tests).encode() + b"\n")
        self.process.stdin.flush()

    def answers(self) -> Iterator[Began | Ended | Counted]:
        """What it tells of the shard; raises LostError or BrokenDownError."""
        assert self.process.stdout
        while True:
            try:
                said = pickle.load(self.process.stdout)
            except (EOFError, pickle.UnpicklingError):
                raise LostError(self.last_words()) from None
            if isinstance(said, Done):
                if said.setup_error or said.internal_error:
                    raise BrokenDownError(said.setup_error, said.internal_error)
                return
            yield said

    def last_words(self) -> str:
        """How it ended, and the end of what it has printed."""
        status = self.process.wait()
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


_runners: dict[tuple[str, Job], Runner] = {}
"""Those of this machine's workers, by the worker's address."""


def begin(job: Job) -> Runner:
    """A new process, in a session of its own: it is not met by Ctrl-C, but told to end."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
    command = [sys.executable, "-m", "properties.campaign.runner", *job.words()]
    return Runner(
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        ),
        said,
    )


def run(task: Task) -> list[Ended]:
    """Runs a shard on the worker that calls it; raises LostError or BrokenDownError."""
    key = here(), task.job
    if key not in _runners:
        _runners[key] = begin(task.job)
    try:
        _runners[key].tell(task.shard)
        return list(ended(_runners[key], task.shard))
    except (LostError, BrokenDownError, BrokenPipeError) as error:
        _runners.pop(key).end()
        raise LostError(str(error)) if isinstance(error, BrokenPipeError) else error from None


def ended(runner: Runner, shard: Shard) -> Iterator[Ended]:
    """The tests that have ended; that they begin is told at once."""
    for said in runner.answers():
        if isinstance(said, Began):
            tell(said.test)
        elif isinstance(said, Ended):
            yield said


def finish(worker: str, job: Job) -> list[Ended | Counted]:
    """On each worker, after its last shard: the process stops the servers that all tests shared; what it found then.

    And what its servers have counted.
    """
    runner = _runners.pop((worker, job), None)
    if runner is None:
        return []
    try:
        runner.tell(Shard(()))
        return [said for said in runner.answers() if not isinstance(said, Began)]
    finally:
        runner.end()


def stop(worker: str, job: Job) -> None:
    """On each worker: ends the process, whatever it is doing."""
    if runner := _runners.pop((worker, job), None):
        runner.end()
