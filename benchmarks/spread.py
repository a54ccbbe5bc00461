"""Statistics: the middle and the spread of samples, and ratios pair by pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """The median, and the 5th and 95th percentile, in the samples' unit."""

    median: float
    p5: float
    p95: float


def spread(samples: Sequence[float]) -> Spread:
    """The spread of at least one sample; percentiles between two samples are interpolated."""
    if not samples:
        raise ValueError("there are no samples")
    p5, median, p95 = (float(value) for value in np.percentile(np.asarray(samples, dtype=float), [5, 50, 95]))
    return Spread(median, p5, p95)


def ratios(candidate: Sequence[float], against: Sequence[float]) -> list[float]:
    """Of each pair, how many times the one is the other; the n-th samples of both are a pair."""
    if len(candidate) != len(against):
        raise ValueError(f"{len(candidate)} and {len(against)} samples are not pairs")
    return [float(value) for value in np.asarray(candidate, dtype=float) / np.asarray(against, dtype=float)]
