"""Curves: what is measured as one number grows (open backups, callers, tablespaces), and the ratio beside it."""

from collections.abc import Iterator
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.schema.benchmarks import Benchmarks
from reports.bench import Sweep, sweeps
from reports.figures.axes import line_at_one, log_ticks, plain
from reports.figures.picture import Picture, picture
from reports.style import VERMILLION, looks
from reports.words import name_in_words

MANY_TIMES = 20
"""Beyond this factor between the least and the most, an axis is logarithmic."""


def sweep_pictures(bench: Benchmarks) -> Iterator[Picture]:
    """A figure for each curve."""
    curves, _ = sweeps(bench.benchmarks)
    for curve in curves:
        fixed = f" ({curve.fixed})" if curve.fixed else ""
        name = "-".join("".join(c if c.isalnum() else " " for c in f"{curve.first.name} {curve.fixed}").split())
        yield picture(
            f"curve-{name}",
            f"{curve.first.title}{fixed}",
            "Left: the median of each candidate; right: the ratio pair by pair. Bars and bands reach from the 5th to "
            "the 95th percentile of the single measurements.",
            partial(draw, curve),
        )


def draw(curve: Sweep) -> Figure:
    """Both panels; only one if nothing was compared."""
    ratios = [name for name in ratio_names(curve) if name[1] != "floor"]
    figure = Figure(figsize=(10.4 if ratios else 5.4, 3.6), layout="constrained")
    panels = figure.subplots(1, 2 if ratios else 1, squeeze=False)[0]
    draw_medians(panels[0], curve)
    if ratios:
        draw_ratios(panels[1], curve, ratios)
    for axes in panels:
        axis_of_parameter(axes, curve)
    return figure


def draw_medians(axes: Axes, curve: Sweep) -> None:
    """The median of each candidate, with its spread."""
    names = list(dict.fromkeys(name for _, one in curve.points for name in one.candidates))
    style = looks(names)
    values: list[float] = []
    for name in names:
        points = [(x, one.candidates[name]) for x, one in curve.points if name in one.candidates]
        across = [x for x, _ in points]
        axes.fill_between(
            across, [s.p5 for _, s in points], [s.p95 for _, s in points], color=style[name]["color"], alpha=0.13, lw=0
        )
        axes.plot(across, [s.median for _, s in points], label=name, **style[name])
        values += [value for _, s in points for value in (s.p5, s.median, s.p95)]
    if min(values) > 0 and max(values) / min(values) > MANY_TIMES:
        log_ticks(axes.yaxis, min(values), max(values))
        axes.set_ylabel(f"{curve.first.unit} (logarithmic)")
    else:
        axes.set_ylim(0, max(values) * 1.08)
        axes.set_ylabel(curve.first.unit)
    axes.set_title("median")
    axes.legend(loc="best")


def ratio_names(curve: Sweep) -> list[tuple[str, str]]:
    """Who is compared with whom."""
    return list(dict.fromkeys((ratio.candidate, ratio.against) for _, one in curve.points for ratio in one.ratios))


def draw_ratios(axes: Axes, curve: Sweep, names: list[tuple[str, str]]) -> None:
    """The ratios with their spread, the line where both are equal, and the target."""
    top = bottom = 1.0
    style = looks([candidate for candidate, _ in names])
    for candidate, against in names:
        points = [
            (x, ratio)
            for x, one in curve.points
            for ratio in one.ratios
            if (ratio.candidate, ratio.against) == (candidate, against)
        ]
        middles = [ratio.median for _, ratio in points]
        below = [ratio.median - ratio.p5 for _, ratio in points]
        above = [ratio.p95 - ratio.median for _, ratio in points]
        label = f"{candidate} / {against}"
        axes.errorbar([x for x, _ in points], middles, [below, above], capsize=3, elinewidth=1, label=label,
                      **style[candidate])  # fmt: skip
        top = max(top, *(ratio.p95 for _, ratio in points))
        bottom = min(bottom, *(ratio.p5 for _, ratio in points))
        targets = [(x, ratio.target) for x, ratio in points if ratio.target]
        for number, (x, target) in enumerate(targets):
            words = f"target {target}" if number == 0 else None
            axes.plot(x, target.bound, "_", color=VERMILLION, markersize=22, markeredgewidth=2.2, label=words)
            top = max(top, target.bound)
    line_at_one(axes, vertical=False)
    if bottom > 0 and top / bottom > MANY_TIMES:
        log_ticks(axes.yaxis, bottom, top)
        axes.set_ylabel("ratio (logarithmic)")
    else:
        axes.set_ylim(0, top * 1.1)
        axes.set_yticks(sorted({*(tick for tick in axes.get_yticks() if 0 <= tick <= top * 1.1), 1.0}))
        axes.set_ylabel("ratio")
    axes.set_title("ratio, pair by pair (1 = equal)")
    axes.legend(loc="best")


def axis_of_parameter(axes: Axes, curve: Sweep) -> None:
    """The number that grows: logarithmic, with room for none at all beside it."""
    numbers = [x for x, _ in curve.points]
    words = name_in_words(curve.parameter)
    if min(numbers) <= 0 and max(numbers) > MANY_TIMES:
        axes.set_xscale("symlog", linthresh=1, linscale=0.6)
        axes.set_xlim(-0.35, max(numbers) * 1.6)
        axes.set_xlabel(f"{words} (logarithmic from 1; 0 set apart)")
    elif min(numbers) > 0 and max(numbers) / min(numbers) >= 8:
        axes.set_xscale("log")
        axes.set_xlim(min(numbers) / 1.25, max(numbers) * 1.25)
        axes.set_xlabel(f"{words} (logarithmic)")
    else:
        axes.set_xlabel(words)
    axes.set_xticks(numbers, [plain(x) for x in numbers])
    axes.xaxis.minorticks_off()
