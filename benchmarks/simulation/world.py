"""What happens to a chunk of servers, whatever the design: arrivals, durations, losses, restarts, crashes.

All designs see the same chance, so that they can be compared. A chunk draws from the seed and
its own number, a control plane from the seed and its own: so the results depend neither on how many workers there are
nor on the order of the chunks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from benchmarks.simulation.moments import NEVER, Mask, Moments, Outages, Seconds, Which, moments
from benchmarks.simulation.parameters import DAY, HOUR, Parameters
from harness.machine.postgres import SetupError

CELLS = 2_000_000
"""Attempts that a chunk has room for: about 100 MB."""
MOST_SERVERS = 10_000
"""Of a chunk."""
CHUNK, PLANE = 0, 1
"""Streams of chance."""
LONGEST = 1 << 36
"""Seconds: a copy that takes longer never ends either."""


@dataclass(frozen=True)
class World:
    """A chunk of servers. Arrays over attempts have the shape (servers, jobs, tries)."""

    servers: int
    plane: Which
    """The control plane of each server, counted from the first of the chunk."""
    due: Seconds
    """By server and job: when the backup is due, sorted; NEVER where a server has fewer jobs."""
    durations: Seconds
    """Of the copy of each attempt, one or more."""
    losses: Seconds
    """How long after its start the session of each attempt would break."""
    forgotten: Mask
    """Is the attempt one that the control plane knows nothing of after a crash?"""
    restarts: Moments
    """By server: those that are no hazard."""
    hazards: Moments
    """By server."""
    outages: Outages
    """By control plane."""


def chunk_size(p: Parameters) -> int:
    """How many servers a chunk has, so that it fits into memory."""
    jobs = p.horizon / p.every + 1
    return max(1, min(MOST_SERVERS, int(CELLS / (jobs * p.tries))))


def chunks(p: Parameters) -> range:
    """The numbers of the chunks."""
    return range(-(-p.servers // chunk_size(p)))


def draw(p: Parameters, durations: Seconds | None, chunk: int) -> World:
    """A chunk; ``durations``: the user's own, to draw from."""
    size = chunk_size(p)
    first = chunk * size
    servers = min(size, p.servers - first)
    chance = default_rng(SeedSequence([p.seed, CHUNK, chunk]))
    plane = np.arange(first, first + servers, dtype=np.intp) // p.plane
    due = scheduled(p, chance, servers) if p.arrivals == "schedule" else poisson(p, chance, servers)
    shape = (*due.shape, p.tries)
    copies = copy_seconds(p, durations, chance, shape)
    losses = waits(chance, p.losses / HOUR, shape)
    forgotten = chance.random(shape) < p.forgets
    restarts, hazards = restarts_of(p, chance, servers)
    outages = Outages(crashes(p, int(plane[0]), int(plane[-1])), p.recovery)
    return World(servers, plane - plane[0], due, copies, losses, forgotten, restarts, hazards, outages)


def scheduled(p: Parameters, chance: Generator, servers: int) -> Seconds:
    """Each server has its turn within the period, and each backup comes late by up to the jitter."""
    turn = chance.integers(0, p.every, (servers, 1))
    jobs = -(-p.horizon // p.every)
    due = turn + p.every * np.arange(jobs) + chance.integers(0, p.jitter + 1, (servers, jobs))
    return np.sort(np.where(due < p.horizon, due, NEVER), axis=1)


def poisson(p: Parameters, chance: Generator, servers: int) -> Seconds:
    """Backups of a server are due at random."""
    number = chance.poisson(p.horizon / p.every, servers)
    jobs = max(1, int(number.max()))
    due = chance.integers(0, p.horizon, (servers, jobs))
    return np.sort(np.where(np.arange(jobs) < number[:, np.newaxis], due, NEVER), axis=1)


def copy_seconds(p: Parameters, durations: Seconds | None, chance: Generator, shape: tuple[int, ...]) -> Seconds:
    """How long copies take, in whole seconds and at least one."""
    if durations is not None:
        return chance.choice(durations, shape)
    if p.durations == "lognormal":
        drawn = p.median * np.exp(p.sigma * chance.standard_normal(shape))
    else:
        drawn = p.median * 2 ** (-1 / p.shape) * (1 + chance.pareto(p.shape, shape))
    return whole(drawn)


def waits(chance: Generator, rate: float, shape: tuple[int, ...]) -> Seconds:
    """Times until something happens that happens at this rate per second."""
    drawn = chance.standard_exponential(shape)
    return whole(drawn / rate) if rate else np.full(shape, NEVER, dtype=np.int64)


def whole(seconds: NDArray[np.float64]) -> Seconds:
    """Rounded up to whole seconds, at least one."""
    return np.clip(np.ceil(seconds), 1, LONGEST).astype(np.int64)


def restarts_of(p: Parameters, chance: Generator, servers: int) -> tuple[Moments, Moments]:
    """The restarts of each server: those that are no hazard, and those that are."""
    number = chance.poisson(p.restarts * p.horizon / DAY, servers)
    server = np.repeat(np.arange(servers, dtype=np.intp), number)
    when = chance.integers(0, p.horizon, len(server))
    bad = chance.random(len(server)) < p.hazards
    return moments(server[~bad], when[~bad]), moments(server[bad], when[bad])


def crashes(p: Parameters, first: int, last: int) -> Moments:
    """The crashes of the control planes from the first to the last, counted from the first."""
    found = [(plane - first, when) for plane in range(first, last + 1) for when in crashes_of(p, plane)]
    planes = np.array([plane for plane, _ in found], dtype=np.intp)
    return moments(planes, np.array([when for _, when in found], dtype=np.int64))


def crashes_of(p: Parameters, plane: int) -> Iterator[int]:
    """When a control plane crashes: up for some time, down until it has recovered, and so on."""
    if not p.crashes:
        return
    chance = default_rng(SeedSequence([p.seed, PLANE, plane]))
    when = 0
    while True:
        when += max(1, round(chance.exponential(DAY / p.crashes)))
        if when >= p.horizon:
            return
        yield when
        when += p.recovery


def read_durations(p: Parameters) -> Seconds | None:
    """The user's own durations, if there is a file of them: a number in each line; raises SetupError."""
    path = Path(p.durations)
    if path.suffix != ".csv":
        return None
    try:
        lines = path.read_text().split()
        seconds = np.array([float(line) for line in lines], dtype=np.float64)
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): name a file of durations.") from None
    except ValueError as error:
        raise SetupError(f"{path} has something else than seconds in a line ({error}): correct it.") from None
    if not len(seconds) or not np.all(np.isfinite(seconds) & (seconds > 0)):
        raise SetupError(
            f"{path} is no list of durations: each of its lines is to be the seconds of a copy, above zero."
        )
    return whole(seconds)
