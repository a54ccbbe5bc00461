"""Operations that write and remove state files, step by step, and what the files say at each step.

A process that is killed at a step leaves what the files say there; the reaper of the next start takes it up, and has
steps of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from properties.faults.expectations import GONE
from properties.faults.trials import START, WORK

STOP = "SELECT lsn, labelfile, spcmapfile, controlfile FROM shared_backup_stop('held', false)"
RENEW = "SELECT shared_backup_renew('held', '30 s')"

# What the files say of the backup. Beside the states that the view shows there are:

RENEWED = "renewed"
"""It is active, until a later time."""
REPLACING = "replacing"
"""It is active, and the file of what it replaced is there, too."""
ENDING = "ending"
"""It is to be stopped, and core may have been told."""
OVERDUE = "overdue"
"""It is active, and its time is up."""

LIVE = ("active", RENEWED, REPLACING, ENDING, OVERDUE)
COMES_UP = {REPLACING: "active", ENDING: "stopped", OVERDUE: "expired"}
"""What a restart makes of these."""


# The way of an operation


class Step(NamedTuple):
    """A process is at a point."""

    point: str
    left: str
    """What the files say if it dies there."""
    undone: str | None = None
    """What they say if it clears up before, which it can when only its postmaster dies; None: nothing else."""


WRITING = ("file-written", "file-flushed", "file-renamed")


def write(before: str, after: str, undone: str | None = None) -> tuple[Step, ...]:
    """A file is written, under another name until it is whole."""
    *temporary, renamed = WRITING
    return (*(Step(point, before, undone) for point in temporary), Step(renamed, after, undone))


def remove(after: str) -> tuple[Step, ...]:
    """A file is removed."""
    return (Step("file-removed", after),)


@dataclass(frozen=True)
class Work:
    """An operation that changes state files."""

    name: str
    statement: str
    way: tuple[Step, ...]
    """The points that it comes to, in order, as far as they are about the files of its backup."""
    given: tuple[str, ...] = (START,)
    carried: bool = False
    """After what is given, the server is restarted."""
    fails_at: str | None = None
    """A point where there is an error."""


CORE_ENDED = Step("stop-core-ended", ENDING, undone=GONE)
RELEASED = Step("abort-released", GONE)
"""Points between two files, where core does not protect the backup any more."""

STOPPED = (START, STOP)

WORKS = (
    Work("start", START, write(GONE, "active", undone=GONE), given=()),
    Work("start that replaces", START, (*write("stopped", REPLACING, undone="stopped"), *remove("active")), STOPPED),
    Work("start that fails", START, remove(GONE), given=(), fails_at="file-flushed"),
    Work("renewal", RENEW, write("active", RENEWED)),
    Work("stop", STOP, (*write("active", ENDING), CORE_ENDED, *write(ENDING, "stopped", undone=GONE))),
    Work("stop that fails", STOP, remove(GONE), fails_at="stop-core-ended"),
    Work("stop after a restart", STOP, write("active", "stopped"), carried=True),
    Work("abort", WORK["abort"], (*remove(GONE), RELEASED)),
    Work("abort of one that replaced", WORK["abort"], (*remove("active"), *remove(GONE)), (*STOPPED, START)),
    Work("abort after a restart", WORK["abort"], (*remove(GONE), RELEASED), carried=True),
    Work("expiry", WORK["reaper"], write(OVERDUE, "expired")),
    Work("forgetting", "SELECT shared_backup_clock_advance('1 h')", remove(GONE), STOPPED),
)


class Place(NamedTuple):
    """A step of an operation."""

    work: Work
    number: int

    @property
    def step(self) -> Step:
        return self.work.way[self.number]

    @property
    def earlier(self) -> int:
        """How often the operation has come to the same point before."""
        return [step.point for step in self.work.way[: self.number]].count(self.step.point)

    @property
    def comes_up(self) -> set[str]:
        """The states of the backup after a restart."""
        return {COMES_UP.get(left, left) for left in (self.step.left, self.step.undone) if left is not None}

    @property
    def early(self) -> bool:
        """Is there more to write before the caller may be told anything?"""
        return any(step.point == "file-renamed" for step in self.work.way[self.number :])

    @property
    def surely_left(self) -> bool:
        """Do the files say the same whether or not it clears up?"""
        return self.step.undone in (None, self.step.left)

    def __str__(self) -> str:
        return f"{self.work.name}, {self.step.point}"


def places() -> Iterator[Place]:
    """All of them."""
    for work in WORKS:
        yield from (Place(work, number) for number in range(len(work.way)))


def way_of_resuming(place: Place) -> tuple[str, ...]:
    """The points that the reaper comes to after a process was killed there."""
    left, (*temporary, _) = place.step.left, WRITING
    return (
        *(("file-removed",) if place.step.point in temporary else ()),
        "resume-begun",
        *((*WRITING, "resume-held") if left in LIVE else ()),  # of the server: where the gap begins
        *(WRITING if left == ENDING else ()),  # the result
        "resume-decided",
        *WRITING,  # of the server: nothing is left to verify
        *(("file-removed",) if left == REPLACING else ()),
        "resume-done",
    )


WAY_OF_RESUMING = ("resume-begun", *WRITING, "resume-held", "resume-decided", *WRITING, "resume-done")
"""The same if there are active backups, and nothing else."""

WAY_OF_LOSING = ("resume-begun", *WRITING, "resume-decided", *WRITING, "resume-done")
"""The same if an active backup is lost."""


class Second(NamedTuple):
    """A step of the reaper when it takes up what was left."""

    way: tuple[str, ...]
    number: int

    @property
    def point(self) -> str:
        return self.way[self.number]

    @property
    def before(self) -> "Second | None":
        """The step before it."""
        return self._replace(number=self.number - 1) if self.number else None

    @property
    def earlier(self) -> int:
        """How often the reaper has come to the same point before."""
        return self.way[: self.number].count(self.point)


def steps(way: tuple[str, ...]) -> Iterator[Second]:
    """All steps of that way."""
    yield from (Second(way, number) for number in range(len(way)))
