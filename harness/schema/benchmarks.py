"""``bench.json``: ``Benchmarks``. Times are seconds unless a unit is told."""

from enum import StrEnum

from msgspec import Struct, field

from harness.schema.run import Run, Scalar


class Verdict(StrEnum):
    """What became of a target."""

    MET = "met"
    MISSED = "missed"
    NONE = "none"
    """There is no target."""


class Spread(Struct, frozen=True, kw_only=True):
    """Samples, the median, and between which values nine in ten lie: in the samples' unit."""

    median: float = 0.0
    """The 50th percentile."""
    p5: float = 0.0
    """The 5th percentile."""
    p95: float = 0.0
    """The 95th percentile."""
    samples: tuple[float, ...] = ()
    """None: nothing was measured, and the numbers above mean nothing."""


class Bounds(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a ratio or a value is to be: one of both."""

    at_most: float | None = None
    """Null: it may be as much as it will."""
    at_least: float | None = None
    """Null: it may be as little as it will."""

    @property
    def bound(self) -> float:
        """The bound that there is."""
        return self.at_most if self.at_most is not None else self.at_least or 0.0

    def __str__(self) -> str:
        return f"{'≤' if self.at_most is not None else '≥'} {self.bound:,g}"

    def verdict(self, measured: float) -> Verdict:
        """Does what was measured keep within the bounds?"""
        low = self.at_least is None or measured >= self.at_least
        high = self.at_most is None or measured <= self.at_most
        return Verdict.MET if low and high else Verdict.MISSED


class Ratio(Spread, frozen=True, kw_only=True):
    """How many times one candidate is the other, pair by pair."""

    candidate: str
    """The one, by its name in ``candidates``."""
    against: str
    """The other."""
    pairs: int
    """How many."""
    interval: tuple[float, float] | None = None
    """Between which ratios the true median lies, with a confidence of 95 %."""
    target: Bounds | None = None
    """Null: it has none."""
    verdict: Verdict = Verdict.NONE
    """Does the median keep the target?"""


class Limit(Struct, frozen=True, kw_only=True):
    """A value that has a target."""

    value: str
    """Its name."""
    measured: float
    """In the unit that its name tells."""
    target: Bounds
    verdict: Verdict
    """Does it keep the target?"""


class Benchmark(Struct, frozen=True, kw_only=True):
    """One benchmark with one set of parameters."""

    name: str
    """What was measured, in one word ..."""
    title: str
    """... and in a line."""
    unit: str = "ms"
    """Of the samples."""
    parameters: dict[str, Scalar] = {}
    """What was varied."""
    candidates: dict[str, Spread] = {}
    """``shared`` is the implementation under test, whatever its name; ``stock`` is core's functions; ``floor`` is what
    nobody can avoid. The n-th samples of the candidates are a pair."""
    ratios: tuple[Ratio, ...] = ()
    values: dict[str, float] = {}
    """Numbers that are no samples, by name."""
    limits: tuple[Limit, ...] = ()
    """Those of the values that have a target."""
    settings: dict[str, str] = {}
    """What its server's configuration says beside ``postgresql.settings``."""
    notes: tuple[str, ...] = ()
    """Remarks."""
    skipped: str = ""
    """Why nothing was measured; empty if something was."""


class Target(Bounds, frozen=True, omit_defaults=True):
    """Bounds of a benchmark's ratio against another candidate, or of one of its values."""

    benchmark: str
    """Its name."""
    against: str = ""
    """The other candidate of the ratio whose median is bounded."""
    value: str = ""
    """The value that is bounded, if it is no ratio."""
    when: dict[str, Scalar] = {}
    """The parameters for which it holds; all, unless told."""


class Benchmarks(Run, frozen=True, kw_only=True):
    """A run of the benchmarks."""

    verdict: str = "complete"
    """complete, crashed (some benchmark broke down) or interrupted."""
    mode: str = ""
    """quick or full."""
    benchmarks: tuple[Benchmark, ...]
    crashed: dict[str, str] = field(default_factory=dict)
    """Benchmarks that broke down, by name, with all that pytest says."""
    targets: tuple[Target, ...] = ()
    """The table of targets, whether measured or not."""
