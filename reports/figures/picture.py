"""A figure as the page and the folder have it: PNG and SVG, with a title, a caption and words for who cannot see it."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from reports.style import RC

Drawing = Callable[[], Figure]


@dataclass(frozen=True)
class Picture:
    """One figure, drawn."""

    name: str
    """What its files are called, without the ending."""
    title: str
    caption: str
    """How to read it."""
    png: bytes
    svg: bytes

    def save(self, folder: Path) -> None:
        """Both files."""
        (folder / f"{self.name}.png").write_bytes(self.png)
        (folder / f"{self.name}.svg").write_bytes(self.svg)


def picture(name: str, title: str, caption: str, draw: Drawing) -> Picture:
    """Draws a figure in the style of the report."""
    with rc_context(RC):
        figure = draw()
        # No date: the same results make the same files.
        return Picture(name, title, caption, rendered(figure, "png"), rendered(figure, "svg", {"Date": None}))


def rendered(figure: Figure, kind: str, metadata: dict[str, None] | None = None) -> bytes:
    """The figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata, facecolor="white", bbox_inches="tight", pad_inches=0.1)
    return buffer.getvalue()
