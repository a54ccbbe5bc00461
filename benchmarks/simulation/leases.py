"""Deadlines and renewals. A control plane that is up renews each backup at fixed times after its start, and when it has
recovered it renews all that it knows at once, and counts from there. A start, a renewal and a stop are a connection
each.

A renewal at the deadline comes too late. None is made at the moment of the stop.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.simulation.moments import NEVER, Mask, Outages, Seconds, Which


@dataclass(frozen=True)
class Lease:
    """How backups are kept from expiring."""

    outages: Outages
    ttl: int | None
    """Seconds; None: they do not expire."""
    renewed: int | None
    """Seconds between two renewals, fewer than the time to live; None: they are not renewed."""

    def deadlines(self, plane: Which, start: Seconds, copied: Seconds, forgotten: Mask) -> Seconds:
        """When each backup expires if nothing else ends it; NEVER if it does not before its stop.

        ``copied``: when its copy is ready. ``forgotten``: nobody renews it after the first crash, which is before that.
        """
        if self.ttl is None:
            return np.full_like(start, NEVER)
        if self.renewed is None:
            return start + self.ttl
        found, since = np.full_like(start, NEVER), start
        crash = self.outages.crash_after(plane, start)
        while np.any(within := crash <= copied):
            last = since + (crash - 1 - since) // self.renewed * self.renewed
            late = forgotten | (last + self.ttl <= crash + self.outages.recovery)
            found = np.where(within & late & (found == NEVER), last + self.ttl, found)
            since = np.where(within, crash + self.outages.recovery, since)
            crash = np.where(within & ~late, self.outages.crash_after(plane, since), NEVER)
        return found

    def next_call(self, plane: Which, start: Seconds, time: Seconds) -> Seconds:
        """The first renewal that is tried at that time or later; NEVER if none is made."""
        if self.renewed is None:
            return np.full_like(start, NEVER)
        up = self.outages.up_at(plane, time)
        since = np.maximum(start, self.outages.up_since(plane, up))
        due = since - (since - up) // self.renewed * self.renewed  # rounded up
        crash = self.outages.crash_after(plane, up)
        return np.where(due < crash, due, crash + self.outages.recovery)

    def renewals(self, plane: Which, start: Seconds, end: Seconds) -> Seconds:
        """How many renewals are tried after the start and before the end."""
        found = np.zeros_like(start)
        if self.renewed is None:
            return found
        since, crash = start, self.outages.crash_after(plane, start)
        while np.any(within := crash < end):
            back = crash + self.outages.recovery
            found += np.where(within, (crash - 1 - since) // self.renewed + (back < end), 0)
            since = np.where(within, back, since)
            crash = np.where(within, self.outages.crash_after(plane, since), NEVER)
        last: Seconds = np.maximum(0, (end - 1 - since) // self.renewed)
        return found + last
