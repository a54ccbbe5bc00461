"""How long a campaign takes with more workers, on paper."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from harness.schema.campaign import Campaign
from reports.figures.axes import log_ticks
from reports.figures.picture import Picture, picture
from reports.sharing import Curve, curve
from reports.style import BLUE, GREY, INK


def sharing_pictures(campaign: Campaign) -> Iterator[Picture]:
    """One figure, if the campaign was shared."""
    found = curve(campaign)
    if found:
        yield picture(
            "workers",
            "What more workers would bring",
            "Both axes are logarithmic. Minutes that the same shards take if each goes to the worker that is free "
            "first, on more machines like this one with as many workers each. Grey: each one does its share. Dotted: "
            "the longest shard and the set-up of its process, below which no number of workers gets.",
            lambda: draw(found),
        )


def draw(found: Curve) -> Figure:
    """Minutes by workers."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    numbers, minutes = list(found.expected), [seconds / 60 for seconds in found.expected.values()]
    ideal = [(found.work / number + found.set_up) / 60 for number in numbers]
    axes.plot(numbers, ideal, color=GREY, linewidth=1.2, label="each worker does its share")
    axes.plot(numbers, minutes, color=BLUE, marker="o", label="on paper")
    axes.axhline(found.floor / 60, color=INK, linestyle=":", linewidth=1.4, label="the longest shard")
    log_ticks(axes.xaxis, numbers[0], numbers[-1])
    log_ticks(axes.yaxis, min([*ideal, found.floor / 60]), max(minutes))
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.set_xlabel("workers")
    axes.set_ylabel("minutes")
    axes.legend(frameon=False, fontsize=8)
    return figure
