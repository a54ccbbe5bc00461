"""What a benchmark found: samples by candidate, ratios pair by pair, values, and how they stand to their targets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.spread import Spread, median_interval, ratios, spread
from benchmarks.targets import Target, Verdict, ratio_target, value_target

Parameters = Mapping[str, object]


@dataclass(frozen=True)
class Ratio:
    """How many times one candidate is the other, pair by pair."""

    candidate: str
    against: str
    samples: Sequence[float]
    target: Target | None = None

    @property
    def spread(self) -> Spread:
        """Over the pairs."""
        return spread(self.samples)

    @property
    def interval(self) -> tuple[float, float]:
        """Between which ratios the true median lies, with a confidence of 95 %."""
        return median_interval(self.samples)

    @property
    def verdict(self) -> Verdict:
        """Does the median keep the target?"""
        return self.target.verdict(self.spread.median) if self.target else Verdict.NONE

    @property
    def certainly_missed(self) -> bool:
        """Would the true median miss the target, wherever in its interval it is?"""
        return self.target is not None and Verdict.MET not in map(self.target.verdict, self.interval)


@dataclass(frozen=True)
class Limit:
    """A value that has a target."""

    value: str
    measured: float
    target: Target

    @property
    def verdict(self) -> Verdict:
        """Does it keep the target?"""
        return self.target.verdict(self.measured)


@dataclass(frozen=True)
class Measurement:
    """One benchmark with one set of parameters."""

    name: str
    title: str
    unit: str = "ms"
    """Of the samples."""
    parameters: Parameters = field(default_factory=dict)
    candidates: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Samples by candidate; ``shared`` is the implementation under test, whatever its name."""
    ratios: Sequence[Ratio] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    """Numbers that are no samples."""
    limits: Sequence[Limit] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the server's configuration says beside the bench's own."""
    notes: Sequence[str] = ()
    skipped: str = ""
    """Why nothing was measured; empty if something was."""


def measured(
    name: str,
    title: str,
    candidates: Mapping[str, Sequence[float]] | None = None,
    *,
    compare: Iterable[tuple[str, str]] = (),
    parameters: Parameters | None = None,
    values: Mapping[str, float] | None = None,
    unit: str = "ms",
    settings: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Measurement:
    """A measurement with the ratios of the pairs of candidates to ``compare``, all held to the project's targets."""
    samples, given, numbers = candidates or {}, parameters or {}, values or {}
    return Measurement(
        name=name,
        title=title,
        unit=unit,
        parameters=given,
        candidates=samples,
        ratios=[
            Ratio(one, other, ratios(samples[one], samples[other]), ratio_target(name, given, one, other))
            for one, other in compare
        ],
        values=numbers,
        limits=[
            Limit(value, number, target)
            for value, number in numbers.items()
            if (target := value_target(name, given, value))
        ],
        settings=settings or {},
        notes=notes,
    )
