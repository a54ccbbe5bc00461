"""A chunk of servers, backed up in one way: attempt after attempt."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.simulation.attempts import Attempts, Ends, outcomes
from benchmarks.simulation.fates import Fates
from benchmarks.simulation.moments import NEVER, Mask, Seconds, Which
from benchmarks.simulation.parameters import Parameters
from benchmarks.simulation.world import World


@dataclass(frozen=True)
class Round:
    """Attempts that were admitted, and which starts were refused at the same time."""

    attempts: Attempts
    ends: Ends
    due: Seconds
    """When the backup was due that each attempt is to take."""
    last: Mask
    """No attempt would follow."""
    refused: int
    """Starts."""
    refused_last: int
    """Those that no attempt would follow."""


def run(p: Parameters, world: World, fates: Fates) -> Iterator[Round]:
    """Every attempt: without a limit those of all jobs at once; with one the next of each server, as it may fill it."""
    planes = np.broadcast_to(world.plane[:, np.newaxis], world.due.shape)
    pending = np.where(world.due < p.horizon, world.outages.up_at(planes, world.due), NEVER)
    tried = np.zeros(pending.shape, dtype=np.intp)
    slots = None if fates.limit is None else np.zeros((world.servers, fates.limit), dtype=np.int64)
    while True:
        server, job = chosen(pending, p.horizon, one_each=slots is not None)
        if not len(server):
            return
        number, start = tried[server, job], pending[server, job]
        free = (
            np.ones(len(server), dtype=np.bool_) if slots is None else slots[server].min(axis=1, initial=NEVER) <= start
        )
        cells = server[free], job[free], number[free]
        attempts = Attempts(
            server[free], start[free], world.durations[cells], world.losses[cells], world.forgotten[cells]
        )
        ends = outcomes(p, world, fates, attempts)
        if slots is not None and fates.limit:
            slots[server[free], slots[server[free]].argmin(axis=1)] = ends.live_until
        done = start.copy()
        done[free] = np.where(ends.good | ends.useless, NEVER, ends.done)
        retry = next_start(p, world, server, number, done)
        pending[server, job], tried[server, job] = retry, number + 1
        yield Round(
            attempts=attempts,
            ends=ends,
            due=world.due[server[free], job[free]],
            last=number[free] + 1 >= p.tries,
            refused=int((~free).sum()),
            refused_last=int((~free & (number + 1 >= p.tries)).sum()),
        )


def chosen(pending: Seconds, horizon: int, *, one_each: bool) -> tuple[Which, Which]:
    """Servers and jobs whose next attempt is to be made: all of them, or the first of each server."""
    if not one_each:
        found = np.nonzero(pending < horizon)
        return found[0], found[1]
    if not pending.shape[1]:
        return (np.empty(0, dtype=np.intp),) * 2
    job = pending.argmin(axis=1)
    server = np.nonzero(pending[np.arange(len(job)), job] < horizon)[0]
    return server, job[server]


def next_start(p: Parameters, world: World, server: Which, number: Which, done: Seconds) -> Seconds:
    """When the next attempt begins after one that failed, ``number`` of which were made before; NEVER: none does."""
    waits = np.array([min(p.wait * p.backoff**times, p.horizon) for times in range(p.tries)], dtype=np.int64)
    again = (done < p.horizon) & (number + 1 < p.tries)
    return np.where(again, world.outages.up_at(world.plane[server], np.where(again, done, 0) + waits[number]), NEVER)
