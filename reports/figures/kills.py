"""Planted bugs by area: killed, survived, and what else became of them."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.schema.mutants import Mutants, Outcome
from reports import words
from reports.figures.picture import Picture, picture
from reports.mutants import TRIED_WITH, Group, areas, origins
from reports.style import GREY, INK, MUTANT_COLOURS, MUTANT_HATCHES, VERMILLION

ROW = 0.25  # inches


def kill_pictures(run: Mutants) -> Iterator[Picture]:
    """One figure of all areas."""
    if run.mutants:
        yield picture(
            "mutants-areas",
            f"Planted bugs killed by the {TRIED_WITH[run.suite]}, by area",
            "Each bar: the mutants of an area, by what became of them; to its right, how many were killed of those "
            "that were tried (killed, survived or hung). Hand-written mutants are what a developer might have done "
            "wrong; generated ones were made by a program, and have a scale of their own.",
            lambda: draw(origins(run.mutants)),
        )


def draw(groups: Sequence[Group]) -> Figure:
    """A panel for those that a person made, and one for the generated ones."""
    rows = [areas(group.mutants) for group in groups]
    heights = [ROW * len(some) + 0.75 for some in rows]
    figure = Figure(figsize=(9.5, sum(heights) + 0.5), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, group, some in zip(panels, groups, rows, strict=True):
        draw_panel(axes, group, some)
    there = [outcome for outcome in Outcome if any(group.of(outcome) for group in groups)]
    handles = [Patch(**look(outcome), label=outcome.value) for outcome in there]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(there))
    return figure


def draw_panel(axes: Axes, group: Group, rows: Sequence[Group]) -> None:
    """A bar for each area, and how many of it were killed."""
    longest = max(len(one.mutants) for one in rows)
    for y, one in enumerate(rows):
        x = 0
        for outcome in filter(one.of, Outcome):
            axes.barh(y, one.of(outcome), left=x, height=0.72, **look(outcome))
            x += one.of(outcome)
        all_killed = one.killed == one.tried
        axes.text(x + longest * 0.012, y, words.killed_of(one), ha="left", va="center", fontsize=8,
                  color=INK if all_killed else VERMILLION, fontweight="normal" if all_killed else "bold")  # fmt: skip
    axes.set_yticks(range(len(rows)), [one.name for one in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, longest * 1.14)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("mutants")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_title(f"{group.name}: {words.kill_rate(group)}", loc="left")


def look(outcome: Outcome) -> dict[str, Any]:
    """Of a bar, and of its entry in the legend."""
    edge = GREY if outcome is Outcome.NOT_RUN else "white"
    return {"facecolor": MUTANT_COLOURS[outcome], "edgecolor": edge, "hatch": MUTANT_HATCHES.get(outcome),
            "linewidth": 0.6}  # fmt: skip
