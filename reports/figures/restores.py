"""Restores: how long each took, and how many torn pages were survived, by groups of scenarios."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.schema.campaign import Campaign
from reports.campaign import restores_of
from reports.figures.picture import Picture, picture
from reports.restores import OUTCOMES, Scenario, groups, outcome
from reports.style import BLUE, INK, OUTCOME_COLOURS, OUTCOME_MARKERS

HALF_A_ROW = 0.26
"""So far from the middle of its row a symbol lies at most."""


def restore_pictures(campaign: Campaign) -> Iterator[Picture]:
    """One figure of all groups of scenarios, if there are any."""
    found = groups(restores_of(campaign))
    if found:
        yield picture(
            "restores",
            "Restores by group of scenarios",
            "Left: each symbol is one restore, from laying out the copy to the last check; the black line is the "
            "median. Symbols of a row are spread in height only so that they can be told apart. "
            "Right: pages that were half old, half new in the copies that were restored whole.",
            lambda: draw(found),
        )


def draw(found: Sequence[Scenario]) -> Figure:
    """Two panels that share their rows."""
    figure = Figure(figsize=(11.5, 1.5 + 0.3 * len(found)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    draw_seconds(left, found)
    draw_torn_pages(right, found)
    left.set_yticks(range(len(found)), [one.name for one in found])
    left.set_ylim(len(found) - 0.4, -0.6)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0, labelsize=8)
        axes.grid(axis="y", visible=False)
    figure.legend(handles=legend(found), loc="outside lower center", ncols=4)
    return figure


def draw_seconds(axes: Axes, found: Sequence[Scenario]) -> None:
    """A symbol for each restore, and the median."""
    for y, one in enumerate(found):
        height = np.linspace(-HALF_A_ROW, HALF_A_ROW, len(one.restores)) if len(one.restores) > 1 else [0.0]
        for offset, restore in zip(height, one.restores, strict=True):
            kind = outcome(restore)
            axes.plot(restore.seconds, y + offset, marker=OUTCOME_MARKERS[kind], markersize=7,
                      color=OUTCOME_COLOURS[kind], markeredgecolor="white", alpha=0.9)  # fmt: skip
        axes.plot([one.median] * 2, [y - 0.4, y + 0.4], color=INK, linewidth=1.4, zorder=1.5)
    axes.set_xlim(0, 1.06 * max(one.longest for one in found))
    axes.set_xlabel("time for each restore, s")


def draw_torn_pages(axes: Axes, found: Sequence[Scenario]) -> None:
    """A bar for each scenario, with its number."""
    pages = [one.torn_pages for one in found]
    axes.barh(range(len(found)), pages, height=0.6, color=BLUE)
    for y, number in enumerate(pages):
        if number:
            axes.annotate(f"{number:,}", (number, y), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, 1.2 * max([*pages, 1]))
    axes.set_xlabel("torn pages survived")


def legend(found: Sequence[Scenario]) -> list[Line2D]:
    """What the symbols mean."""
    shown = [kind for kind in OUTCOMES if any(one.of(kind) for one in found)]
    symbols = [
        Line2D([], [], color=OUTCOME_COLOURS[kind], marker=OUTCOME_MARKERS[kind], linestyle="none", label=kind)
        for kind in shown
    ]
    return [*symbols, Line2D([], [], color=INK, linewidth=1.4, label="median")]
