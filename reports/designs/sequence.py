"""A counterexample as a sequence diagram: sessions and the server as lifelines, steps and their phases from above."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from markupsafe import Markup

from harness.schema.exploration import Counterexample, Step
from reports.designs.matrix import doing, sessions_of, spaced, there_is, under_way

LANE, TO_SERVER, NOTES, ROW, TOP = 170, 280, 310, 62, 56
"""Pixels: between lifelines, from the last session to the server, for what is said beside, of a step, above the first.
"""
NOTE_LETTERS, BESIDE = 44, 76
CRASHES = ("immediate", "crash")
ELSE = "an administrator"


@dataclass(frozen=True)
class Stage:
    """Where the lifelines are."""

    lanes: dict[int | None, int]
    """The places of the sessions and (None) of the administrator."""
    server: int

    @property
    def width(self) -> int:
        """Of the whole."""
        return self.server + BESIDE + NOTES


def stage_of(found: Counterexample) -> Stage:
    """The sessions in their order, an administrator if there is one."""
    who: list[int | None] = [*sessions_of(found)]
    if any(step.session is None and step.operation not in ("Restart", "Advance") for step in found.steps):
        who.insert(0, None)
    places = {one: 85 + LANE * number for number, one in enumerate(who)}
    return Stage(places, max(places.values(), default=85) + TO_SERVER)


def sequence(found: Counterexample, title: str) -> Markup:
    """The diagram, to stand in a page that has the colours."""
    stage = stage_of(found)
    height = TOP + ROW * len(found.steps) + 24
    parts = [
        f'<svg class="sequence" viewBox="0 0 {stage.width} {height}" width="{stage.width}" height="{height}"'
        f' role="img" aria-label="{escape(title)}">',
        *lifelines(found, stage, height),
        *(part for number, step in enumerate(found.steps) for part in drawn(found, stage, number, step)),
        "</svg>",
    ]
    return Markup("\n".join(parts))


def lifelines(found: Counterexample, stage: Stage, height: int) -> Iterator[str]:
    """The heads, and the lines down from them: dotted while nobody is connected."""
    for who, x in stage.lanes.items():
        name = ELSE if who is None else f"session {who}"
        role = "" if who is None else found.before.sessions[who].role or "not connected"
        yield head(x, name, role)
        yield line(x, 40, x, height, "absent" if who is not None else "life")
        if who is not None:
            yield from connected(found, who, x)
    yield head(stage.server, "server", "")
    yield line(stage.server, 40, stage.server, height, "life")


def connected(found: Counterexample, who: int, x: int) -> Iterator[str]:
    """The parts of a lifeline in which the session is connected, thick while it is amid an operation."""
    states = [found.before, *(step.after for step in found.steps)]
    for number, state in enumerate(states):
        top, bottom = (40 if number == 0 else middle(number - 1)), middle(number)
        bottom = min(bottom, TOP + ROW * len(found.steps) + 20)
        if state.sessions[who].role is not None:
            yield line(x, top, x, bottom, "life")
        if state.sessions[who].amid:
            yield f'<rect class="amid" x="{x - 5}" y="{top}" width="10" height="{bottom - top}"/>'


def drawn(found: Counterexample, stage: Stage, number: int, step: Step) -> Iterator[str]:
    """A step."""
    y, last = middle(number), number == len(found.steps) - 1
    if step.operation == "Restart":
        yield from restart(stage, y, step)
    elif step.operation == "Advance":
        yield from across(stage, y, doing(step), "time")
    else:
        yield from taken(stage, y, step)
    lines = wrap(there_is(step.after), NOTE_LETTERS)
    top = y - 6 * (len(lines) - 1)
    for offset, words in enumerate(lines):
        yield text(stage.server + BESIDE, top + 13 * offset + 4, words, "note bad" if last else "note", "start")
    yield text(8, y + 4, str(step.number), "number", "start")


def taken(stage: Stage, y: int, step: Step) -> Iterator[str]:
    """A step of a session, or of an administrator."""
    x = stage.lanes[step.session]
    cut, first = step.operation in ("Cancel", "Lose"), not step.phase or is_first(step)
    if cut:
        yield cross(x, y)
        yield text(x + 14, y - 8, f"{doing(step)} {step.phase}", "call bad", "start")
    elif first:
        yield arrow(x + 6, y - 10, stage.server - (half(step.phase) if step.phase else 6), "call")
        yield text(x + 12, y - 15, doing(step), "call", "start")
    if step.phase and not cut:
        yield phase(stage.server, y - 10 if first else y, step.phase)
    if not under_way(step):
        yield arrow(stage.server - 6, y + 14, x + 6, "answer")
        failed = not step.outcome.startswith("ok")
        yield text(x + 12, y + 8, step.outcome.replace("_", " "), "answer bad" if failed else "answer", "start")
    if step.operation in ("Disconnect", "Lose"):
        yield cross(x, y)


def is_first(step: Step) -> bool:
    """Does its operation begin with it?"""
    return step.phase in ("reserve", "claim to stop", "claim to abort")


def restart(stage: Stage, y: int, step: Step) -> Iterator[str]:
    """The server goes down, and every session with it."""
    kind, hazard = str(step.arguments.get("kind")), step.arguments.get("hazard")
    what = "the server crashes, and recovers" if kind in CRASHES else "the server is restarted"
    how = f" ({spaced(kind)}{f', {hazard}' if hazard else ''})"
    yield from across(stage, y, what + how, "crash" if kind in CRASHES else "restart")


def across(stage: Stage, y: int, words: str, kind: str) -> Iterator[str]:
    """What happens to everybody."""
    yield f'<rect class="{kind}" x="30" y="{y - 17}" width="{stage.server}" height="34" rx="3"/>'
    yield text((30 + stage.server) // 2 + 15, y + 4, words, f"across {kind}", "middle")


def middle(number: int) -> int:
    """The height of a step."""
    return TOP + ROW * number + ROW // 2


def head(x: int, name: str, role: str) -> str:
    """The name of a lifeline."""
    named = text(x, 16 if role else 24, name, "head", "middle")
    return named + (text(x, 31, role, "role", "middle") if role else "")


def phase(x: int, y: int, name: str) -> str:
    """A phase, on the server."""
    box = f'<rect class="phase" x="{x - half(name)}" y="{y - 11}" width="{2 * half(name)}" height="21" rx="3"/>'
    return box + text(x, y + 4, name, "phase", "middle")


def half(name: str) -> int:
    """Half the width of the box of a phase."""
    return 5 + 7 * len(name) // 2


def line(x: int, y: int, to_x: int, to_y: int, kind: str) -> str:
    """A line."""
    return f'<line class="{kind}" x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}"/>'


def arrow(x: int, y: int, to: int, kind: str) -> str:
    """A level arrow."""
    back = -8 if to > x else 8
    tip = f'<path class="tip" d="M{to} {y} l{back} -4 v8 z"/>'
    return line(x, y, to, y, f"arrow {kind}") + tip


def cross(x: int, y: int) -> str:
    """The end of something."""
    return f'<path class="cross" d="M{x - 6} {y - 6} l12 12 m0 -12 l-12 12"/>'


def text(x: int, y: int, words: str, kind: str, anchor: str) -> str:
    """Words."""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
