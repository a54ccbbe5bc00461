"""What is counted of a way to back up a fleet: whole numbers, so that sums do not depend on their order."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulation.fates import Event
from benchmarks.simulation.moments import Mask, Seconds, Which

Counts = NDArray[np.int64]

CAUSES = (*(event.name.lower() for event in Event), "forgotten", "limit")
"""What attempts fail for, by number: an event; the control plane forgot it; the server refused the start."""
REFUSED = len(CAUSES) - 1
STEP = 1.02
"""Each bin of the times to a good backup is so many times as long as the one before."""
BINS = 1_200
"""Enough for centuries."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of a chunk, or of several. Seconds and counts end with the horizon."""

    servers: int = 0
    jobs: int = 0
    """Backups that were due."""
    good: int = 0
    """Jobs with a backup that restores, of whichever attempt."""
    useless: int = 0
    """Jobs with a backup that does not, which nobody knows."""
    failed: int = 0
    """Jobs that were given up after the last attempt."""
    attempts: int = 0
    """Starts that were tried."""
    causes: Counts | int = 0
    """Of failed attempts, by number in ``CAUSES``."""
    wasted_copies: int = 0
    """Copies of attempts that failed."""
    wasted_seconds: int = 0
    """Of copying in them."""
    useless_seconds: int = 0
    """Of copying what does not restore."""
    orphans: int = 0
    """Backups that were open when the control plane forgot them."""
    orphan_seconds: int = 0
    """Of orphans, until the server let them go, each by itself."""
    forced_seconds: int = 0
    """Of servers, in which core forced full-page writes and every open backup was an orphan."""
    connections: int = 0
    """That were opened."""
    held_seconds: int = 0
    """Of connections that were held open for backups."""
    good_after: int = 0
    """Seconds from when each of the good was due until it was there, summed up."""
    waits: Counts | int = 0
    """The same, counted by bins (``bin_of``)."""
    held: Counts | int = 0
    """Connections held, look by look."""
    live: Counts | int = 0
    """Open backups, look by look."""
    busy: Counts | int = 0
    """Servers that have some, look by look."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Tally)})

    def plain(self) -> dict[str, int | list[int]]:
        """As numbers and lists."""
        return {one.name: np.asarray(getattr(self, one.name)).tolist() for one in fields(Tally)}


def bin_of(seconds: Seconds) -> Which:
    """The bin of a time to a good backup, in seconds."""
    found = np.log(np.maximum(seconds, 1)) / np.log(STEP)
    bins: Which = np.minimum(found, BINS - 1).astype(np.intp)
    return bins


def looks(begin: Seconds, end: Seconds, sampled: int, horizon: int) -> Counts:
    """How many of these intervals, without their ends, hold at each look: at 0, ``sampled``, twice that ..."""
    number = -(-horizon // sampled)
    some = begin < end
    first, last = (np.minimum(-(-moment[some] // sampled), number) for moment in (begin, end))
    change = np.bincount(first, minlength=number + 1) - np.bincount(last, minlength=number + 1)
    return np.cumsum(change[:number]).astype(np.int64)


def seconds_where(holds: Mask, keys: Seconds) -> int:
    """How long a condition holds that is known from each of these sorted moments until the next."""
    return int(np.diff(keys)[holds[:-1]].sum())
