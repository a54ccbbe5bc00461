"""All ratios with their spread beside their targets, on axes that show 1."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.schema.benchmarks import Benchmark, Benchmarks, Ratio
from reports.bench import ratios_of
from reports.figures.axes import line_at_one, log_ticks
from reports.figures.picture import Picture, picture
from reports.style import INK, VERDICT_COLOURS, VERDICT_MARKERS, VERMILLION
from reports.words import ratio_name, ratio_words, short

Row = tuple[Benchmark, Ratio]
NEAR = 3.0
"""Ratios up to this, and from a third of it down, are drawn on a plain axis; others need a logarithmic one."""
FAR = 0.1


def ratio_pictures(bench: Benchmarks) -> Iterator[Picture]:
    """One figure of everything that has a ratio; those to the floor are left to the latency figures."""
    rows = [(one, ratio) for one, ratio in ratios_of(bench) if ratio.against != "floor"]
    if rows:
        yield picture(
            "ratios",
            "Ratios beside their targets",
            "The symbol is the median over all pairs; the thin bar reaches from the 5th to the 95th percentile of the "
            "single pairs (an arrow: it goes on beyond the axis), the thick one is the interval in which the true "
            "median lies with a confidence of 95 %. The black line is 1 (both the same), the red mark the target. "
            "On the right the same in numbers, with the target and the verdict.",
            lambda: draw(rows),
        )


def draw(rows: Sequence[Row]) -> Figure:
    """Two groups, if some ratios are far from 1."""
    near = [row for row in rows if FAR <= row[1].median <= NEAR]
    far = [row for row in rows if row not in near]
    groups = [group for group in (near, far) if group]
    heights = [len(group) + 2.2 for group in groups]
    figure = Figure(figsize=(11.5, 0.29 * sum(heights) + 0.5), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        draw_group(axes, group, logarithmic=group is far)
    figure.legend(handles=legend(rows), loc="outside lower center", ncols=5)
    return figure


def draw_group(axes: Axes, rows: Sequence[Row], logarithmic: bool) -> None:
    """One axis with its rows."""
    low, high = limits(rows, logarithmic)
    if logarithmic:
        log_ticks(axes.xaxis, low, high)
    else:
        axes.set_xlim(low, high)
        axes.set_xticks(sorted({*(tick for tick in axes.get_xticks() if low <= tick <= high), 1.0}))
    line_at_one(axes, vertical=True)
    for y, (_, ratio) in enumerate(rows):
        draw_row(axes, y, ratio, axes.get_xlim())
    axes.set_yticks(range(len(rows)), [name_of(row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("ratio (logarithmic)" if logarithmic else "ratio")


def limits(rows: Sequence[Row], logarithmic: bool) -> tuple[float, float]:
    """What the axis shows: 1, every median and every target; of the spreads as much as leaves room for these."""
    targets = [ratio.target.bound for _, ratio in rows if ratio.target]
    lows, highs = [ratio.p5 for _, ratio in rows], [ratio.p95 for _, ratio in rows]
    if logarithmic:
        positive = [value for value in (*lows, *targets, 1.0) if value > 0]
        return min(positive), max(*highs, *targets, 1.0)
    medians = [ratio.median for _, ratio in rows]
    needed = max(1.25, *medians, *targets)
    return 0.0, min(max(needed * 1.15, *highs) * 1.02, needed * 1.6)


def draw_row(axes: Axes, y: int, ratio: Ratio, shown: tuple[float, float]) -> None:
    """One ratio: its spread, its median, its target, and the numbers."""
    colour = VERDICT_COLOURS[ratio.verdict]
    left, right = max(ratio.p5, shown[0]), min(ratio.p95, shown[1])
    axes.plot([left, right], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
    if ratio.interval is not None:
        axes.plot(ratio.interval, [y, y], color=colour, linewidth=5, solid_capstyle="butt", zorder=2.5, clip_on=True)
    if ratio.p95 > shown[1]:
        axes.annotate("", (shown[1], y), (shown[1] - (shown[1] - shown[0]) / 60, y),
                      arrowprops={"arrowstyle": "-|>", "color": colour})  # fmt: skip
    axes.plot(ratio.median, y, marker=VERDICT_MARKERS[ratio.verdict], color=colour, markersize=7.5,
              markeredgecolor="white", zorder=4)  # fmt: skip
    if ratio.target:
        axes.plot(ratio.target.bound, y, marker="|", color=VERMILLION, markersize=15, markeredgewidth=2.2, zorder=3)
    words = ratio_words(ratio) + (f"; {ratio.target} {ratio.verdict}" if ratio.target else "")
    axes.text(1.01, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5,
              color=VERMILLION if ratio.verdict == "missed" else INK)  # fmt: skip


def name_of(row: Row) -> str:
    """What the ratio is of."""
    one, ratio = row
    return f"{short(one)}: {ratio_name(ratio)}"


def legend(rows: Sequence[Row]) -> list[Line2D]:
    """What the symbols mean."""
    names = {"met": "target met", "missed": "target missed", "none": "no target"}
    verdicts = [verdict for verdict in names if any(ratio.verdict == verdict for _, ratio in rows)]
    handles = [
        Line2D([], [], color=VERDICT_COLOURS[verdict], marker=VERDICT_MARKERS[verdict], label=names[verdict])
        for verdict in verdicts
    ]
    if any(ratio.target for _, ratio in rows):
        handles.append(Line2D([], [], color=VERMILLION, marker="|", linestyle="none", markersize=12, markeredgewidth=2,
                              label="target"))  # fmt: skip
    return [*handles, Line2D([], [], color=INK, linewidth=1, label="1: both the same")]
