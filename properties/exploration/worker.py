"""``python -m properties.exploration.worker``: explores one scope of one design, in a process of its own.

It reads a ``Task`` from its standard input, and writes lines of JSON: ``Progress`` now and then, and a ``Found`` at the
end. SIGTERM ends it early, with what it has found so far. If nobody reads what it writes, it ends at once.
"""

import gc
import os
import resource
import signal
import sys
import time
from dataclasses import replace
from types import FrameType

import msgspec

from harness.schema import exploration as schema
from model.design import Design
from model.explore import Exploration, explore
from model.promises import PROMISES
from model.promises.declaring import everyone
from model.scope import Scope, scope_of
from properties.exploration.records import counterexample

SECONDS_BETWEEN = 0.5
"""Between two lines of progress."""
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to explore."""

    design: Design
    scope: str
    """Its name."""
    sessions: int | None = None
    """Other than the scope's."""
    labels: int | None = None
    """The same."""
    phases: bool | None = None
    """The same."""
    symmetry: bool | None = None
    """The same."""
    promises: tuple[str, ...] | None = None
    """Only these, by name; None: all."""
    claimed: bool = False
    """The design is taken to claim all of them: the first one that is broken ends it."""
    until: float | None = None
    """When to stop, on the clock of ``time.time``, which is the one that machines have in common; None: at the end.

    On a machine whose clock is wrong by so much it stops by so much too late or too early, and says so.
    """
    memory: int | None = None
    """Bytes that it may use; None: as many as there are."""

    def in_full(self) -> Scope:
        """The scope."""
        found = scope_of(self.scope, self.design)
        if self.sessions is not None:
            found = replace(found, sessions=self.sessions)
        if self.labels is not None:
            found = replace(found, labels=tuple([chr(ord("a") + number) for number in range(self.labels)]))
        if self.phases is not None:
            found = replace(found, phases=self.phases)
        return found if self.symmetry is None else replace(found, symmetry=self.symmetry)


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How far it is."""

    states: int
    transitions: int
    waiting: int
    """Situations whose steps are still to be taken."""


class Found(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What was found."""

    explored: schema.Explored
    broken: dict[str, schema.Counterexample]


News = Progress | Found


class Stopped:
    """Why it is to end early, if it is."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.why = ""
        self.told = time.monotonic()
        signal.signal(signal.SIGTERM, self.interrupt)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this sees to it
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which comes of a word to somebody who is gone

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Somebody wants it to end."""
        self.why = "interrupted"

    def watch(self, found: Exploration, waiting: int) -> bool:
        """Tells of the progress; says whether to go on."""
        now = time.monotonic()
        if now - self.told > SECONDS_BETWEEN:
            self.told = now
            tell(Progress(found.states, found.transitions, waiting))
        memory = self.task.memory
        if self.task.until is not None and time.time() > self.task.until:
            self.why = "the time was up"
        elif memory is not None and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE > memory:
            self.why = f"{memory // MEGABYTE} MB of memory were not enough"
        return not self.why


def tell(news: News) -> None:
    """Writes a line."""
    sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
    sys.stdout.buffer.flush()


def carry_out(task: Task, stopped: Stopped) -> Found:
    """Explores."""
    scope = task.in_full()
    promises = [one for one in PROMISES if task.promises is None or one.name in task.promises]
    if task.claimed:
        promises = [replace(one, claimed_by=everyone) for one in promises]
    gc.disable()  # states hold no cycles, and looking for some among millions takes a tenth of the time
    found = explore(scope, tuple(promises), watch=stopped.watch)
    explored = schema.Explored(
        design=task.design.name,
        scope=task.scope,
        phases=scope.phases,
        symmetry=scope.symmetry,
        states=found.states,
        transitions=found.transitions,
        depth=found.depth,
        seconds=round(found.seconds, 3),
        complete=found.complete,
        why="" if found.complete else stopped.why or "a claim is broken",
    )
    broken = {name: counterexample(task.scope, scope, path) for name, path in found.broken.items()}
    return Found(explored=explored, broken=broken)


def main() -> None:
    """The process. It ends at once: to give back millions of situations one by one would take half a minute."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    tell(carry_out(task, Stopped(task)))
    os._exit(0)


if __name__ == "__main__":
    main()
