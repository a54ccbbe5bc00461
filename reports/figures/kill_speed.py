"""How fast planted bugs are killed: steps and seconds to the kill, as shares of the kills."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.schema.mutants import Mutants
from reports import words
from reports.figures.axes import log_ticks, plain
from reports.figures.picture import Picture, picture
from reports.mutants import TARGET_STEPS, Group, everything, origins
from reports.style import GREEN, INK, ORIGIN_COLOURS, ORIGIN_LINES

Values = Callable[[Group], Sequence[float]]


def speed_pictures(run: Mutants) -> Iterator[Picture]:
    """One figure: steps to the left, seconds to the right."""
    group = everything(run.mutants)
    if group and group.kills:
        yield picture(
            "mutants-speed",
            "How fast planted bugs are killed",
            "Each curve: the share of the kills that took at most so many steps or seconds (logarithmic), until the "
            "first failure, before it was made smaller. A step is an operation, carried out on a server and checked; "
            f"{words.counted_steps(group)}, and one in the first step may count 0. Seconds are those since the first "
            "property was begun, with its set-up. Dotted: the median of all kills.",
            lambda: draw(origins(run.mutants), group),
        )


def draw(groups: Sequence[Group], group: Group) -> Figure:
    """One panel, or two if any kill counts steps."""
    panels: list[tuple[Values, str, bool]] = [(lambda one: one.seconds, "seconds to the kill", False)]
    if group.steps:
        panels.insert(0, (lambda one: one.steps, "steps to the kill", True))
    figure = Figure(figsize=(5.2 * len(panels), 3.9), layout="constrained")
    for axes, (values, label, target) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw_panel(axes, groups, values, values(group), target)
        axes.set_xlabel(label)
        axes.set_ylabel("share of the kills")
    return figure


def draw_panel(axes: Axes, groups: Sequence[Group], values: Values, every: Sequence[float], target: bool) -> None:
    """A curve for each origin, the median and the target."""
    least = 1.0 if target else max(min(every), 0.01)  # 0 steps: it failed in the first, before that was counted
    most = max(max(every), TARGET_STEPS if target else 0)
    for group in groups:
        if found := [max(value, least) for value in values(group)]:
            label = f"{group.name} ({len(found):,}, median {words.digits(median(values(group)))})"
            axes.ecdf(found, label=label, color=ORIGIN_COLOURS[group.name], linestyle=ORIGIN_LINES[group.name])
    middle = median(every)
    axes.axvline(max(middle, least), color=INK, linestyle=":", linewidth=1.4, label=f"median {words.digits(middle)}")
    if target:
        axes.axvline(TARGET_STEPS, color=GREEN, linestyle="-.", linewidth=1.4, label=f"target: {TARGET_STEPS}")
    log_ticks(axes.xaxis, least, most)
    if target:
        axes.xaxis.set_major_formatter(lambda value, _: "0, 1" if value == least else plain(value))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.legend(loc="lower right", fontsize=8, frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)
