"""Latency distributions: which share of the operations took at most so long, of all candidates together."""

import math
from collections.abc import Iterator, Sequence
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.schema.benchmarks import Benchmark, Benchmarks
from reports.bench import sweeps
from reports.figures.axes import log_ticks
from reports.figures.picture import Picture, picture
from reports.style import GREY, looks
from reports.words import digits, parameters

FEWEST = 5
"""Fewer samples are no distribution."""
COLUMNS = 2
LETTERS = 56
"""So many of a title fit over a panel."""
TIMES = ("ms", "s", "µs", "us")
HOW_TO_READ = (
    "A curve tells which share of the operations took at most so long; the further left, the faster. The symbol is the "
    "median, with its value. Each panel has a time axis of its own, which is logarithmic."
)


def latency_pictures(bench: Benchmarks) -> Iterator[Picture]:
    """Distributions beside the floor, and the other ones."""
    _, single = sweeps(bench.benchmarks)
    timed = [one for one in single if one.unit in TIMES and enough(one)]
    beside_floor = [one for one in timed if "floor" in enough(one)]
    others = [one for one in timed if "floor" not in enough(one)]
    if beside_floor:
        floor = "The floor is what nobody can avoid: a WAL switch and, for a start, a checkpoint."
        yield distributions("latency", "Latency beside the floor", f"{HOW_TO_READ} {floor}", beside_floor)
    if others:
        yield distributions("latency-others", "Other latencies", HOW_TO_READ, others)


def enough(one: Benchmark) -> list[str]:
    """The candidates of which enough was measured."""
    return [name for name, spread in one.candidates.items() if len(spread.samples) >= FEWEST]


def distributions(name: str, title: str, caption: str, shown: Sequence[Benchmark]) -> Picture:
    """A panel for each benchmark."""
    return picture(name, title, caption, lambda: draw(shown))


def draw(shown: Sequence[Benchmark]) -> Figure:
    """The panels, row by row."""
    rows = math.ceil(len(shown) / COLUMNS)
    columns = min(COLUMNS, len(shown))
    figure = Figure(figsize=(5.4 * columns, 3.1 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, one in zip(panels, shown, strict=False):
        draw_panel(axes, one)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def draw_panel(axes: Axes, one: Benchmark) -> None:
    """The distributions of one benchmark."""
    style = looks(list(one.candidates))
    everything: list[float] = []
    for name in enough(one):
        samples = np.sort(np.asarray(one.candidates[name].samples))
        everything += samples.tolist()
        shares = np.arange(1, len(samples) + 1) / len(samples) * 100
        kind = style[name]
        axes.step(samples, shares, where="post", color=kind["color"], linestyle=kind["linestyle"])
        median = one.candidates[name].median
        label = f"{name}: {digits(median)} {one.unit} (n = {len(samples):,})"
        axes.plot(median, 50, marker=kind["marker"], color=kind["color"], markersize=7, linestyle=kind["linestyle"],
                  markeredgecolor="white", label=label)  # fmt: skip
    axes.axhline(50, color=GREY, linewidth=0.6, zorder=0.5)
    log_ticks(axes.xaxis, min(everything), max(everything))
    axes.set_ylim(0, 102)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xlabel(f"took at most, {one.unit} (logarithmic)")
    axes.set_ylabel("share, %")
    axes.set_title(title_in_lines(one), fontsize=9)
    axes.legend(loc="lower right", fontsize=7.5, frameon=True, framealpha=0.9, edgecolor="none", borderpad=0.3)


def title_in_lines(one: Benchmark) -> str:
    """The title, and under it the parameters."""
    lines = wrap(one.title, LETTERS)
    return "\n".join([*lines, parameters(one)] if one.parameters else lines)
