"""The rules of a fleet: what a control plane does, and what becomes of each attempt to take a backup.

An attempt is a start, a copy, and a stop when the copy is ready. The copy needs no control plane; start, renewals and
stop do, and wait until it has recovered. After a crash it knows nothing any more of some open backups: these are
*orphans*, which nobody renews or stops. Whether an attempt fails, the table of fates says; when that is noticed:

- at once, if a session was held and has ended;
- at the next renewal, which is refused;
- else at the stop, which is refused;
- of a backup that it has forgotten, when the control plane has recovered; it can only begin again.

Of what happens in the same second, expiries come first, then restarts, crashes, losses, renewals, stops, and starts.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulation.fates import OPEN, Answer, Event, Fates
from benchmarks.simulation.leases import Lease
from benchmarks.simulation.moments import NEVER, Mask, Seconds, Which
from benchmarks.simulation.parameters import Parameters
from benchmarks.simulation.world import World

UNBROKEN, FORGOTTEN = -1, len(Event)
"""Causes, beside the events: nothing went wrong; the control plane knows nothing of it any more."""


@dataclass(frozen=True)
class Attempts:
    """Attempts that begin: arrays of the same length."""

    server: Which
    start: Seconds
    duration: Seconds
    loss: Seconds
    """How long after the start its session would break."""
    forgotten: Mask

    @cached_property
    def copied(self) -> Seconds:
        """When the copy is ready."""
        return self.start + self.duration


@dataclass(frozen=True)
class Ends:
    """What becomes of them."""

    good: Mask
    """The stop handed out a backup that restores."""
    useless: Mask
    """The stop handed out one that does not, and nobody knows."""
    done: Seconds
    """When the control plane is through with it: it has been stopped, or is known to have failed."""
    cause: NDArray[np.int64]
    """What it failed for: an ``Event``, ``FORGOTTEN``, or ``UNBROKEN``."""
    orphan: Mask
    """It was open when the control plane forgot it."""
    crash: Seconds
    """Of the control plane: the first one."""
    live_until: Seconds
    core_until: Seconds
    """Until then core counts it."""
    short_from: Seconds
    """From then until the next restart core counts one too few, for it; NEVER: it does not."""
    held_until: Seconds
    """Until then a session is held, if one is."""
    connections: Seconds
    """How many were opened for it."""


@dataclass(frozen=True)
class Walked:
    """What the events before the stop made of attempts."""

    condition: Which
    broken: Seconds
    """Since when a stop is refused."""
    cause: NDArray[np.int64]
    live_until: Seconds
    core_until: Seconds
    short_from: Seconds
    held_until: Seconds


def outcomes(p: Parameters, world: World, fates: Fates, some: Attempts) -> Ends:
    """What becomes of attempts that were admitted."""
    plane, outages = world.plane[some.server], world.outages
    lease = lease_of(p, world, fates)
    crash = outages.crash_after(plane, some.start)
    stops = outages.up_at(plane, some.copied)
    forgotten = some.forgotten & (crash <= some.copied)
    deadlines = lease.deadlines(plane, some.start, some.copied, forgotten)
    walked = walk(fates, times(world, fates, some, deadlines), np.where(forgotten, p.horizon - 1, stops))

    failing = walked.broken < NEVER
    told = outages.up_at(plane, walked.broken) if fates.held else lease.next_call(plane, some.start, walked.broken)
    noticed = np.where(failing, told, NEVER)
    forgotten &= noticed > crash
    stopping = ~forgotten & (noticed >= stops)
    done = np.where(forgotten, crash + outages.recovery, np.minimum(noticed, stops))
    orphan = forgotten & (walked.live_until > crash)

    stopped = stopping & ~failing
    answer = fates.each("answer")[walked.condition]
    core, short = fates.each("core")[walked.condition] > 0, fates.each("core_after")[walked.condition] < 0
    lost = np.where(failing & (walked.broken <= crash), walked.cause, FORGOTTEN)
    return Ends(
        good=stopped & (answer == Answer.GOOD),
        useless=stopped & (answer == Answer.USELESS),
        done=done,
        cause=np.where(forgotten, lost, walked.cause),
        orphan=orphan,
        crash=crash,
        live_until=np.where(stopped, stops, walked.live_until),
        core_until=np.where(stopped & core, stops, walked.core_until),
        short_from=np.where(stopped & short, stops, walked.short_from),
        held_until=np.where(stopped, stops, walked.held_until),
        connections=connections(p, fates, lease, plane, some, stopping, np.where(forgotten, crash, done)),
    )


def lease_of(p: Parameters, world: World, fates: Fates) -> Lease:
    """How backups are kept from expiring, as far as the design can."""
    ttl = p.ttl if fates.expires and p.ttl else None
    return Lease(world.outages, ttl, p.renewed if ttl and fates.leases else None)


def times(world: World, fates: Fates, some: Attempts, deadlines: Seconds) -> Seconds:
    """When each event would come to each attempt for the first time: a row for each ``Event``."""
    found = np.full((len(Event), len(some.start)), NEVER, dtype=np.int64)
    found[Event.EXPIRY] = deadlines
    found[Event.RESTART] = world.restarts.after(some.server, some.start)
    found[Event.HAZARD] = world.hazards.after(some.server, some.start)
    found[Event.CRASH] = world.outages.crash_after(world.plane[some.server], some.start)
    if fates.held:
        found[Event.LOSS] = some.start + some.loss
    return found


def walk(fates: Fates, moments: Seconds, until: Seconds) -> Walked:
    """Applies the events in their order, up to a moment. The first of each kind is enough: a second changes nothing."""
    live, core, held, answer = (fates.each(name) for name in ("live", "core", "held", "answer"))
    now = np.full(until.shape, OPEN, dtype=np.intp)
    cause = np.full(until.shape, UNBROKEN, dtype=np.int64)
    broken, live_until, core_until, short_from, held_until = (np.full_like(until, NEVER) for _ in range(5))
    for event in np.argsort(moments, axis=0, kind="stable"):
        when = np.take_along_axis(moments, event[np.newaxis], axis=0)[0]
        then = np.where(when <= until, fates.then[now, event], now)
        breaks = (answer[now] != Answer.REFUSED) & (answer[then] == Answer.REFUSED)
        broken, cause = np.where(breaks, when, broken), np.where(breaks, event, cause)
        live_until = np.where((live[now] > 0) & (live[then] == 0), when, live_until)
        core_until = np.where((core[now] > 0) & (core[then] <= 0), when, core_until)
        short_from = np.where((core[now] >= 0) & (core[then] < 0), when, short_from)
        held_until = np.where((held[now] > 0) & (held[then] == 0), when, held_until)
        now = then
    return Walked(now, broken, cause, live_until, core_until, short_from, held_until)


def connections(
    p: Parameters, fates: Fates, lease: Lease, plane: Which, some: Attempts, stopping: Mask, end: Seconds
) -> Seconds:
    """One, if it is held; else one each for the start, each renewal and the stop, as far as they come in time.

    ``end``: when the control plane is through with it, or forgets it. A renewal at that moment told it to be lost.
    """
    if fates.held:
        return np.ones_like(some.start)
    told = ~stopping & (end != lease.outages.crash_after(plane, some.start))
    renewals = lease.renewals(plane, some.start, np.minimum(end + told, p.horizon))
    return 1 + renewals + (stopping & (end < p.horizon))
