"""A history as a timeline: sessions as rows, operations as bars, faults shaded over all rows."""

import functools
import itertools
from collections.abc import Iterator
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Patch
from msgspec.structs import replace

from harness.schema.campaign import Verdict
from harness.schema.history import Event
from reports.figures.picture import Picture, picture
from reports.history import History, is_fault, words_of
from reports.style import BLUE, INK, ORANGE, PALE, RC, SKY, VERMILLION

PER_PANEL = 20
PANELS = 2
FEWEST = 8
"""So many operations fill a panel that is alone; fewer leave room."""
PAUSE = 0.2
"""How wide a time is in which nothing is under way; one between two instants in which something is has the width 1."""

FACES = {"ok": SKY, "refused": "#F4C7A8", "unknown": "#FFFFFF"}
EDGES = {"ok": BLUE, "refused": VERMILLION, "unknown": INK}
HATCHES = {"ok": "", "refused": "....", "unknown": "xx"}
MEANINGS = {"ok": "took place", "refused": "refused (SQLSTATE)", "unknown": "never completed"}


def timeline_pictures(histories: tuple[History, ...]) -> Iterator[Picture]:
    """One for each history that is worth a look: of failures, and of one property that holds."""
    holding = [history for history in histories if history.verdict is Verdict.HOLDS]
    holding.sort(key=lambda history: not any(is_fault(event) for event in history.events))
    shown = [history for history in histories if history.verdict is not Verdict.HOLDS] + holding[:1]
    for number, history in enumerate(shown, 1):
        part = to_show(history)
        yield picture(
            "timeline" if len(shown) == 1 else f"timeline-{number}",
            f"A history: {history.title}",
            f"{which(history, part)} Time runs from left to right in the order of events, not to scale: each bar "
            "begins where its operation was invoked and ends where it completed; below, the "
            "milliseconds since the beginning.",
            partial(draw_timeline, part),
        )


def to_show(history: History) -> tuple[Event, ...]:
    """As many events as a person can look at: the end of a failure, the beginning of anything else."""
    events = in_order(history)
    most = PER_PANEL * PANELS
    return events[:most] if history.verdict is Verdict.HOLDS else events[-most:]


def in_order(history: History) -> tuple[Event, ...]:
    """The events as they were invoked, with times from the first one on."""
    first = min(event.invoked for event in history.events)
    moved = (
        replace(
            event,
            invoked=event.invoked - first,
            completed=None if event.completed is None else event.completed - first,
        )
        for event in history.events
    )
    return tuple(sorted(moved, key=lambda event: event.invoked))


def which(history: History, part: tuple[Event, ...]) -> str:
    """Which of how many events are shown."""
    every, holds = len(history.events), history.verdict is Verdict.HOLDS
    if len(part) == every:
        return f"All {every} events of the example kept{'' if holds else ' (it failed)'}."
    return f"The {'first' if holds else 'last'} {len(part)} of {every} events of the example kept."


def draw_timeline(events: tuple[Event, ...]) -> Figure:
    """The timeline, in as many panels as its events need."""
    rows = sorted({event.row for event in events}, key=row_place)
    panels = [events[start : start + PER_PANEL] for start in range(0, len(events), PER_PANEL)]
    figure = Figure(figsize=(11.5, len(panels) * (0.75 + 0.78 * len(rows)) + 0.5), layout="constrained")
    for axes, part in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        draw_panel(axes, part, events, rows)
    kinds = list(dict.fromkeys(event.result for event in events))
    handles = [
        Patch(facecolor=FACES[kind], edgecolor=EDGES[kind], hatch=HATCHES[kind], label=MEANINGS[kind]) for kind in kinds
    ]
    if any(is_fault(event) for event in events):
        handles.append(Patch(facecolor="#FBE3B5", edgecolor=ORANGE, hatch="///", label="fault"))
    handles.append(Patch(facecolor=PALE, label="not connected"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def row_place(row: str) -> tuple[int, str]:
    """Sessions first, then who else acts."""
    return (0 if row.startswith("session") else 2 if row == "the world" else 1), row


def draw_panel(axes: Axes, part: tuple[Event, ...], events: tuple[Event, ...], rows: list[str]) -> None:
    """Some events that follow each other, under the rows of all."""
    begin = part[0].invoked
    end = max(event.completed or event.invoked for event in part)
    if any(event.completed is None for event in part):
        end += 0.001  # what never completed goes on beyond everything else
    places = positions(part, end)
    width = max(max(places.values()), FEWEST if len(part) == len(events) else PER_PANEL * (1 + PAUSE))
    last = max(places.values())
    for row in rows:
        for start, stop in absences(events, row, begin, end):
            axes.barh(
                rows.index(row), nearest(places, stop) - nearest(places, start), left=nearest(places, start),
                height=0.9, color=PALE, linewidth=0, zorder=1,
            )  # fmt: skip
    for event in part:
        left = places[event.invoked]
        right = last if event.completed is None else places[event.completed]
        if is_fault(event):
            axes.axvspan(left, right, facecolor="#FBE3B5", edgecolor=ORANGE, hatch="///", linewidth=0, zorder=0.5)
        draw_bar(axes, event, rows.index(event.row), left, right - left)
    axes.set_xlim(-0.1, width + 0.1)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks([places[event.invoked] for event in part], [f"{event.invoked * 1000:,.1f}" for event in part])
    axes.tick_params(axis="x", labelsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("invoked, ms since the beginning (in order, not to scale)")
    axes.grid(visible=False)


def drawable(words: str) -> str:
    """The words with a dot for each letter that the font lacks."""
    return "".join(letter if ord(letter) in font_letters() else "·" for letter in words)


@functools.cache
def font_letters() -> frozenset[int]:
    """What the font of the figures can draw."""
    return frozenset(get_font(findfont(RC["font.family"])).get_charmap())


def positions(events: tuple[Event, ...], end: float) -> dict[float, float]:
    """Where each instant is drawn: the steps between instants are equally wide, those without any operation narrow."""
    spans = [(event.invoked, event.completed if event.completed is not None else end) for event in events]
    instants = sorted({instant for span in spans for instant in span} | {end})
    places = {instants[0]: 0.0}
    for before, after in itertools.pairwise(instants):
        busy = any(start <= before and after <= stop for start, stop in spans)
        places[after] = places[before] + (1.0 if busy else PAUSE)
    return places


def nearest(places: dict[float, float], instant: float) -> float:
    """Where an instant is drawn: that of the panel's that comes next."""
    return next((places[known] for known in sorted(places) if known >= instant), max(places.values()))


def absences(events: tuple[Event, ...], row: str, begin: float, end: float) -> Iterator[tuple[float, float]]:
    """When a session was not connected, within those limits."""
    if not row.startswith("session"):
        return
    since: float | None = None
    own = [event for event in events if event.row == row]
    if own and (own[0].operation == "Connect" or "(-)" in own[0].who):
        since = events[0].invoked
    for event in events:
        done = event.completed if event.completed is not None else end
        if event.result != "ok":
            continue
        if event.operation == "Restart" or (event.operation == "Disconnect" and event.row == row):
            since = done if since is None else since
        elif event.operation == "Connect" and event.row == row and since is not None:
            yield from clipped(since, event.invoked, begin, end)
            since = None
    if since is not None:
        yield from clipped(since, end, begin, end)


def clipped(start: float, stop: float, begin: float, end: float) -> Iterator[tuple[float, float]]:
    """The part of a span that lies within the limits."""
    start, stop = max(start, begin), min(stop, end)
    if start < stop:
        yield start, stop


def draw_bar(axes: Axes, event: Event, row: int, left: float, width: float) -> None:
    """One operation, with what it was and what came of it."""
    kind = event.result
    axes.barh(
        row, width, left=left, height=0.86, color=FACES[kind], edgecolor=EDGES[kind], hatch=HATCHES[kind],
        linewidth=1.0, zorder=2,
    )  # fmt: skip
    name, about = words_of(event)
    words = "\n".join(filter(None, [name, drawable(about), event.sqlstate]))
    box = {"facecolor": FACES[kind], "edgecolor": "none", "pad": 0.6} if kind != "ok" else None
    axes.text(
        left + width / 2, row, words, rotation=90, ha="center", va="center", fontsize=6.2, linespacing=1.05,
        zorder=3, bbox=box, clip_on=True,
    )  # fmt: skip
