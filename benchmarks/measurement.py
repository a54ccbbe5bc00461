"""What a benchmark found: samples by candidate, ratios pair by pair, values, and how they stand to their targets."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import asdict

from benchmarks.spread import median_interval, ratios, rounded, spread
from benchmarks.targets import ratio_target, value_target
from harness.schema.benchmarks import Benchmark, Bounds, Limit, Ratio, Verdict
from harness.schema.run import Scalar


def measured(
    name: str,
    title: str,
    candidates: Mapping[str, Sequence[float]] | None = None,
    *,
    compare: Iterable[tuple[str, str]] = (),
    parameters: Mapping[str, Scalar] | None = None,
    values: Mapping[str, float] | None = None,
    unit: str = "ms",
    settings: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Benchmark:
    """A measurement with the ratios of the pairs of candidates to ``compare``, all held to the project's targets."""
    samples, given, numbers = candidates or {}, dict(parameters or {}), values or {}
    return Benchmark(
        name=name,
        title=title,
        unit=unit,
        parameters=given,
        candidates={one: spread(some) for one, some in samples.items() if some},
        ratios=tuple(
            ratio(one, other, ratios(samples[one], samples[other]), ratio_target(name, given, one, other))
            for one, other in compare
        ),
        values={value: rounded(number) for value, number in numbers.items()},
        limits=tuple(
            Limit(value=value, measured=rounded(number), target=target, verdict=target.verdict(number))
            for value, number in numbers.items()
            if (target := value_target(name, given, value))
        ),
        settings=dict(settings or {}),
        notes=tuple(notes),
    )


def ratio(candidate: str, against: str, samples: Sequence[float], target: Bounds | None) -> Ratio:
    """How many times one candidate is the other, given each pair; there is at least one."""
    wide, (low, high) = spread(samples), median_interval(samples)
    return Ratio(
        **asdict(wide),
        candidate=candidate,
        against=against,
        pairs=len(samples),
        interval=(rounded(low), rounded(high)),
        target=target,
        verdict=target.verdict(wide.median) if target else Verdict.NONE,
    )
