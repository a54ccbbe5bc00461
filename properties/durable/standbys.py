"""Durable backups of a standby: what happens to it while it is copied is for Hypothesis to choose."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from harness.building.build import Build
from harness.clients.implementation import DURABLE
from harness.machine.scratch import temporary_folder
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import Step, archive_all, big_update, checkpoint, transfers
from harness.server.cluster import Cluster
from harness.server.probes import set_full_page_writes
from properties.durable.lockstep import PARTS, RESERVE, SERVER, DurableLockstep, Fall, change
from properties.recording.tally import Tally
from properties.support.replicated import Pair, promote, replicated
from properties.support.restoring import check_restore
from properties.support.server_lockstep import Stopped, copy_while

DESIGN = "standby"
"""The report's name for them."""
PROMOTION = "promotion"
LOAD: tuple[Step, ...] = (transfers, big_update, checkpoint)

Event = Fall | str
"""A restart, or the promotion."""


@dataclass
class DurableStandby:
    """A standby with durable backups; once it is promoted, its primary is down."""

    pair: Pair
    backups: DurableLockstep
    copies: Path
    promoted: bool = False
    parts: int = 0
    """Of the reserve, which have been changed."""

    @property
    def origin(self) -> Cluster:
        """The server that has all the WAL, and archives it."""
        return self.pair.standby if self.promoted else self.pair.primary

    def write(self, *steps: Step) -> None:
        """Has these done where one can write, on pages that are new to the WAL, too; the standby replays them."""
        session = self.backups.session if self.promoted else self.pair.writer
        for step in (*steps, change(self.parts % PARTS)):
            step(session, self.pair.chance)
        self.parts += 1
        if not self.promoted:
            self.pair.catch_up()

    def happens(self, event: Event) -> None:
        """One event."""
        if isinstance(event, Fall):
            self.backups.fall(event)
            return
        self.pair.primary.stop()
        promote(self.pair.standby)
        self.promoted = True
        self.backups.promoted(PROMOTION)

    def copy(self, events: Sequence[Event], pace: Pace) -> Snapshot:
        """A copy of the standby, while this happens to it; before, after and in between, there is load."""

        def turns() -> Iterator[Callable[[], None]]:
            yield lambda: self.write(*LOAD)
            for event in events:
                yield lambda event=event: self.happens(event)  # type: ignore[misc]
                yield lambda: self.write(*LOAD)

        return copy_while(self.pair.standby, self.copies / f"copy{self.parts}", [*turns()], pace)

    def archive(self) -> None:
        """All WAL written so far."""
        if self.promoted:
            self.backups.archive()
        else:
            archive_all(self.pair.primary, self.pair.writer)

    def core_alone(self) -> None:
        """From now on, core protects the pages of a promoted server only because it counts backups."""
        set_full_page_writes(self.pair.standby, self.backups.session, on=False)

    def check(self, label: str, snapshot: Snapshot, stopped: Stopped, *, to_the_end: bool = False) -> int:
        """Restores a backup, and compares; returns how many pages of its copy were torn."""
        case = self.backups.survival_cases[label]
        restore = check_restore(
            self.backups.tally,
            f"standby, durable, across {', '.join(case.across) or 'nothing'}",
            self.origin,
            snapshot,
            stopped.files,
            restorable=stopped.restorable,
            to_the_end=to_the_end,
            timeline=2 if self.promoted else 1,
            survival_case=case,
        )
        return restore.torn_pages


@contextmanager
def durable_standby(build: Build, tally: Tally, **settings: str) -> Iterator[DurableStandby]:
    """One example on a fresh pair; all is gone when the block ends."""
    with tally.example(), temporary_folder() as copies, replicated(build, DURABLE, {**SERVER, **settings}) as pair:
        for statement in RESERVE:
            pair.writer.execute(statement)
        pair.catch_up()
        yield DurableStandby(pair, DurableLockstep(pair.standby, tally, DESIGN), copies)


@st.composite
def events(draw: st.DrawFn) -> tuple[Event, ...]:
    """Restarts, and a promotion among them or none."""
    falls = st.lists(st.sampled_from(Fall), max_size=2)
    before, after = draw(falls), draw(falls)
    happened = (*before, PROMOTION, *after) if draw(st.booleans()) else tuple(before)
    return happened or (Fall.FAST,)
