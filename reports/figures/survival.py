"""Survival: designs and kinds of restarts, what became of the backups, and what the servers said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from harness.schema.campaign import Campaign
from reports.campaign import ends_of
from reports.figures.picture import Picture, picture
from reports.style import FATE_COLOURS, FATE_SIGNS, GREY, INK, PALE
from reports.survival import FATES, WHOLE, Row, kinds, parts
from reports.words import excerpt

NAME, COLUMN, WORDS = 2.75, 0.95, 4.9
"""Widths, in inches: of a row's name, of a kind of restart, of what was said."""
BOX = 0.3
"""The height of a cell's boxes, in inches."""
LINE = 0.17
"""The height of a line of text, in inches."""
LETTERS, NAME_LETTERS = 76, 38
"""So many fit into a line of what was said, and of a name."""
HATCH = {"copy not restored": "////"}

READ = (
    "Each cell counts what became of backups that were open during such a restart; a backup that crossed two of the "
    "same kind is counted there, too. Copies were restored, and compared row by row with what had been committed; one "
    "that was restored to its stop point and to the end of the archive counts twice. To the right, what the servers "
    "said."
)


def survival_pictures(campaign: Campaign) -> Iterator[Picture]:
    """A figure for each part of the answer."""
    for part in parts(ends_of(campaign)):
        yield picture(part.name, part.title, f"{READ} {part.note}", partial(draw, part.rows))


@dataclass(frozen=True)
class Line:
    """A row with its texts, cut into lines."""

    row: Row
    name: list[str]
    said: list[list[str]]
    """Of each saying, its lines."""

    @property
    def height(self) -> float:
        """In inches."""
        return max(LINE * max(len(self.name), sum(map(len, self.said))) + 0.12, BOX + 0.08)


def line(row: Row) -> Line:
    """A row, to be drawn."""
    said = [f"{FATE_SIGNS[fate]} {excerpt(words)}" for fate, words in row.said]
    return Line(row, wrap(row.name, NAME_LETTERS), [wrap(one, LETTERS, subsequent_indent="   ") for one in said])


def draw(found: Sequence[Row]) -> Figure:
    """A table with coloured cells; one unit is an inch."""
    lines, columns = [line(row) for row in found], kinds(found)
    width, height = NAME + COLUMN * len(columns) + WORDS, sum(one.height for one in lines)
    figure = Figure(figsize=(width, height + 0.8))
    axes = figure.add_axes((0, 0.3 / (height + 0.8), 1, height / (height + 0.8)))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    for number, kind in enumerate(columns):
        axes.text(NAME + COLUMN * (number + 0.5), -0.08, kind.replace(" ", "\n", 1), ha="center", va="bottom")
    axes.text(NAME + COLUMN * len(columns) + 0.15, -0.08, "in the servers' words", ha="left", va="bottom", color=GREY)
    top = 0.0
    for one in lines:
        draw_line(axes, one, columns, top)
        top += one.height
    figure.legend(handles=legend(found), loc="lower center", ncols=len(FATES), bbox_to_anchor=(0.5, -0.01))
    return figure


def draw_line(axes: Axes, one: Line, columns: Sequence[str], top: float) -> None:
    """One row: its name, its cells, what was said."""
    middle = top + one.height / 2
    axes.text(NAME - 0.15, middle, "\n".join(one.name), ha="right", va="center")
    for number, kind in enumerate(columns):
        draw_cell(axes, one.row.cell(kind), NAME + COLUMN * number, middle)
    said = "\n".join(text for lines in one.said for text in lines)
    axes.text(NAME + COLUMN * len(columns) + 0.15, middle, said, ha="left", va="center", fontsize=7.5)
    axes.plot([0, NAME + COLUMN * len(columns) + WORDS], [top + one.height] * 2, color=PALE, linewidth=0.8)


def draw_cell(axes: Axes, found: dict[str, int], left: float, middle: float) -> None:
    """A box for each fate, side by side, with its number; nothing if it was not tried."""
    for number, (fate, count) in enumerate(found.items()):
        width = (COLUMN - 0.08) / len(found)
        x = left + 0.04 + width * number
        axes.add_patch(Rectangle((x, middle - BOX / 2), width, BOX, **look(fate)))
        words = axes.text(x + width / 2, middle, f"{FATE_SIGNS[fate]} {count:,}", ha="center", va="center",
                          color="white" if fate == WHOLE else INK, fontweight="bold",
                          fontsize=8.5 if len(found) == 1 else 7.5)  # fmt: skip
        if fate in HATCH:
            words.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.2})


def legend(found: Sequence[Row]) -> list[Patch]:
    """What the colours mean."""
    there = [fate for fate in FATES if any(fate in row.fates for row in found)]
    return [Patch(**look(fate), label=f"{FATE_SIGNS[fate]} {fate}") for fate in there]


def look(fate: str) -> dict[str, Any]:
    """Of a box."""
    return {"facecolor": FATE_COLOURS[fate], "edgecolor": "white", "hatch": HATCH.get(fate)}
