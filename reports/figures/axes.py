"""Axes that people can read: logarithmic ones with plain numbers, ratios that show 1.0."""

import math

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.style import INK

DECADES_WITH_STEPS = 2.2
"""Up to so many decades, the ticks within each are labelled too."""


def log_ticks(axis: Axis, least: float, most: float, room: float = 0.06) -> None:
    """A logarithmic axis from ``least`` to ``most`` with ticks as plain numbers."""
    least = max(least, 1e-9)
    most = max(most, least * 1.05)
    margin = (most / least) ** room
    low, high = least / margin, most * margin
    axes = axis.axes
    set_scale, set_limits = (axes.set_xscale, axes.set_xlim) if axis is axes.xaxis else (axes.set_yscale, axes.set_ylim)
    set_scale("log")
    set_limits(low, high)
    axis.set_major_locator(FixedLocator(ticks_between(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def ticks_between(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 ...; only powers of ten if there are many; finer if there would be none."""
    decades = math.log10(high / low)
    steps: tuple[float, ...] = (1, 2, 5) if decades <= DECADES_WITH_STEPS else (1,)
    if decades < 0.7:
        steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    return [step * 10.0**exponent for exponent in exponents for step in steps if low <= step * 10.0**exponent <= high]


def plain(value: float) -> str:
    """A tick's number."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def line_at_one(axes: Axes, vertical: bool) -> None:
    """Where both candidates are equal."""
    (axes.axvline if vertical else axes.axhline)(1.0, color=INK, linewidth=1.0, zorder=1)
