"""What a property did: counted while it runs, shown as progress, and reported with its verdict."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from harness.clients.history import History
from harness.schema.campaign import Linearized, Restore, SurvivalCase
from harness.schema.timeline import Timeline
from harness.schema.totals import RestoreTotals
from harness.server.session import SqlError
from model.operations import Restart
from model.outcomes import Ok
from model.tour import TransitionClass
from properties.recording.at_once import Faults, Injection, Interleavings
from properties.recording.survival import Refusals, refusal


def attempt(
    scenario: str,
    restorable: bool,
    said: str,
    torn_pages: int,
    seconds: float,
    survival_case: SurvivalCase | None = None,
) -> Restore:
    """An attempt to restore a backup; it is as expected if the model, too, says that it can (not) be restored."""
    return Restore(scenario, restorable, said, torn_pages, round(seconds, 3), restorable == (not said), survival_case)


def counted(restores: Sequence[Restore]) -> RestoreTotals:
    """The counts of some restores."""
    whole = [one for one in restores if one.as_expected and one.restorable]
    against = sum(not one.as_expected for one in restores)
    seconds = [one.seconds for one in restores]
    return RestoreTotals(
        made=len(restores),
        restored=len(whole),
        refused=len(restores) - len(whole) - against,
        against=against,
        torn_pages=sum(one.torn_pages for one in whole),
        median=round(median(seconds), 3) if seconds else None,
        longest=max(seconds, default=None),
    )


@dataclass(frozen=True)
class FirstFailure:
    """What it took until an example failed, before it was made smaller."""

    examples: int
    """With the one that failed."""
    steps: int
    when: float
    """Seconds, monotonic."""


@dataclass
class Tally:
    """The counts of one property."""

    examples: int = 0
    steps: int = 0
    """Operations carried out on a server and compared with the model."""
    classes: set[TransitionClass] = field(default_factory=set)
    """Transition classes (operation, state of the label, relation of the caller, outcome) that were seen."""
    reachable: set[TransitionClass] = field(default_factory=set)
    """Transition classes that the property undertakes to see."""
    failures: int = 0
    """Examples that failed so far: Hypothesis makes them smaller before it reports one."""
    first_failure: FirstFailure | None = None
    stepping: float = 0.0
    """Seconds spent in steps and their checks, without the making of clusters."""
    notes: list[str] = field(default_factory=list)
    restores: list[Restore] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Counter)
    """Stops that said no, by what their backups went through, and why."""
    faults: Faults = field(default_factory=Counter)
    """Injected, by what came of them."""
    interleavings: Interleavings = field(default_factory=Counter)
    """Replayed, by what was done at once."""
    linearized: list[Linearized] = field(default_factory=list)
    timeline: Timeline | None = None
    """Of the concurrent history to show: the last that failed, else the one with the most to see."""
    history: History | None = None
    """The example to show: the last that failed (which is the smallest), else the most varied."""
    history_failed: bool = False
    saved: list[str] = field(default_factory=list)
    """Histories that failed, or were not decided, as ``properties.concurrency.linearize`` reads them."""

    def add_counts(self, other: "Tally") -> None:
        """Adds what another one has counted."""
        self.examples += other.examples
        self.steps += other.steps
        self.stepping += other.stepping
        self.restores += other.restores
        self.refusals.update(other.refusals)
        self.faults += other.faults
        self.interleavings += other.interleavings
        self.linearized += other.linearized

    def add(self, other: "Tally") -> None:
        """Adds another one of the same property, which drew other examples."""
        self.add_counts(other)
        self.classes |= other.classes
        self.reachable |= other.reachable
        self.failures += other.failures
        self.notes = other.notes
        self.saved += other.saved
        if other.timeline:
            self.keep_timeline(other.timeline)
        if other.history:
            self.keep(other.history, other.history_failed)

    @contextmanager
    def example(self) -> Iterator[None]:
        """Counts one example, and its time."""
        began, failed = time.perf_counter(), False
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            self.end_example(began, failed)

    def end_example(self, began: float, failed: bool) -> None:
        """Counts an example that began then (``time.perf_counter``), and its time."""
        self.examples += 1
        self.stepping += time.perf_counter() - began
        self.failures += failed
        if failed and self.first_failure is None:
            self.first_failure = FirstFailure(self.examples, self.steps, time.monotonic())

    def refused(self, survival_case: SurvivalCase, error: SqlError) -> None:
        """Counts a stop that said no."""
        self.refusals[refusal(survival_case, error)] += 1

    def count_fault(self, fault: str, point: str, trial: Callable[[], str]) -> None:
        """Counts a fault; ``trial`` injects it, returns what its operation's caller was told, and raises unless it was
        survived.
        """
        told: str | None = None
        try:
            told = trial()
        finally:
            self.faults[Injection(fault, point, told)] += 1

    def keep_timeline(self, timeline: Timeline) -> None:
        """Keeps the timeline of a history if it is the one to show."""
        kept = self.timeline
        if kept is None or timeline.failed or (not kept.failed and timeline.worth > kept.worth):
            self.timeline = timeline

    def keep(self, history: History, failed: bool) -> None:
        """Keeps the history of an example if it is the one to show."""
        if failed or (not self.history_failed and variety(history) > variety(self.history)):
            self.history, self.history_failed = history, failed

    def missing(self) -> set[TransitionClass]:
        """What was undertaken and not seen."""
        return self.reachable - self.classes


def variety(history: History | None) -> tuple[bool, int]:
    """Was there a restart, and how many kinds of operation took place?"""
    events = history.events if history else []
    kinds = {type(event.operation) for event in events if isinstance(event.outcome, Ok)}
    return Restart in kinds, len(kinds)
