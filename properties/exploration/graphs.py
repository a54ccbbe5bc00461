"""``graph-<design>.json``: every situation of a small scope and every step, for a page to walk about in."""

from dataclasses import asdict
from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.clients.designs import speaking
from harness.schema import exploration as schema
from model.axes import point
from model.graph import Edge, Graph, graph
from model.promises import PROMISES
from model.scope import Scope
from model.steps import CutOff, Situation, Step
from properties.exploration.pasting import pasted, with_sql
from properties.exploration.records import arguments, name_of, phase_of, promised, roles, state, told


def write_graph(folder: Path, scope: Scope) -> str:
    """Writes the graph of a scope; returns the name of the file."""
    file = folder / f"graph-{scope.design.name}.json"
    file.write_bytes(msgspec.json.encode(with_sql(recorded(graph(scope)))) + b"\n")
    return file.name


def recorded(found: Graph) -> schema.Graph:
    """A graph as it is kept: what it says often is said once, and named by number."""
    steps: dict[bytes, int] = {}
    moves: list[schema.Move] = []
    outcomes: dict[str, int] = {}
    promises = {promise.name: number for number, promise in enumerate(PROMISES)}
    first = found.nodes[0].situation.cluster

    def kept(edge: Edge) -> schema.Edge:
        move = moved(found, edge)
        key = msgspec.json.encode(move)
        if key not in steps:
            steps[key] = len(steps)
            moves.append(move)
        return schema.Edge(
            edge.source,
            edge.target,
            steps[key],
            outcomes.setdefault(told(edge.result), len(outcomes)),
            tuple([promises[name] for name in edge.broken]),
        )

    edges = tuple([kept(edge) for edge in found.edges])
    return schema.Graph(
        design=found.scope.design.name,
        axes=point(found.scope.design),
        phases=found.scope.phases,
        promises=tuple([promised(promise) for promise in PROMISES]),
        roles=roles(first),
        settings=first.settings._asdict(),
        nodes=tuple(
            [
                schema.Node(state=state(node.situation, first), broken=tuple([promises[name] for name in node.broken]))
                for node in found.nodes
            ]
        ),
        steps=tuple(moves),
        outcomes=tuple(outcomes),
        edges=edges,
    )


def moved(found: Graph, edge: Edge) -> schema.Move:
    """The step of an edge."""
    before = found.nodes[edge.source].situation
    move = schema.Move(
        session=getattr(edge.step, "session", None),
        operation=name_of(before, edge.step),
        arguments=arguments(before, edge.step),
        phase=phase_of(before, edge.step, edge.result),
    )
    return replace(move, sql=pasted(speaking(found.scope.design.name), move, begun(before, edge.step)))


def begun(before: Situation, step: Step) -> schema.Move | None:
    """The operation that a step cuts off."""
    if not isinstance(step, CutOff):
        return None
    pending = before.under_way[step.session]
    assert pending is not None
    given = {name: value for name, value in asdict(pending.operation).items() if name != "session"}
    return schema.Move(session=step.session, operation=type(pending.operation).__name__, arguments=given)
