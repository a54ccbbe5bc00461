"""Ratios of two runs side by side, those that changed beyond their spread marked."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.compare import Changes, SpreadChange
from reports.figures.axes import line_at_one, log_ticks
from reports.figures.picture import Picture, picture
from reports.figures.ratios import FAR, NEAR
from reports.style import BLUE, GREY, INK, VERMILLION

SIDES = ((-0.17, GREY, "s", "before"), (0.17, BLUE, "o", "after"))


def comparison_pictures(changes: Changes) -> Iterator[Picture]:
    """One figure of all ratios that both runs have."""
    if changes.ratios:
        yield picture(
            "comparison",
            "Ratios, before and after",
            "Grey squares: before; blue circles: after; bars reach from the 5th to the 95th percentile of the single "
            "pairs. A red label with an arrow: each median lies outside the other run's bar.",
            lambda: draw(changes.ratios),
        )


def draw(ratios: Sequence[SpreadChange]) -> Figure:
    """Two groups, if some ratios are far from 1."""
    near = [one for one in ratios if all(FAR <= spread.median <= NEAR for spread in (one.before, one.after))]
    far = [one for one in ratios if one not in near]
    groups = [group for group in (near, far) if group]
    heights = [len(group) + 1.6 for group in groups]
    figure = Figure(figsize=(11.5, 0.6 + 0.36 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        draw_group(axes, group, logarithmic=group is far)
    handles = [Line2D([], [], color=colour, marker=marker, label=side) for _, colour, marker, side in SIDES]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def draw_group(axes: Axes, ratios: Sequence[SpreadChange], logarithmic: bool) -> None:
    """One axis: two lines for each ratio, before and after."""
    ends = [value for one in ratios for spread in (one.before, one.after) for value in (spread.p5, spread.p95)]
    ratio_axis(axes, min(1.0, *ends), max(1.0, *ends), logarithmic and min(ends) > 0)
    for y, one in enumerate(ratios):
        for spread, (offset, colour, marker, _) in zip((one.before, one.after), SIDES, strict=True):
            axes.plot([spread.p5, spread.p95], [y + offset] * 2, color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot(spread.median, y + offset, marker=marker, color=colour, markersize=6, markeredgecolor="white")
    axes.set_yticks(range(len(ratios)), [label(one) for one in ratios])
    for tick, one in zip(axes.get_yticklabels(), ratios, strict=True):
        tick.set_color(VERMILLION if one.changed else INK)
        tick.set_fontweight("bold" if one.changed else "normal")
    axes.set_ylim(len(ratios) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(axis="y", visible=False)


def ratio_axis(axes: Axes, low: float, high: float, logarithmic: bool) -> None:
    """An axis that shows 1; a plain one begins at 0."""
    if logarithmic:
        log_ticks(axes.xaxis, low, high)
    else:
        axes.set_xlim(0, high * 1.05)
        axes.set_xticks(sorted({*(tick for tick in axes.get_xticks() if 0 <= tick <= high * 1.05), 1.0}))
    axes.set_xlabel("ratio (logarithmic)" if logarithmic else "ratio")
    line_at_one(axes, vertical=True)


def label(one: SpreadChange) -> str:
    """The ratio's name; what changed has an arrow."""
    return f"{one.name}  {'▲' if one.direction == 'higher' else '▼'}" if one.changed else one.name
