"""Operations at once: sessions as rows, operations as bars to scale, faults across all rows, live backups below."""

from collections.abc import Iterator, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.schema.history import Event
from harness.schema.timeline import Timeline
from reports.figures.picture import Picture, picture
from reports.figures.timeline import EDGES, FACES, HATCHES, drawable, row_place
from reports.history import words_of
from reports.style import BLUE, INK, ORANGE, VERMILLION

MEANINGS = {"ok": "took place", "refused": "refused", "unknown": "outcome not known"}
SHORT = {"ListBackups": "view", "StockStart": "core start", "StockStop": "core stop", "Advance": "clock"}
FAULT = "#FBE3B5"

WIDTH, SIZE, SMALLEST = 11.5, 6.0, 4.6
LETTER = 0.62
"""The width of a letter, of its size."""
NAMES = 1.2
"""Inches for the names of the rows."""
BEGINNING = 3
"""So many letters of an operation's name tell it from others."""


def crowd_pictures(timelines: Sequence[tuple[str, Timeline]]) -> Iterator[Picture]:
    """One of each history that failed, and of one that did not."""
    failed = [(title, one) for title, one in timelines if one.failed]
    shown = failed + [(title, one) for title, one in timelines if not one.failed][:1]
    for number, (title, one) in enumerate(shown, 1):
        yield picture(
            "crowd" if len(shown) == 1 else f"crowd-{number}",
            f"Operations at once: {title}",
            caption(one),
            partial(draw, one),
        )


def caption(one: Timeline) -> str:
    """How to read it."""
    which = "The end" if one.failed else "A part"
    words = [
        f"{which} of a history of {one.operations:,} operations: {len(one.events)} of them, from {one.began:.3f} s on, "
        "to scale. A bar begins where its operation was invoked and ends where it completed; its letters are the "
        "operation and its label, as far as they fit."
    ]
    if one.unexplained:
        words.append("No interleaving explains what came of the operations in bold frames.")
    if faults(one):
        words.append("Diamonds: what an administrator did, and time; it concerns every row.")
    if one.blows:
        words.append(f"Triangles: an operation was {blows(one)}, and either took place or left no trace.")
    if one.readings:
        words.append(
            "Below: the live backups that the view showed to one who did nothing but look (dots), and the limit."
        )
    return " ".join(words)


def draw(one: Timeline) -> Figure:
    """The rows, and below them the strip."""
    rows = sorted({event.row for event in one.events if event not in faults(one)}, key=by_number)
    height = 0.27 * (len(rows) + 1)
    figure = Figure(figsize=(WIDTH, height + 2.1), layout="constrained")
    ratios = [height, 0.9] if one.readings else [height, 0.001]
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
    draw_rows(above, one, rows)
    if one.readings:
        draw_strip(below, one)
    else:
        below.set_visible(False)
    for axes in (above, below):
        axes.set_xlim(-0.005 * one.end, 1.005 * max(one.end, 0.001))
        axes.grid(visible=False)
    above.tick_params(axis="x", labelbottom=not one.readings)
    (below if one.readings else above).set_xlabel("ms")
    figure.legend(handles=legend(one), loc="outside lower center", ncols=8)
    return figure


def faults(one: Timeline) -> list[Event]:
    """What no session did."""
    return [event for event in one.events if not event.row.startswith("session")]


def blows(one: Timeline) -> str:
    """What struck single sessions."""
    return " or ".join(dict.fromkeys(blow.name for blow in one.blows))


def by_number(row: str) -> tuple[int, int, str]:
    """Sessions in the order of their numbers."""
    number = row.rpartition(" ")[2]
    return row_place(row)[0], int(number) if number.isdecimal() else 0, row


def span(one: Timeline, event: Event) -> tuple[float, float]:
    """From when to when, in milliseconds; what never completed goes on to the end."""
    return event.invoked, one.end if event.completed is None else event.completed


def draw_rows(axes: Axes, one: Timeline, rows: list[str]) -> None:
    """Operations and faults."""
    for number, event in enumerate(one.events):
        begin, end = span(one, event)
        if event.row in rows:
            place = rows.index(event.row)
            bold = number in one.unexplained
            axes.barh(
                place, end - begin, left=begin, height=0.78, color=FACES[event.result], hatch=HATCHES[event.result],
                edgecolor=INK if bold else EDGES[event.result], linewidth=2.2 if bold else 0.7, zorder=3 if bold else 2,
            )  # fmt: skip
            write(axes, one, event, place)
        else:
            axes.axvspan(begin, end, facecolor=FAULT, edgecolor=ORANGE, linewidth=0.4, zorder=0.5)
            axes.plot((begin + end) / 2, -1, marker="D", markersize=4.5, color=ORANGE, markeredgecolor=INK, zorder=4)
            axes.annotate(
                fault_words(event), ((begin + end) / 2, -1.35), rotation=30, fontsize=SIZE, annotation_clip=False
            )
    for blow in one.blows:
        if blow.row in rows:
            axes.plot(blow.moment, rows.index(blow.row) - 0.4, marker="v", markersize=6, color=INK,
                      markeredgecolor="white", zorder=5)  # fmt: skip
    places = [*range(len(rows)), *([-1] if faults(one) else [])]
    axes.set_yticks(places, [*rows, *(["faults"] if faults(one) else [])])
    axes.set_ylim(len(rows) - 0.4, -1.5 if faults(one) else -0.6)
    axes.tick_params(axis="y", length=0, labelsize=7.5)


def write(axes: Axes, one: Timeline, event: Event, place: int) -> None:
    """The operation's name and label, as much of it as fits into its bar."""
    begin, end = span(one, event)
    room = (end - begin) / max(one.end, 0.001) * (WIDTH - NAMES) * 72
    name, about = words_of(event)
    kind, about = SHORT.get(name, name.lower()), drawable(about.strip("'"))
    *core, last = kind.split()
    short = ".".join([*(word[0] for word in core), last[:BEGINNING]])
    for words in (f"{kind} {about}".strip(), f"{short} {about}".strip(), short):
        size = min(SIZE, room / (LETTER * len(words)))
        if size >= SMALLEST:
            axes.text((begin + end) / 2, place, words, ha="center", va="center", fontsize=size, zorder=4,
                      bbox={"facecolor": FACES[event.result], "edgecolor": "none", "pad": 0.3})  # fmt: skip
            return


def fault_words(event: Event) -> str:
    """What befell them: ``clock +5 s``, ``limit 2``, ``revoke alice``."""
    name, about = words_of(event)
    if name.startswith("Set"):
        name = name.removeprefix("Set")
        about = about or "none"
    return drawable(f"{SHORT.get(name, name.lower())} {about}".strip())


def draw_strip(axes: Axes, one: Timeline) -> None:
    """Live backups, in steps from one reading to the next, and the limit."""
    readings = [*one.readings]
    moments = [max(0.0, reading.moment) for reading in readings] + [one.end]
    live = [reading.live for reading in readings]
    axes.fill_between(moments, [*live, live[-1]], step="post", color=BLUE, alpha=0.75, linewidth=0)
    axes.plot(moments[:-1], live, marker=".", markersize=4, color=INK, linestyle="none", clip_on=False)
    limits = [float("nan") if reading.limit is None else reading.limit for reading in readings]
    axes.step(moments, [*limits, limits[-1]], where="post", color=VERMILLION, linestyle="--", linewidth=1.6)
    highest = max([*live, *(limit for limit in limits if limit == limit), 1])
    axes.set_ylim(0, highest + 0.35)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    axes.set_ylabel("live", fontsize=8)


def legend(one: Timeline) -> list[Patch | Line2D]:
    """What the colours and symbols mean."""
    results = [kind for kind in MEANINGS if any(event.result == kind for event in one.events)]
    handles: list[Patch | Line2D] = [
        Patch(facecolor=FACES[kind], edgecolor=EDGES[kind], hatch=HATCHES[kind], label=MEANINGS[kind])
        for kind in results
    ]
    if one.unexplained:
        handles.append(Patch(facecolor="white", edgecolor=INK, linewidth=2.2, label="not explained"))
    if faults(one):
        handles.append(Line2D([], [], color=ORANGE, marker="D", markeredgecolor=INK, linestyle="none", label="fault"))
    if one.blows:
        handles.append(Line2D([], [], color=INK, marker="v", linestyle="none", label=blows(one)))
    if one.readings:
        handles.append(Patch(facecolor=BLUE, alpha=0.75, label="live backups"))
    if any(reading.limit is not None for reading in one.readings):
        handles.append(Line2D([], [], color=VERMILLION, linestyle="--", label="limit"))
    return handles
