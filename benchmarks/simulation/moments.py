"""Moments of many owners (servers, control planes) in one sorted array, and questions about the next and the last.

Times are whole seconds since the beginning, as int64.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.int64]
Which = NDArray[np.intp]
Mask = NDArray[np.bool_]
Numbers = Which | Seconds
"""Of owners."""

NEVER = 1 << 38
"""Later than anything that happens, by far."""
SPAN = 1 << 39
"""Between the times of one owner and those of the next, in the sorted array."""


@dataclass(frozen=True)
class Moments:
    """When something happens to each of some owners."""

    keys: Seconds
    """Sorted: the owner's number times ``SPAN``, and the time."""

    def after(self, owner: Numbers, time: Seconds) -> Seconds:
        """The first moment of each owner that is later than that; NEVER if there is none."""
        keys = np.append(self.keys, np.int64(np.iinfo(np.int64).max))
        base = owner.astype(np.int64) * SPAN
        found = keys[np.searchsorted(self.keys, base + np.minimum(time, NEVER), side="right")] - base
        return np.where(found < NEVER, found, NEVER)

    def until(self, owner: Numbers, time: Seconds) -> Seconds:
        """The last moment of each owner that is not later than that; -NEVER if there is none."""
        keys = np.concatenate([np.array([-SPAN], dtype=np.int64), self.keys])
        base = owner.astype(np.int64) * SPAN
        found = keys[np.searchsorted(self.keys, base + np.minimum(time, NEVER), side="right")] - base
        return np.where(found >= 0, found, -NEVER)


def moments(owner: Numbers, time: Seconds) -> Moments:
    """Moments in any order."""
    return Moments(np.sort(owner.astype(np.int64) * SPAN + time))


@dataclass(frozen=True)
class Outages:
    """When control planes are down: from a crash until so many seconds later."""

    crashes: Moments
    recovery: int

    def crash_after(self, plane: Which, time: Seconds) -> Seconds:
        """The next crash; NEVER if there is none."""
        return self.crashes.after(plane, time)

    def up_at(self, plane: Which, time: Seconds) -> Seconds:
        """That time if the control plane is up then, else when it has recovered."""
        back = self.crashes.until(plane, time) + self.recovery
        return np.maximum(time, back)

    def up_since(self, plane: Which, time: Seconds) -> Seconds:
        """When it last recovered, at that time or before; negative if it never crashed. It must be up."""
        return self.crashes.until(plane, time) + self.recovery
