"""A simulated fleet: the bill of each design, and what a time to live costs."""

from collections.abc import Callable, Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.schema.simulation import Bill, Simulation
from reports.figures.axes import log_ticks
from reports.figures.picture import Picture, picture
from reports.simulation import LINES, Curve, Line, base, curves
from reports.style import BLUE, ORANGE, PALE, SKY, VERMILLION
from reports.words import digits

REPEATED = "hours repeated"
PANELS = (
    ("Connections", "held at once, peak", "connections held at once, at most"),
    ("Memory", "of all servers, peak", "memory of all servers, at most"),
    ("Copies", REPEATED, "copy hours repeated"),
    ("Orphans", "WAL of these, where full_page_writes is off", "WAL that orphans cost (full_page_writes off)"),
)
"""Heading and line of the bill, and its title."""
SPARE = ((BLUE, "o"), (VERMILLION, "s"), (ORANGE, "D"), (SKY, "^"))
FIRST_DECADE = 10
"""Below this an axis of counts is linear, so that zero has a place."""


def simulation_pictures(run: Simulation) -> Iterator[Picture]:
    """The bill, and if the time to live is swept, what it costs."""
    point = base(run)
    if point is None:
        return
    told = ", ".join(f"{name} = {value}" for name, value in point.changed.items())
    yield picture(
        "simulation-bill",
        "What each design costs a fleet",
        f"{point.bills[0].servers:,} servers for {run.parameters.get('days', 0):g} days"
        f"{f' ({told})' if told else ''}, seed {run.seed}. script: a psql is held open for each backup, and its state "
        "is in a table. Hatched: copies of backups that were handed out and do not restore; nobody repeats them, as "
        f"nobody knows. Made by {run.command}.",
        lambda: draw_bills(point.bills),
    )
    way, some = curves(run)
    if some:
        yield picture(
            "simulation-ttl",
            "When is a backup dead?",
            f"Over the time to live of {way}: orphans stay open until they expire, and a backup expires falsely whose "
            "copy is under way. With a lease the control plane renews what it knows of, so only a crash of it can let "
            f"a backup expire that is alive. The axes are logarithmic, but for numbers below {FIRST_DECADE}; right: "
            f"the nearer to the lower left corner the better. Made by {run.command}.",
            lambda: draw_ttl(some),
        )


def draw_bills(bills: Sequence[Bill]) -> Figure:
    """Four panels, a bar for each way."""
    figure = Figure(figsize=(11.0, 1.4 + 0.55 * len(bills)), layout="constrained")
    for axes, (heading, name, title) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        line = next(one for one in LINES[heading] if one.name == name)
        draw_bars(axes, bills, line)
        axes.set_title(title)
    return figure


def draw_bars(axes: Axes, bills: Sequence[Bill], line: Line) -> None:
    """One line of the bill."""
    values = [line.figure(one) or 0.0 for one in bills]
    useless = [one.useless_hours if line.name == REPEATED else 0.0 for one in bills]
    most = max(map(sum, zip(values, useless, strict=True))) or 1.0
    axes.barh(range(len(bills)), values, color=BLUE, height=0.62)
    for y, one in enumerate(bills):
        if useless[y]:
            axes.barh(y, useless[y], left=values[y], color="white", edgecolor=VERMILLION, hatch="////", height=0.62)
        words = line.words(one) + (f", and {digits(useless[y])} for what does not restore" if useless[y] else "")
        axes.annotate(words, (values[y] + useless[y], y), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(bills)), [one.way for one in bills])
    axes.set_ylim(len(bills) - 0.5, -0.5)
    axes.set_xlim(0, most * (1.6 if any(useless) else 1.25))
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_color(PALE)


def draw_ttl(some: Sequence[Curve]) -> Figure:
    """Both costs over the time to live, and one against the other."""
    figure = Figure(figsize=(13.0, 4.0), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_curves(left, some, lambda one: one.orphan_hours, "hours that orphans stay open")
    draw_curves(middle, some, lambda one: one.causes.get("expiry", 0), "false expiries")
    for (colour, marker), curve in zip(SPARE * len(some), some, strict=False):
        across, up = [b.orphan_hours for _, b in curve.points], [b.causes.get("expiry", 0) for _, b in curve.points]
        right.plot(across, up, color=colour, marker=marker, linestyle=style(curve))
        for number, ((ttl, _), x, y) in enumerate(zip(curve.points, across, up, strict=True)):
            right.annotate(
                in_time(ttl), (x, y), (3, 5 + 9 * (number % 2)), textcoords="offset points", fontsize=7.5, color=colour
            )
    for axis in ("x", "y"):
        scale(
            right,
            axis,
            [b.orphan_hours if axis == "x" else b.causes.get("expiry", 0) for c in some for _, b in c.points],
        )
    right.set_xlabel("hours that orphans stay open")
    right.set_ylabel("false expiries")
    right.set_title("one against the other")
    return figure


def draw_curves(axes: Axes, some: Sequence[Curve], figure: Callable[[Bill], float], title: str) -> None:
    """One cost over the time to live."""
    for (colour, marker), curve in zip(SPARE * len(some), some, strict=False):
        across, up = [ttl for ttl, _ in curve.points], [figure(bill) for _, bill in curve.points]
        axes.plot(across, up, color=colour, marker=marker, linestyle=style(curve), label=curve.name)
    lengths = sorted({ttl for curve in some for ttl, _ in curve.points})
    log_ticks(axes.xaxis, lengths[0], lengths[-1])
    axes.set_xticks(lengths, [in_time(ttl) for ttl in lengths])
    scale(axes, "y", [figure(bill) for curve in some for _, bill in curve.points])
    axes.set_xlabel("time to live")
    axes.set_title(title)
    axes.legend(loc="best")


def style(curve: Curve) -> str:
    """Solid with a lease, dashed without."""
    return "-" if curve.leased else "--"


def scale(axes: Axes, axis: str, values: Sequence[float]) -> None:
    """Logarithmic, and linear near zero, which has its place at the edge."""
    set_scale, set_limits = (axes.set_xscale, axes.set_xlim) if axis == "x" else (axes.set_yscale, axes.set_ylim)
    set_scale("symlog", linthresh=FIRST_DECADE)
    set_limits(-0.6, max(FIRST_DECADE, *values) * 2.2)
    powers = [0.0, *(float(10**n) for n in range(1, 13) if 10**n <= max(FIRST_DECADE, *values) * 2.2)]
    set_ticks = axes.set_xticks if axis == "x" else axes.set_yticks
    set_ticks(powers, [f"{power:,.0f}" for power in powers])
    (axes.xaxis if axis == "x" else axes.yaxis).set_tick_params(which="minor", size=0)


def in_time(seconds: float) -> str:
    """``10 min``, ``4 h``."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{digits(seconds / length)} {unit}"
    return f"{digits(seconds)} s"
