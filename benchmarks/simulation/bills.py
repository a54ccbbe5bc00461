"""What counts come to: hours, bytes and peaks."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulation.fates import Answer, Condition, Event, Fates
from benchmarks.simulation.parameters import HOUR, Parameters
from benchmarks.simulation.tally import BINS, CAUSES, STEP, Tally
from harness.schema.simulation import Bill, Wait
from model.design import Storage

QUANTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99}


def bill_of(p: Parameters, fates: Fates, counts: Tally) -> Bill:
    """The bill of a way."""
    held, live = np.atleast_1d(counts.held), np.atleast_1d(counts.live)
    return Bill(
        way=fates.way.name,
        servers=counts.servers,
        jobs=counts.jobs,
        good=counts.good,
        useless=counts.useless,
        failed=counts.failed,
        unfinished=counts.jobs - counts.good - counts.useless - counts.failed,
        attempts=counts.attempts,
        causes=dict(zip(CAUSES, np.broadcast_to(counts.causes, len(CAUSES)).tolist(), strict=True)),
        wasted_copies=counts.wasted_copies,
        repeated_hours=counts.wasted_seconds / HOUR,
        useless_hours=counts.useless_seconds / HOUR,
        orphans=counts.orphans,
        orphan_hours=counts.orphan_seconds / HOUR,
        forced_hours=counts.forced_seconds / HOUR,
        forced_wal_bytes=counts.forced_seconds / HOUR * p.wal_bytes,
        connections=counts.connections,
        connection_hours=counts.held_seconds / HOUR,
        connections_peak=int(held.max()),
        open_peak=int(live.max()),
        memory_peak_bytes=float(memory(p, fates, counts).max()),
        wait=wait_of(counts),
    )


def memory(p: Parameters, fates: Fates, counts: Tally) -> NDArray[np.float64]:
    """Bytes of all servers, look by look.

    A session for each backup; or what is reserved on every server, more while it has a backup open, and a little for
    each further one. Preallocated memory has room for its maximum all the time.
    """
    held, live, busy = (np.atleast_1d(some) for some in (counts.held, counts.live, counts.busy))
    if fates.held:
        return held * p.session_bytes
    if fates.way.design.storage is Storage.FIXED and fates.limit:
        return np.full(
            live.shape, counts.servers * (p.reserved_bytes + fates.limit * p.further_bytes), dtype=np.float64
        )
    more: NDArray[np.float64] = busy * (p.first_bytes - p.reserved_bytes) + (live - busy) * p.further_bytes
    return counts.servers * p.reserved_bytes + more


def wait_of(counts: Tally) -> Wait:
    """The mean, exactly, and percentiles out of bins."""
    if not counts.good:
        return Wait()
    reached = np.cumsum(np.broadcast_to(counts.waits, BINS)) / counts.good
    found = {name: float(STEP ** (np.searchsorted(reached, share) + 0.5)) for name, share in QUANTILES.items()}
    return Wait(mean=counts.good_after / counts.good, **found)


def fates_in_words(fates: Fates) -> dict[str, str]:
    """What becomes of an open backup, by event."""
    return {event.name.lower(): in_words(fates, fates.after(event)) for event in Event}


def in_words(fates: Fates, after: Condition) -> str:
    """What a backup has become."""
    if after == fates.conditions[0]:
        return "goes on"
    return {Answer.GOOD: "goes on", Answer.USELESS: "does not restore", Answer.REFUSED: "ended"}[after.answer]
