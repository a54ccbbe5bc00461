"""What more workers would bring: a campaign's shards, handed to so many on paper, as the campaign hands them out."""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from harness.schema.campaign import Campaign, Shard

ON_PAPER = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Workers."""


class Curve(NamedTuple):
    """What is known of a campaign's shards."""

    workers: int
    """How many there were."""
    shards: int
    work: float
    """Seconds that all shards took together, without the processes' set-up."""
    set_up: float
    """Seconds that a process took to be ready, the median."""
    longest: Shard
    expected: dict[int, float]
    """Seconds that all of it takes, by the number of workers."""

    @property
    def floor(self) -> float:
        """Seconds below which no number of workers gets."""
        return self.set_up + self.longest.seconds - self.longest.set_up

    @property
    def enough(self) -> int:
        """The fewest of those workers that come within a tenth of it; the most, if none do."""
        return next((n for n, seconds in self.expected.items() if seconds <= 1.1 * self.floor), ON_PAPER[-1])


def curve(campaign: Campaign | None) -> Curve | None:
    """The curve of a campaign; None if it ran in one process."""
    if campaign is None or not campaign.shards:
        return None
    took = [one.seconds - one.set_up for one in campaign.shards]
    ready = sorted(one.set_up for one in campaign.shards)[-campaign.workers :]  # those that began a process
    set_up = ready[len(ready) // 2]
    return Curve(
        workers=campaign.workers,
        shards=len(took),
        work=sum(took),
        set_up=set_up,
        longest=max(campaign.shards, key=lambda one: one.seconds - one.set_up),
        expected={number: handed_out(took, number, set_up) for number in ON_PAPER},
    )


def handed_out(took: Sequence[float], workers: int, set_up: float) -> float:
    """When the last one ends, if each shard goes to the worker that is free first, in their order."""
    free = [set_up] * workers
    for seconds in took:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
