"""Coverage: which transition classes a tour saw, as a heat map of operations and states of the label."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.schema.campaign import Campaign, Property
from model.tour import TransitionClass
from reports.figures.picture import Picture, picture
from reports.style import BLUE, INK, VERMILLION

SHARE = LinearSegmentedColormap.from_list("share", ["#FFFFFF", "#BBD9EC", BLUE])
"""From nothing seen to all seen; its darkness alone tells, so that it can be printed."""

STATES = ("absent", "starting", "active", "stopping", "stopped", "expired", "lost", "none", "running", "-")
"""The order of a label's life; what becomes of it follows its state."""

Cell = tuple[str, str]
Cells = dict[Cell, tuple[int, int]]
"""Of each operation and state: the classes seen, and those there are."""


def coverage_pictures(campaign: Campaign) -> Iterator[Picture]:
    """A heat map for each property that undertook to see transition classes."""
    tours = [one for one in campaign.properties if one.classes.reachable]
    for number, one in enumerate(tours, 1):
        yield picture(
            "coverage" if len(tours) == 1 else f"coverage-{number}",
            f"Coverage: {one.name}",
            f"Each cell: transition classes seen / reachable, over all relations of the caller and all outcomes; what "
            f"is special about an operation (bad labels, fences) is counted with it. {missing_words(one)}",
            partial(draw_coverage, one),
        )


def missing_words(one: Property) -> str:
    """What the caption says about what is missing."""
    found = one.classes
    if not found.missing:
        return f"All {found.reachable:,} were seen; an empty cell can not be reached."
    missing = f"{len(found.missing):,} of {found.reachable:,}"
    return f"{missing} were not seen (hatched, in a frame); an empty cell can not be reached."


def cells(one: Property) -> Cells:
    """The classes of a property, counted."""
    missing = set(one.classes.missing)
    seen = Counter(cell(found) for found in one.classes.seen if found not in missing)
    every = seen + Counter(map(cell, one.classes.missing))
    return {where: (seen[where], number) for where, number in every.items()}


def cell(found: TransitionClass) -> Cell:
    """Where a class belongs: ``Stop (stale)`` is a Stop, but each kind of restart is a row of its own."""
    operation = found.operation
    return operation if operation.startswith("Restart") else operation.partition(" (")[0], found.label_state


def states_in_order(found: Cells) -> list[str]:
    """The columns."""

    def place(state: str) -> tuple[int, str]:
        first = state.partition(" to ")[0]
        return STATES.index(first) if first in STATES else len(STATES), state

    return sorted({state for _, state in found}, key=place)


def draw_coverage(one: Property) -> Figure:
    """The heat map."""
    found = cells(one)
    operations, states = sorted({operation for operation, _ in found}), states_in_order(found)
    figure = Figure(figsize=(2.1 + 0.72 * len(states), 1.2 + 0.27 * len(operations)), layout="constrained")
    axes = figure.subplots()
    for (operation, state), counts in found.items():
        draw_cell(axes, states.index(state), operations.index(operation), *counts)
    axes.set_xlim(-0.5, len(states) - 0.5)
    axes.set_ylim(len(operations) - 0.5, -0.5)
    axes.set_xticks(range(len(states)), [in_two_lines(state) for state in states])
    axes.set_yticks(range(len(operations)), operations)
    axes.set_xlabel("state of the label before (and after, where the operation is about none)\n“-”: no label matters")
    axes.set_ylabel("operation")
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("bottom")
    axes.tick_params(length=0)
    axes.grid(axis="x", visible=False)
    axes.spines[:].set_visible(False)
    return figure


def in_two_lines(state: str) -> str:
    """``active to expired`` in a narrow column."""
    return state.replace(" to ", "\nto ")


def draw_cell(axes: Axes, x: int, y: int, seen: int, every: int) -> None:
    """One cell: the darker, the more of it was seen; what is missing has a frame and is hatched."""
    share = seen / every
    whole = seen == every
    axes.add_patch(
        Rectangle(
            (x - 0.46, y - 0.44),
            0.92,
            0.88,
            facecolor=SHARE(share),
            edgecolor="none" if whole else VERMILLION,
            hatch=None if whole else "////",
            linewidth=0 if whole else 1.8,
        )
    )
    label = axes.text(x, y, f"{seen}/{every}", ha="center", va="center", color="white" if whole else INK, fontsize=8)
    if not whole:
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.0})
        label.set_fontweight("bold")
