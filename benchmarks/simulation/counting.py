"""What is counted of a chunk of servers, from its attempts and what became of them."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.simulation.fates import Fates
from benchmarks.simulation.fleet import Round, run
from benchmarks.simulation.moments import SPAN, Seconds
from benchmarks.simulation.parameters import Parameters
from benchmarks.simulation.tally import BINS, CAUSES, REFUSED, Tally, bin_of, looks, seconds_where
from benchmarks.simulation.world import World


def back_up(p: Parameters, world: World, fates: Fates) -> Tally:
    """Backs a chunk up, and counts."""
    rounds = list(run(p, world, fates))
    begun = Tally(
        servers=world.servers,
        jobs=int((world.due < p.horizon).sum()),
        causes=np.zeros(len(CAUSES), dtype=np.int64),
        waits=np.zeros(BINS, dtype=np.int64),
    )
    return sum((one_by_one(p, fates, one) for one in rounds), begun) + together(p, world, fates, rounds)


def one_by_one(p: Parameters, fates: Fates, one: Round) -> Tally:
    """What attempts count each by itself."""
    some, ends, end = one.attempts, one.ends, p.horizon
    over = ends.done < end
    good, useless = over & ends.good, over & ends.useless
    failed = over & ~good & ~useless
    copying = np.minimum(np.minimum(ends.done, some.copied), end) - some.start
    orphan = ends.orphan & (ends.crash < end)
    wait = (ends.done - one.due)[good]
    causes = np.bincount(ends.cause[failed], minlength=len(CAUSES)).astype(np.int64)
    causes[REFUSED] += one.refused
    return Tally(
        good=int(good.sum()),
        useless=int(useless.sum()),
        failed=int((failed & one.last).sum()) + one.refused_last,
        attempts=len(some.start) + one.refused,
        causes=causes,
        wasted_copies=int(failed.sum()),
        wasted_seconds=int(copying[failed].sum()),
        useless_seconds=int(copying[useless].sum()),
        orphans=int(orphan.sum()),
        orphan_seconds=int((np.minimum(ends.live_until, end) - ends.crash)[orphan].clip(0).sum()),
        connections=int(ends.connections.sum()) + one.refused,
        held_seconds=int((np.minimum(ends.held_until, end) - some.start).sum()) if fates.held else 0,
        good_after=int(wait.sum()),
        waits=np.bincount(bin_of(wait), minlength=BINS).astype(np.int64),
    )


def together(p: Parameters, world: World, fates: Fates, rounds: Sequence[Round]) -> Tally:
    """What all attempts hold together: connections, open backups, and core."""
    start, live = all_of(rounds, lambda one: one.attempts.start), until(p, rounds, lambda one: one.ends.live_until)
    server = all_of(rounds, lambda one: one.attempts.server.astype(np.int64))
    sessions = until(p, rounds, lambda one: one.ends.held_until)
    busy = (start, start) if fates.held else merged(server, start, live)
    return Tally(
        forced_seconds=forced_by_orphans(p, world, rounds, server, start),
        held=looks(start, sessions if fates.held else start, p.sampled, p.horizon),
        live=looks(start, live, p.sampled, p.horizon),
        busy=looks(*busy, p.sampled, p.horizon),
    )


def all_of(rounds: Sequence[Round], column: Callable[[Round], Seconds]) -> Seconds:
    """A column of all rounds."""
    return np.concatenate([np.empty(0, dtype=np.int64), *map(column, rounds)])


def until(p: Parameters, rounds: Sequence[Round], column: Callable[[Round], Seconds]) -> Seconds:
    """A column of times of all rounds, none of them later than the horizon."""
    return np.minimum(all_of(rounds, column), p.horizon)


def merged(server: Seconds, begin: Seconds, end: Seconds) -> tuple[Seconds, Seconds]:
    """The times in which each server has some of its intervals: when these begin, and when they end."""
    base = server * SPAN
    keys = np.concatenate([base + end, base + begin])  # of the same moment, an end comes first
    order = np.argsort(keys, kind="stable")
    change = np.where(order < len(base), -1, 1)
    open_then = np.cumsum(change)
    moment = keys[order] % SPAN
    return moment[(change > 0) & (open_then == 1)], moment[(change < 0) & (open_then == 0)]


def forced_by_orphans(p: Parameters, world: World, rounds: Sequence[Round], server: Seconds, start: Seconds) -> int:
    """Seconds in which core counts backups of a server, and every open one is an orphan.

    Core counts one too few, until the next restart, after the end of a backup that a table carried over one.
    """
    orphan = all_of(rounds, lambda one: one.ends.orphan.astype(np.int64)) > 0
    if not orphan.any():
        return 0
    short = all_of(rounds, lambda one: one.ends.short_from)
    mended = np.minimum(world.restarts.after(server, short), world.hazards.after(server, short))
    wanted = np.where(
        orphan, until(p, rounds, lambda one: one.ends.crash), until(p, rounds, lambda one: one.ends.live_until)
    )
    core = until(p, rounds, lambda one: one.ends.core_until)
    moments = [start, core, np.minimum(short, p.horizon), np.minimum(mended, p.horizon), wanted]
    keys = (np.stack(moments) + server * SPAN).ravel()
    order = np.argsort(keys)
    counts = np.cumsum(np.repeat([1, -1, -1, 1, 0], len(server))[order])
    wants = np.cumsum(np.repeat([1, 0, 0, 0, -1], len(server))[order])
    return seconds_where((counts > 0) & (wants == 0), keys[order])
