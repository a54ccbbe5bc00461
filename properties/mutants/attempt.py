"""One attempt: the properties against the tree that this module is in, up to the first that fails.

    python -m properties.mutants.attempt FOLDER

In the folder is ``plan.json``, a ``Plan``. What came of it is left there as ``ended.json``, an ``Ended``; the file
``alive`` is touched as long as properties end, or count examples or steps. The runner starts this in a copy of the tree
with a bug in it.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import engine
from msgspec import Struct

from harness.machine.processes import end_with_parent, orderly_end
from harness.running.commandline import last_line, run_pytest
from harness.schema.campaign import Verdict
from harness.schema.mutants import Kill
from properties.recording.verdict import Property, Recorder

PLAN, ENDED, ALIVE = "plan.json", "ended.json", "alive"
BEAT = 1.0  # seconds between looks at what the properties have counted
NOT_IMPORTED = ("ImportError", "ModuleNotFoundError", "SyntaxError")
"""What a tree that was never tried by its developer says."""
SERVER = "server"
"""The mark of tests that need one."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is tried, and in which order."""

    tests: str
    """The folder of the properties, from the tree's."""
    order: tuple[str, ...] = ()
    """Beginnings of pytest's names, of a test, file or folder: what fits the first is tried first, the rest last."""
    only: tuple[str, ...] = ()
    """The same: nothing else is tried; none: everything is."""
    held: tuple[str, ...] = ()
    """pytest's names of those that are known to hold, and are left out."""
    on_a_server: bool = False
    """Whether only properties are tried that need a server."""
    shrink: int
    """Seconds, for Hypothesis to make a counterexample smaller."""
    options: tuple[str, ...] = ()
    """For pytest: the profile, and the PostgreSQL."""


class Ended(Struct, frozen=True, kw_only=True):
    """What came of it."""

    kill: Kill | None = None
    """The first property that failed."""
    held: tuple[str, ...] = ()
    """pytest's names of those that hold."""
    error: str = ""
    """In one line, why it could not be tried."""


@dataclass
class Ordered:
    """A pytest plugin that puts the properties in the order of the plan, and leaves out what is not to be tried."""

    plan: Plan

    @cached_property
    def held(self) -> frozenset[str]:
        """For a quick look."""
        return frozenset(self.plan.held)

    @pytest.hookimpl(trylast=True)  # when the profiles are known
    def pytest_configure(self, config: pytest.Config) -> None:
        one_bug_is_enough(config.getoption("--profile"), self.plan.shrink)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if self.wanted(item)]
        config.hook.pytest_deselected(items=[item for item in items if not self.wanted(item)])
        items[:] = sorted(chosen, key=lambda item: rank(item.nodeid, self.plan.order))

    def wanted(self, item: pytest.Item) -> bool:
        """Is it to be tried?"""
        if item.nodeid in self.held:
            return False
        if self.plan.only and rank(item.nodeid, self.plan.only) == len(self.plan.only):
            return False
        return not self.plan.on_a_server or item.get_closest_marker(SERVER) is not None


def one_bug_is_enough(profile: str, shrink: int) -> None:
    """Has Hypothesis look for no second failure, and make the first smaller for so many seconds at most."""
    engine.MAX_SHRINKING_SECONDS = shrink
    settings.register_profile(profile, settings.get_profile(profile), report_multiple_bugs=False)
    settings.load_profile(profile)


def rank(test: str, order: Sequence[str]) -> int:
    """The position of the first beginning that fits the test: not ``test_a`` for ``test_ab``."""
    fitting = (position for position, start in enumerate(order) if test == start or test.startswith(ends(start)))
    return next(fitting, len(order))


def ends(start: str) -> tuple[str, ...]:
    """The beginning of a name, with all that may follow a folder's, a file's, or a test's."""
    return f"{start}/", f"{start}::", f"{start}["


def attempt(folder: Path) -> None:
    """Carries out the plan in the folder, and leaves there what came of it."""
    plan = msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)
    recorder = Recorder()
    began = time.monotonic()
    with touching(folder / ALIVE, recorder):
        status, words = run_pytest([recorder, Ordered(plan)], None, [*places(plan), "--exitfirst", *plan.options])
    if status is None or recorder.interrupted:
        raise KeyboardInterrupt
    ended = Ended(
        kill=next((kill(one, recorder.properties, began) for one in recorder.properties if bad(one)), None),
        held=tuple(one.test for one in recorder.properties if one.verdict is Verdict.HOLDS),
        error=error(recorder, status, words),
    )
    (folder / ENDED).write_bytes(msgspec.json.encode(ended))


def places(plan: Plan) -> list[str]:
    """The files and folders that have all that is to be tried: to load the others takes seconds."""
    found = dict.fromkeys(start.partition("::")[0] for start in plan.only)
    within = [name for name in found if Path(name).exists() and Path(name).is_relative_to(plan.tests)]
    return within or [plan.tests]


@contextmanager
def touching(file: Path, recorder: Recorder) -> Iterator[None]:
    """Touches the file within the block, as long as the properties go on."""
    over = threading.Event()

    def watch() -> None:
        seen = None
        while not over.wait(BEAT):
            if (now := counted(recorder)) != seen:
                seen = now
                file.touch()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    over.set()
    watcher.join()


def counted(recorder: Recorder) -> tuple[int, int]:
    """Something that changes whenever a property ends, or counts an example or a step."""
    tallies = [one.tally for one in recorder.properties if one.tally]
    ended = sum(one.verdict is not Verdict.INTERRUPTED for one in recorder.properties)
    return ended, sum(tally.examples + tally.steps for tally in tallies)


def bad(one: Property) -> bool:
    """Did it find something?"""
    return one.verdict in (Verdict.FAILS, Verdict.CRASHED)


def error(recorder: Recorder, status: int, words: str) -> str:
    """Why nothing can be said: the bench was not set up, or a module cannot be imported; empty: something can.

    A file whose load fails for another reason has found something: what it asks the model is part of its properties.
    """
    unloaded = [one for one in recorder.properties if bad(one) and one.test not in recorder.by_test]
    if recorder.setup_error:
        return last_line(recorder.setup_error)
    if recorder.internal_error:
        return f"pytest broke down: {last_line(recorder.internal_error)}"
    if status == pytest.ExitCode.USAGE_ERROR:
        return last_line(words).removeprefix("ERROR: ")
    for one in unloaded:
        if one.reason.startswith(NOT_IMPORTED):
            return f"{one.test} cannot be loaded: {one.reason}"
    return ""


def kill(one: Property, properties: Iterable[Property], began: float) -> Kill:
    """What a property that failed says of the kill."""
    tally, first = one.tally, one.tally.first_failure if one.tally else None
    counts = tally is not None and (tally.examples or tally.steps)
    return Kill(
        property=one.name,
        test=one.test,
        crashed=one.verdict is Verdict.CRASHED,
        reason=one.reason,
        finding=one.finding,
        examples=first.examples if first else tally.examples if tally and counts else None,
        steps=first.steps if first else tally.steps if tally and counts else None,
        seconds=round((first.when if first else time.monotonic()) - began, 3),
        size=size(one),
        before=sum(other.verdict is Verdict.HOLDS for other in properties),
    )


def size(one: Property) -> int | None:
    """How many operations the counterexample has that is shown."""
    if one.tally is None:
        return None
    if one.tally.timeline and one.tally.timeline.failed and one.tally.timeline.unexplained:
        return len(one.tally.timeline.unexplained)
    return len(one.tally.history.events) if one.tally.history and one.tally.history_failed else None


def carry_out(attempt: Callable[[Path], None], folder: str) -> None:
    """The program: whatever ends it, it clears up, and so does the end of the runner."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs do not hear it
    end_with_parent()
    with orderly_end():
        attempt(Path(folder))


if __name__ == "__main__":
    carry_out(attempt, *sys.argv[1:])
