"""What a run of the simulation shows: how far it is, and a table at its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.table import Table

from benchmarks.display import number
from harness.running.terminal import Progress, live
from harness.schema.simulation import Bill, Point

MIB, GIB = 2**20, 2**30

FIGURES: dict[str, Callable[[Bill], float]] = {
    "backups due": lambda one: one.jobs,
    "a good one came of": lambda one: one.good,
    "one that does not restore, unknown": lambda one: one.useless,
    "given up": lambda one: one.failed,
    "under way at the end": lambda one: one.unfinished,
    "mean hours to a good one": lambda one: (one.wait.mean or 0) / 3600,
    "95th percentile": lambda one: (one.wait.p95 or 0) / 3600,
    "copies wasted": lambda one: one.wasted_copies,
    "copy hours repeated": lambda one: one.repeated_hours,
    "false expiries": lambda one: one.causes["expiry"],
    "starts refused": lambda one: one.causes["limit"],
    "connections held, peak": lambda one: one.connections_peak,
    "connection hours": lambda one: one.connection_hours,
    "connections opened": lambda one: one.connections,
    "open backups, peak": lambda one: one.open_peak,
    "memory, peak, MiB": lambda one: one.memory_peak_bytes / MIB,
    "orphans": lambda one: one.orphans,
    "orphan hours": lambda one: one.orphan_hours,
    "full-page writes by orphans, hours": lambda one: one.forced_hours,
    "WAL of these, GiB": lambda one: one.forced_wal_bytes / GIB,
}
"""What the table shows of a bill."""
SWEPT = (
    "false expiries",
    "orphan hours",
    "copy hours repeated",
    "starts refused",
    "connections held, peak",
    "mean hours to a good one",
)
"""What it shows of each, if there are several points."""


@dataclass
class Dashboard:
    """One line: how many chunks have ended. Rich asks for it a few times a second."""

    ended: int = 0
    of: int = 0
    line: Progress = field(default_factory=Progress)

    def tell(self, ended: int, of: int) -> None:
        """So many of so many chunks have ended."""
        self.ended, self.of = ended, of

    def __rich__(self) -> RenderableType:
        return self.line.line(self.ended, self.of, f"{self.of} chunks of servers")


@contextmanager
def showing_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Shows progress on a terminal until the block ends; gives what is to be told of it."""
    dashboard = Dashboard()
    if not console.is_terminal:
        yield dashboard.tell
        return
    with live(console, dashboard):
        yield dashboard.tell


def table(points: Sequence[Point]) -> Table:
    """The figures of each way; or of each point and way some of them."""
    return bills(points[0]) if len(points) == 1 else sweep(points)


def bills(point: Point) -> Table:
    """A column for each way."""
    result = plain("")
    for one in point.bills:
        result.add_column(one.way, justify="right", no_wrap=True)
    for name, figure in FIGURES.items():
        result.add_row(name, *(number(figure(one)) for one in point.bills))
    return result


def sweep(points: Sequence[Point]) -> Table:
    """A row for each point and way."""
    result = plain(*points[0].changed, "design")
    for name in SWEPT:
        result.add_column(name, justify="right")
    for point in points:
        about = [str(value) for value in point.changed.values()]
        for one in point.bills:
            result.add_row(*about, one.way, *(number(FIGURES[name](one)) for name in SWEPT))
            about = [""] * len(about)
    return result


def plain(*headings: str) -> Table:
    """A table without lines."""
    result = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        result.add_column(heading, no_wrap=True)
    return result
