"""What killed which: files of properties beside areas of planted bugs, as a heat map with counts."""

from collections import Counter
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.schema.mutants import Mutants
from reports.figures.picture import Picture, picture
from reports.mutants import ALIVE, BY_HAND, Group, areas, file_of, killed, origin
from reports.style import BLUE, GREY, INK, VERMILLION

MANY = LinearSegmentedColormap.from_list("many", ["#E3F0F8", "#8CC0E0", BLUE])
"""From one to many; its darkness alone tells, so that it can be printed."""
ALIVE_ROW = "nothing: survived or hung"
GAP = 0.5
"""Between the hand-written areas and the generated ones, in columns."""


def matrix_pictures(run: Mutants) -> Iterator[Picture]:
    """One figure of all areas and files."""
    columns = [group for group in areas(run.mutants) if group.tried]
    if columns:
        yield picture(
            "mutants-matrix",
            "What killed which: areas of planted bugs, and files that found them",
            "Each cell: how many mutants of that area were killed by something in that file, which was the first to "
            "fail, for the rest is not run then. To the right and at the foot, the sums. The top row, if it is "
            "there: what nothing killed.",
            lambda: draw(columns),
        )


def rows_of(columns: Sequence[Group]) -> dict[str, Counter[str]]:
    """What killed, with how many of each area; what nothing killed comes first, if there is any."""
    rows: dict[str, Counter[str]] = {}
    alive = Counter({group.name: group.of(*ALIVE) for group in columns if group.of(*ALIVE)})
    if alive:
        rows[ALIVE_ROW] = alive
    files = sorted({file_of(kill) for group in columns for kill in group.kills})
    for file in files:
        rows[file] = Counter(
            group.name for group in columns for _, kill in killed(group.mutants) if file_of(kill) == file
        )
    return rows


def places(columns: Sequence[Group]) -> dict[str, float]:
    """Where each column is."""
    by_hand = sum(origin(group.mutants[0]) == BY_HAND for group in columns)
    return {group.name: x + (GAP if x >= by_hand > 0 else 0) for x, group in enumerate(columns)}


def draw(columns: Sequence[Group]) -> Figure:
    """The heat map with its sums."""
    rows, at = rows_of(columns), places(columns)
    right = max(at.values()) + 1.2
    figure = Figure(figsize=(2.6 + 0.38 * right, 1.7 + 0.25 * len(rows)), layout="constrained")
    axes = figure.subplots()
    most = max((number for file, counts in rows.items() if file != ALIVE_ROW for number in counts.values()), default=1)
    for y, (file, counts) in enumerate(rows.items()):
        for name, number in counts.items():
            draw_cell(axes, at[name], y, number, (number / most) ** 0.5, alive=file == ALIVE_ROW)
        axes.text(right, y, f"{counts.total():,}", ha="center", va="center", fontsize=8, fontweight="bold")
    for group in columns:
        axes.text(at[group.name], len(rows) + 0.1, f"{group.tried:,}", ha="center", va="center", fontsize=8,
                  fontweight="bold")  # fmt: skip
    axes.text(right, len(rows) + 0.1, f"{sum(group.tried for group in columns):,}", ha="center", va="center",
              fontsize=8, fontweight="bold")  # fmt: skip
    finish(axes, rows, at, right)
    return figure


def finish(axes: Axes, rows: dict[str, Counter[str]], at: dict[str, float], right: float) -> None:
    """The names around it."""
    axes.set_xlim(-0.6, right + 0.5)
    axes.set_ylim(len(rows) + 0.6, -0.6)
    axes.set_xticks([*at.values(), right], [*at, "all"], rotation=55, ha="left", rotation_mode="anchor")
    axes.set_yticks([*range(len(rows)), len(rows) + 0.1], [*rows, "tried"])
    axes.xaxis.set_ticks_position("top")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", visible=False)
    if next(iter(rows)) == ALIVE_ROW:
        axes.get_yticklabels()[0].set_color(VERMILLION)
        axes.get_yticklabels()[0].set_fontweight("bold")
    axes.axhline(len(rows) - 0.42, color=GREY, linewidth=0.8)


def draw_cell(axes: Axes, x: float, y: float, number: int, share: float, alive: bool) -> None:
    """A count: the darker, the more; what nothing killed has a frame."""
    axes.add_patch(
        Rectangle(
            (x - 0.46, y - 0.44),
            0.92,
            0.88,
            facecolor="white" if alive else MANY(share),
            edgecolor=VERMILLION if alive else "none",
            linewidth=1.5 if alive else 0,
        )
    )
    light = not alive and share > 0.6
    axes.text(x, y, f"{number:,}", ha="center", va="center", fontsize=8, color="white" if light else INK,
              fontweight="bold" if alive else "normal")  # fmt: skip
