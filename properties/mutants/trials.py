"""A trial: a copy of the tree with a bug in it, and an attempt to find that, in a process of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import NamedTuple

import msgspec

from harness.machine.processes import kill_server
from harness.machine.project import cache_folder
from harness.machine.scratch import program_folder, sweep
from harness.running.commandline import last_line
from harness.schema.mutants import Kill, Outcome, Suite
from harness.schema.mutants import Mutant as Record
from properties.mutants.attempt import ALIVE, ENDED, PLAN, Ended, Plan
from properties.mutants.catalogue import Mutant
from properties.mutants.tree import StaleError, apply, copy_work_tree

PROGRAMS = {
    Suite.PROPERTIES: "properties.mutants.attempt",
    Suite.EXAMPLES: "properties.mutants.example_suite",
}
"""Modules that carry out a plan; the argument is its folder."""
POLL = 0.1  # seconds between looks at an attempt
PATIENCE = 45.0
"""Seconds for an attempt to clear up when it is told to end; nox kills us after 60."""


class HungError(Exception):
    """Nothing has gone on for too long."""


class OutOfTimeError(Exception):
    """The time for all mutants is over, or the run was interrupted."""


class Trial(NamedTuple):
    """A mutant that was tried."""

    record: Record
    held: tuple[str, ...]
    """pytest's names of the properties that hold."""


@dataclass
class Trials:
    """Tries mutants, several at once if asked to."""

    original: Path
    """A copy of the work tree that nobody changes."""
    silence: float
    """Seconds after which an attempt hangs in which no property ends, or counts an example or a step."""
    program: str = PROGRAMS[Suite.PROPERTIES]
    """The module that carries out the plans."""
    until: float = float("inf")
    """When the time is over (monotonic)."""
    stop: Event = field(default_factory=Event)
    """Set: everything is to end."""

    def record(self, mutant: Mutant, plan: Plan) -> Trial:
        """Tries a mutant, and says what became of it."""
        began = time.monotonic()
        outcome, reason, ended = self.outcome(mutant, plan)
        kill = ended.kill if outcome is Outcome.KILLED else None
        return Trial(record_of(mutant, outcome, reason, kill, time.monotonic() - began), ended.held)

    def outcome(self, mutant: Mutant, plan: Plan) -> tuple[Outcome, str, Ended]:
        """What became of it, in which words, and what the attempt says."""
        try:
            ended = self.attempt(plan, mutant.diff)
        except StaleError as error:
            return Outcome.STALE, str(error), Ended()
        except HungError as error:
            return Outcome.HUNG, str(error), Ended()
        except OutOfTimeError as error:
            return Outcome.NOT_RUN, str(error), Ended()
        if ended.error:
            return Outcome.BROKEN, ended.error, ended
        return (Outcome.KILLED if ended.kill else Outcome.SURVIVED), "", ended

    def attempt(self, plan: Plan, diff: str = "") -> Ended:
        """Carries out the plan in a copy of the tree with that change.

        Raises StaleError, HungError or OutOfTimeError; whatever comes, processes and folders are gone.
        """
        self.check_time()
        with tempfile.TemporaryDirectory(dir=program_folder(), ignore_cleanup_errors=True) as scratch:
            folder = Path(scratch)
            folder.chmod(0o755)
            tree = folder / "tree"
            shutil.copytree(self.original, tree)
            if diff:
                apply(diff, tree)
            (folder / PLAN).write_bytes(msgspec.json.encode(plan))
            (folder / ALIVE).touch()
            with running(self.program, folder, tree) as process:
                self.wait(process, folder / ALIVE)
            if process.returncode == 0:
                return msgspec.json.decode((folder / ENDED).read_bytes(), type=Ended)
            said = last_line((folder / "said").read_text(errors="replace"))
            return Ended(error=f"the attempt broke down: {said or f'exit status {process.returncode}'}")

    def wait(self, process: "subprocess.Popen[bytes]", alive: Path) -> None:
        """Waits until the attempt has ended; raises HungError or OutOfTimeError."""
        while process.poll() is None:
            self.check_time()
            if time.time() - alive.stat().st_mtime > self.silence:
                raise HungError(f"nothing has gone on for {self.silence:.0f} s")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL)

    def check_time(self) -> None:
        """Raises OutOfTimeError."""
        if self.stop.is_set():
            raise OutOfTimeError("the run was interrupted")
        if time.monotonic() > self.until:
            raise OutOfTimeError("the time was up")


def record_of(
    mutant: Mutant, outcome: Outcome, reason: str = "", kill: Kill | None = None, seconds: float = 0.0
) -> Record:
    """What became of a mutant."""
    return Record(
        name=mutant.name,
        mistake=mutant.mistake,
        breaks=mutant.breaks,
        files=mutant.files,
        outcome=outcome,
        reason=reason,
        kill=kill,
        seconds=round(seconds, 3),
    )


@contextlib.contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of the work tree as it is; raises SetupError."""
    with tempfile.TemporaryDirectory(dir=program_folder(), ignore_cleanup_errors=True) as scratch:
        copy_work_tree(Path(scratch, "tree"))
        yield Path(scratch, "tree")


@contextlib.contextmanager
def running(program: str, folder: Path, tree: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An attempt in that tree, which has ended when the block has, with all its servers."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", program, folder],
            cwd=tree,
            env={**os.environ, "BENCH_CACHE": str(cache_folder().absolute())},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is ours to pass on, once
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Has an attempt clear up; if it does not, kills it and clears up after it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        kill_server(process.pid)
        process.wait()
        sweep()
