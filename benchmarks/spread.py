"""Statistics: the middle and the spread of samples, and ratios pair by pair."""

import math
from collections.abc import Sequence

import numpy as np

from harness.schema.benchmarks import Spread

DIGITS = 6
"""Of a number that is kept."""
WIDTH_OF_CONFIDENCE = 0.98
"""Half of 1.96 standard deviations of a binomial distribution are this many roots of its number of trials."""


def spread(samples: Sequence[float]) -> Spread:
    """The spread of at least one sample; percentiles between two samples are interpolated."""
    if not samples:
        raise ValueError("there are no samples")
    p5, median, p95 = (rounded(value) for value in np.percentile(np.asarray(samples, dtype=float), [5, 50, 95]))
    return Spread(median=median, p5=p5, p95=p95, samples=tuple(map(rounded, samples)))


def rounded(value: float) -> float:
    """With as many digits as mean something."""
    return float(f"{value:.{DIGITS}g}")


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Between which two samples the true median lies, with a confidence of 95 %, whatever their distribution.

    The number of samples below the true median is binomially distributed, so these are order statistics. With fewer
    than six samples there is no such confidence, and these are the least and the greatest.
    """
    ranked, middle = sorted(samples), (len(samples) - 1) / 2
    away = WIDTH_OF_CONFIDENCE * len(samples) ** 0.5
    return ranked[max(0, math.floor(middle - away))], ranked[min(len(ranked) - 1, math.ceil(middle + away))]


def ratios(candidate: Sequence[float], against: Sequence[float]) -> list[float]:
    """Of each pair, how many times the one is the other; the n-th samples of both are a pair.

    A single sample is paired with every one of the other's.
    """
    if len(candidate) != len(against) and 1 not in (len(candidate), len(against)):
        raise ValueError(f"{len(candidate)} and {len(against)} samples are not pairs")
    return [float(value) for value in np.asarray(candidate, dtype=float) / np.asarray(against, dtype=float)]
