"""What the bench's programs show: a console of their own, a live line while they run, paths and times for people."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

REFRESHES = 4  # a second
WIDTH_OF_A_LOG = 120  # columns, where there is no terminal to ask


@contextmanager
def own_console() -> Iterator[Console]:
    """A console on the standard output as it is now, whatever pytest does with it while it captures."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="backslashreplace") as file:
        width = shutil.get_terminal_size().columns if file.isatty() else WIDTH_OF_A_LOG
        yield Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def live(console: Console, dashboard: RenderableType) -> Live:
    """Shows something that changes, at the foot of a terminal, until the block ends."""
    return Live(
        dashboard,
        console=console,
        refresh_per_second=REFRESHES,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


@dataclass
class Progress:
    """How far a run is, in one line."""

    began: float = field(default_factory=time.monotonic)
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))

    def line(self, ended: int, of: int, things: str, *more: RenderableType) -> Table:
        """``5 of 12 properties 1:23``, with a bar, and what there is more to say."""
        line = Table.grid(padding=(0, 1))
        line.add_row(
            self.spinner,
            ProgressBar(total=max(1, of), completed=ended, width=20),
            f"{ended} of {things}",
            clock(time.monotonic() - self.began),
            *more,
        )
        return line


def clock(seconds: float) -> str:
    """A duration as minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def nearer(path: Path) -> Path:
    """The path as seen from the current folder, if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
