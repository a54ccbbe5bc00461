"""``simulation.json``: ``Simulation``, what each way to back up a fleet costs.

All that is counted ends with the time that is simulated. Times are seconds unless a name says hours.
"""

from enum import StrEnum

from msgspec import Struct

from harness.schema.run import Circumstances, Scalar


class Verdict(StrEnum):
    """What became of a run."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    """It is partial: some points have fewer servers than their fleet, or none."""


class Wait(Struct, frozen=True, kw_only=True):
    """Seconds from when a backup was due until there was a good one, of those jobs that got one."""

    mean: float | None = None
    """Null, as are the next three: there is none."""
    median: float | None = None
    """Within two percent, as are the next two."""
    p95: float | None = None
    p99: float | None = None


class Bill(Struct, frozen=True, kw_only=True):
    """What one way costs."""

    way: str
    """Its name."""
    servers: int
    """How many were simulated."""
    jobs: int
    """Backups that were due."""
    good: int
    """Jobs with a backup that restores, of whichever attempt."""
    useless: int
    """Jobs whose stop handed out a backup that does not restore, and nobody knows."""
    failed: int
    """Jobs that were given up after the last attempt."""
    unfinished: int
    """Jobs that were under way at the end."""
    attempts: int
    """Starts that were tried."""
    causes: dict[str, int]
    """How many attempts failed for what: ``expiry`` (a false one: its copy was under way), ``restart``, ``hazard`` (a
    restart that made a durable backup useless), ``crash`` (of the control plane, and the session with it), ``loss`` (of
    the session), ``forgotten`` (by the control plane), ``limit`` (the start was refused)."""
    wasted_copies: int
    """Copies of attempts that failed."""
    repeated_hours: float
    """Of copying in them."""
    useless_hours: float
    """Of copying what does not restore."""
    orphans: int
    """Backups that were open when the control plane forgot them."""
    orphan_hours: float
    """That orphans stayed open, each by itself."""
    forced_hours: float
    """Of servers, in which full-page writes were forced and every open backup was an orphan."""
    forced_wal_bytes: float
    """What that costs in WAL."""
    connections: int
    """That were opened for backups."""
    connection_hours: float
    """That connections were held open for backups."""
    connections_peak: int
    """The most that were held at once, as are the next two; ``sampled`` tells how often one looked."""
    open_peak: int
    """Open backups."""
    memory_peak_bytes: float
    """Of all servers."""
    wait: Wait


class Point(Struct, frozen=True, kw_only=True):
    """One fleet."""

    changed: dict[str, Scalar]
    """What differs from ``parameters``: the values that are swept."""
    complete: bool
    """All of its servers were simulated."""
    bills: tuple[Bill, ...]
    """One for each way."""


class Simulation(Circumstances, frozen=True, kw_only=True):
    """A run of the simulation."""

    verdict: Verdict
    command: str
    """That made it, with its options."""
    seed: int
    parameters: dict[str, Scalar]
    """By their names; what is swept has its value before."""
    units: dict[str, str]
    """Of parameters, by their names."""
    sources: dict[str, str]
    """Where the figures of costs come from, by the names of parameters: a command, a folder, or that it was given."""
    fates: dict[str, dict[str, str]]
    """By way and event: what becomes of an open backup, in words, as the model says."""
    points: tuple[Point, ...]
    """Several, if something is swept."""
