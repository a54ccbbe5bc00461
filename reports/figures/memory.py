"""Memory: what one open backup costs on either system, and what a fleet of servers would hold."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.schema.benchmarks import Benchmark, Benchmarks
from reports.bench import is_number
from reports.figures.axes import log_ticks
from reports.figures.picture import Picture, picture
from reports.style import VERMILLION, look, looks
from reports.words import in_bytes, parameters

FIRST, ALL = "shared: bytes with one backup open", "shared: bytes in all"
"""Values of the benchmark of memory; both have in them what is reserved at the server's start."""
SERVERS = (1, 10, 100, 1_000, 10_000, 100_000)
EACH = (1, 10, 100, 1_000)
"""Open backups on each server."""
FLEET = 10_000
"""Servers."""


@dataclass(frozen=True)
class Cost:
    """What was measured, in bytes."""

    shared: float
    """For each open backup, the average of many on one server."""
    stock: float
    """For each open backup: a backend and its slot."""
    first: float | None
    """What a server with one open backup holds; None: not measured."""
    further: float
    """What each further one takes."""

    def fleet_shared(self, servers: float, each: int = 1) -> float:
        """What so many servers hold with so many open backups each."""
        first = self.shared if self.first is None else self.first
        return servers * (first + (each - 1) * self.further)

    def fleet_stock(self, servers: float, each: int = 1) -> float:
        """The same with core's functions."""
        return servers * each * self.stock


def memory_of(bench: Benchmarks) -> tuple[Benchmark, Cost] | None:
    """The benchmark of memory, if it was measured for both systems."""
    for one in bench.benchmarks:
        if one.unit == "bytes" and {"shared", "stock"} <= one.candidates.keys():
            return one, cost_of(one)
    return None


def cost_of(one: Benchmark) -> Cost:
    """The measured figures."""
    shared, stock = one.candidates["shared"].median, one.candidates["stock"].median
    first, everything, number = one.values.get(FIRST), one.values.get(ALL), one.parameters.get("open")
    if first is None:
        return Cost(shared, stock, None, shared)
    if everything is None or not is_number(number) or number <= 1:
        return Cost(shared, stock, first, shared)
    return Cost(shared, stock, first, (everything - first) / (number - 1))


def memory_pictures(bench: Benchmarks) -> Iterator[Picture]:
    """Both figures, if memory was measured."""
    found = memory_of(bench)
    if found is None:
        return
    one, cost = found
    yield picture(
        "memory",
        "What an open backup costs in memory",
        f"Bytes for each open backup ({parameters(one) or 'as measured'}); the axis is logarithmic, so compare the "
        "numbers and not the distances. " + " ".join(f"{note[:1].upper()}{note[1:]}." for note in one.notes),
        lambda: draw_costs(one),
    )
    yield picture(
        "fleet",
        "What a fleet would hold",
        f"Computed from the measured figures: stock {in_bytes(cost.stock)} for each backup (a backend and its slot); "
        f"shared {shared_words(cost)}. The axes are logarithmic. Stock also needs a session held open for each backup; "
        "shared needs none.",
        lambda: draw_fleet(cost),
    )


def shared_words(cost: Cost) -> str:
    """What the shared line is made of."""
    if cost.first is None:
        return (
            f"{in_bytes(cost.shared)}, the average over many backups on one server (the first one was not measured by "
            "itself, and takes more)"
        )
    return (
        f"{in_bytes(cost.first)} for the first backup of a server, with what is reserved at its start, and "
        f"{in_bytes(cost.further)} for each further one"
    )


def draw_costs(one: Benchmark) -> Figure:
    """A row for each candidate; its median as a number."""
    figure = Figure(figsize=(8.4, 0.9 + 0.7 * len(one.candidates)), layout="constrained")
    axes = figure.subplots()
    style = looks(list(one.candidates))
    low = min(spread.p5 for spread in one.candidates.values())
    high = max(spread.p95 for spread in one.candidates.values())
    log_ticks(axes.xaxis, low / 2, high * 4)
    for y, (name, spread) in enumerate(one.candidates.items()):
        colour, marker = style[name]["color"], style[name]["marker"]
        axes.plot([spread.p5, spread.p95], [y, y], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot(spread.median, y, marker=marker, color=colour, markersize=9, markeredgecolor="white")
        axes.annotate(in_bytes(spread.median), (spread.p95, y), (0, -17), textcoords="offset points", ha="center")
        for limit in one.limits:
            if limit.value.startswith(f"{name}:"):
                axes.plot(limit.target.bound, y, marker="|", color=VERMILLION, markersize=20, markeredgewidth=2.2)
                axes.annotate(f"target ≤ {in_bytes(limit.target.bound)}", (limit.target.bound, y), (4, 12),
                              textcoords="offset points", fontsize=7.5, color=VERMILLION)  # fmt: skip
    axes.set_yticks(range(len(one.candidates)), list(one.candidates))
    axes.set_ylim(len(one.candidates) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    powers_of_two(axes)
    axes.set_xlabel("memory for each open backup (logarithmic)")
    return figure


def powers_of_two(axes: Axes, vertical: bool = False) -> None:
    """Ticks at bytes, KiB, MiB ... and between them."""
    low, high = axes.get_ylim() if vertical else axes.get_xlim()
    exponents = range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)
    span = len(exponents)
    step = 10 if span > 40 else 5 if span > 20 else 2
    ticks = [2.0**exponent for exponent in exponents if exponent % step == 0 and low <= 2.0**exponent <= high]
    (axes.set_yticks if vertical else axes.set_xticks)(ticks, [in_bytes(tick) for tick in ticks])


def draw_fleet(cost: Cost) -> Figure:
    """Bytes held: against the number of servers, and against the open backups on each."""
    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_lines(left, SERVERS, [cost.fleet_stock(n) for n in SERVERS], [cost.fleet_shared(n) for n in SERVERS])
    left.set_title("one open backup on each server")
    left.set_xlabel("servers (logarithmic)")
    stock, shared = [cost.fleet_stock(FLEET, n) for n in EACH], [cost.fleet_shared(FLEET, n) for n in EACH]
    draw_lines(right, EACH, stock, shared)
    right.set_title(f"{FLEET:,} servers")
    right.set_xlabel("open backups on each server (logarithmic)")
    return figure


def draw_lines(axes: Axes, across: Sequence[int], stock: Sequence[float], shared: Sequence[float]) -> None:
    """Both systems, with the last value of each in words."""
    lines = (("stock: a session held for each backup", stock, "stock"), ("shared: no session held", shared, "shared"))
    for label, held, name in lines:
        axes.plot(across, held, label=label, **look(name))
        above = held[-1] == max(stock[-1], shared[-1])
        axes.annotate(
            in_bytes(held[-1]), (across[-1], held[-1]), (8, 5 if above else -5), textcoords="offset points", va="center"
        )
    axes.set_xscale("log")
    axes.set_xlim(0.8, across[-1] * (across[-1] / across[0]) ** 0.22)
    axes.set_xticks(across, [f"{number:,}" for number in across])
    axes.xaxis.minorticks_off()
    log_ticks(axes.yaxis, min(*stock, *shared), max(*stock, *shared))
    powers_of_two(axes, vertical=True)
    axes.set_ylabel("memory held (logarithmic)")
    axes.legend(loc="upper left")
