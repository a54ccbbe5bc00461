"""The lines for psql of every step of a graph, and what comes before them: see ``Graph`` in the schema."""

from collections.abc import Iterator

from msgspec.structs import replace

from harness.clients.designs import speaking, why_not
from harness.clients.implementation import Capability, Implementation
from harness.clients.phases import BOUNDARIES
from harness.clients.roles import creating, granted
from harness.schema.exploration import Graph, Move
from model.operations import Abort, Start, Stop
from model.state import Role
from properties.exploration.scripts import SET_BY, label_of, phase_of
from properties.exploration.statements import setting, statements
from properties.recording.scripts import attaching, waking

WOKEN: dict[str, str] = {
    "take start point": BOUNDARIES[Start][0],
    "publish start": BOUNDARIES[Start][1],
    "end backup": BOUNDARIES[Stop][0],
    "publish stop": BOUNDARIES[Stop][1],
    "release": BOUNDARIES[Abort][0],
}
"""Where an operation waits that is to take this phase."""


def with_sql(graph: Graph) -> Graph:
    """The same with what comes before the first step."""
    by = speaking(graph.design)
    return replace(graph, prepare=tuple(preparing(by, graph)), not_implemented=why_not(graph.design))


def preparing(by: Implementation, graph: Graph) -> Iterator[str]:
    """What a superuser runs first, line by line."""
    yield from (f"{statement};" for statement in (*by.prepare, *by.prepare_instruments))
    roles = [Role(one.name, one.superuser, one.execute, one.monitor, one.member_of) for one in graph.roles]
    yield from (f"{statement};" for statement in creating(roles, granted(by.functions)))
    for name in SET_BY:
        if name in graph.settings and graph.settings[name] != getattr(by.design.settings, name):
            yield from (f"{statement};" for statement in setting(by, name, graph.settings[name]))
    if by.freeze_clock:
        yield f"{by.freeze_clock};"
    if graph.phases and Capability.INSTRUMENTS in by.capabilities:
        labels = dict.fromkeys(label_of(move) for move in graph.steps if phase_of(move))
        yield from (attaching(point, label) for label in labels for point in WOKEN.values())


def pasted(by: Implementation, move: Move, begun: Move | None) -> tuple[str, ...]:
    """The lines of whoever takes a step; of a later phase, those of an administrator who lets the operation go on.

    ``begun``: what its session is in the middle of.
    """
    if phase_of(move) > 1:
        return (waking(WOKEN[move.phase], label_of(move)),)
    if move.operation == "Connect":
        return (f"SET SESSION AUTHORIZATION {move.arguments['role']};",)
    texts = statements(by, move, begun, lambda label, _: token_of(label))
    remembers = move.operation in ("Start", "Rollback") and Capability.TOKENS in by.capabilities
    label = label_of(move)
    return tuple(finished(text, label if remembers and text not in ("BEGIN", "ROLLBACK") else None) for text in texts)


def token_of(label: str | None) -> str:
    """The variable with the token of the backup under a label."""
    return f"{label}_token"


def finished(text: str, remembered: str | None) -> str:
    """A whole line; what the start under that label returns is remembered."""
    if remembered is not None:
        return rf"{text} \gset {remembered}_"
    return text if text.startswith("\\") else f"{text};"
