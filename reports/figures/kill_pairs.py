"""The same planted bugs tried twice, as dumbbells: the share that each killed, by area."""

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.picture import Picture, picture
from reports.mutant_pairs import Pairs, PairsOfArea
from reports.style import GREY, INK, SIDE_COLOURS, SIDE_MARKERS

NUDGE = 0.14
"""How far the markers of equal shares are moved apart, in rows."""


def pair_pictures(pairs: Pairs | None) -> Iterator[Picture]:
    """One figure of all areas; nothing if nothing was tried by both."""
    if pairs is None or pairs.all is None:
        return
    first, second = pairs.names
    yield picture(
        "mutants-compared",
        f"The same planted bugs: {first} and {second}",
        f"Each row: of the mutants of an area that were tried by both, the share that was killed; the figures to the "
        f"right say how many: {first}, {second}, and of how many. What was not tried by both is left out.",
        lambda: draw(pairs, pairs.sums),
    )


def draw(pairs: Pairs, sums: Sequence[PairsOfArea]) -> Figure:
    """A dumbbell for each area, and for the sums."""
    rows = [*pairs.areas, *sums]
    figure = Figure(figsize=(9.5, 1.3 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, one in enumerate(rows):
        axes.plot(one.percent, [y, y], color=GREY, linewidth=2, solid_capstyle="butt", zorder=2)
        equal = one.killed[0] == one.killed[1]
        for side, share in enumerate(one.percent):
            at = y + (2 * side - 1) * NUDGE * equal
            axes.plot(share, at, marker=SIDE_MARKERS[side], color=SIDE_COLOURS[side], markersize=7.5,
                      markeredgecolor="white", zorder=3, clip_on=False)  # fmt: skip
        told = f"{one.killed[0]:,}, {one.killed[1]:,} of {len(one.pairs):,}"
        weight = "bold" if one in sums else "normal"
        axes.text(104, y, told, ha="left", va="center", fontsize=8, fontweight=weight, color=INK)
    axes.set_yticks(range(len(rows)), [one.name for one in rows])
    for tick in axes.get_yticklabels()[-len(sums) :]:
        tick.set_fontweight("bold")
    axes.axhline(len(rows) - len(sums) - 0.5, color=GREY, linewidth=0.8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-2, 125)
    axes.set_xticks(range(0, 101, 20), [f"{share} %" for share in range(0, 101, 20)])
    axes.set_xlabel("killed, of the mutants that were tried by both")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    handles = [Line2D([], [], color=colour, marker=marker, markersize=7.5, markeredgecolor="white", label=name)
               for colour, marker, name in zip(SIDE_COLOURS, SIDE_MARKERS, pairs.names, strict=True)]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
