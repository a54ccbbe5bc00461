"""What a simulated fleet costs, and how that depends on what is swept; nothing where there was no simulation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.schema.run import Scalar
from harness.schema.simulation import Bill, Point, Simulation
from reports.words import digits, in_bytes

HOUR = 3600
TTL, RENEWALS = "ttl", "renewals"

EVENTS = {
    "expiry": "its deadline passes",
    "restart": "the server restarts",
    "hazard": "it restarts, and a hazard makes durable backups useless",
    "crash": "the control plane crashes",
    "loss": "the session is lost",
}
"""What happens to an open backup."""
CAUSES = {
    "expiry": "false expiry",
    "restart": "restart",
    "hazard": "restart with a hazard",
    "crash": "crash of the control plane",
    "loss": "session lost",
    "forgotten": "forgotten by the control plane",
    "limit": "start refused: limit",
}
"""What attempts fail for."""


def count(value: float) -> str:
    """A number of things."""
    return f"{value:,.0f}"


def hours(value: float) -> str:
    """A duration, from seconds."""
    return f"{digits(value / HOUR)} h"


@dataclass(frozen=True)
class Line:
    """A line of the bill."""

    name: str
    figure: Callable[[Bill], float | None]
    """None: there is none."""
    shown: Callable[[float], str] = count

    def words(self, bill: Bill) -> str:
        """The figure, for a person."""
        value = self.figure(bill)
        return "" if value is None else self.shown(value)


LINES: dict[str, tuple[Line, ...]] = {
    "Backups": (
        Line("due", lambda one: one.jobs),
        Line("a good one came of", lambda one: one.good),
        Line("handed out, does not restore, nobody knows", lambda one: one.useless),
        Line("given up after the last retry", lambda one: one.failed),
        Line("under way at the end", lambda one: one.unfinished),
        Line("until a good one, mean", lambda one: one.wait.mean, hours),
        Line("until a good one, 99th percentile", lambda one: one.wait.p99, hours),
    ),
    "Connections": (
        Line("held at once, peak", lambda one: one.connections_peak),
        Line("held, hours", lambda one: one.connection_hours),
        Line("opened", lambda one: one.connections),
    ),
    "Memory": (
        Line("backups open at once, peak", lambda one: one.open_peak),
        Line("of all servers, peak", lambda one: one.memory_peak_bytes, in_bytes),
    ),
    "Copies": (
        Line("wasted", lambda one: one.wasted_copies),
        Line("hours repeated", lambda one: one.repeated_hours),
        Line("hours for what does not restore", lambda one: one.useless_hours),
    ),
    "Orphans": (
        Line("orphans", lambda one: one.orphans),
        Line("hours open", lambda one: one.orphan_hours),
        Line("server hours of full-page writes, for them alone", lambda one: one.forced_hours),
        Line("WAL of these, where full_page_writes is off", lambda one: one.forced_wal_bytes, in_bytes),
    ),
}
"""The bill, by headings."""


def base(run: Simulation) -> Point | None:
    """The fleet as its parameters say, if that was simulated, else the first; None: nothing was."""
    billed = [one for one in run.points if one.bills]
    same = [one for one in billed if all(run.parameters.get(name) == value for name, value in one.changed.items())]
    return next(iter([*same, *billed]), None)


def partial(run: Simulation) -> list[Point]:
    """The points that are not complete."""
    return [one for one in run.points if not one.complete]


def causes(bills: Sequence[Bill]) -> list[tuple[str, list[str]]]:
    """What attempts failed for, way by way; without what never came."""
    return [
        (words, [f"{one.causes.get(cause, 0):,}" for one in bills])
        for cause, words in CAUSES.items()
        if any(one.causes.get(cause) for one in bills)
    ]


@dataclass(frozen=True)
class Curve:
    """Bills over the time to live, everything else the same."""

    name: str
    leased: bool
    points: tuple[tuple[float, Bill], ...]


def curves(run: Simulation) -> tuple[str, list[Curve]]:
    """Where the time to live is swept: the first way in which backups expire, and its curves; else none."""
    expiring = [way for way, found in run.fates.items() if found.get("expiry") == "ended"]
    found: dict[str, tuple[bool, dict[float, Bill]]] = {}
    for point in run.points:
        ttl = point.changed.get(TTL)
        for bill in point.bills:
            if expiring and bill.way == expiring[0] and isinstance(ttl, int | float) and ttl > 0:
                others = {name: value for name, value in point.changed.items() if name not in (TTL, RENEWALS)}
                leased = bool(point.changed.get(RENEWALS, run.parameters.get(RENEWALS)))
                along = found.setdefault(named(leased, others), (leased, {}))[1]
                along.setdefault(float(ttl), bill)
    some = [
        Curve(name, leased, tuple(sorted(along.items()))) for name, (leased, along) in found.items() if len(along) > 1
    ]
    return (expiring[0], some) if some else ("", [])


def named(leased: bool, others: dict[str, Scalar]) -> str:
    """What a curve is called."""
    return ", ".join(["with a lease" if leased else "without a lease", *(f"{n} {v}" for n, v in others.items())])
