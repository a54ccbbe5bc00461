"""The pages of an exploration: the matrix with every counterexample, and the explorer."""

import base64
import gzip
from typing import Any

import msgspec
from jinja2 import Environment

from harness.schema.exploration import Graph, Verdict
from harness.schema.replays import Verdict as Replayed
from reports.designs import matrix
from reports.designs.folder import Explored
from reports.designs.sequence import sequence
from reports.page import environment

EXPLORER = "explorer.html"
LEGEND = (Verdict.HOLDS, Verdict.UNCLAIMED, Verdict.NO, Verdict.BROKEN)
CONCLUSIONS = {
    "holds": "Every claim is kept",
    "broken": "A claim is broken",
    "partial": "No claim is broken in what was explored, and that was not everything",
    "interrupted": "It was interrupted: no claim is broken in what was explored until then",
}


def designs_page(found: Explored) -> str:
    """The page with the matrix."""
    return environment_of_designs().get_template("designs.html.j2").render(**facts(found))


def facts(found: Explored) -> dict[str, Any]:
    """What the page with the matrix shows."""
    exploration = found.exploration
    return {
        "found": found,
        "run": exploration,
        "rows": matrix.rows(exploration),
        "axes": matrix.differing_axes(exploration),
        "conclusion": CONCLUSIONS[exploration.verdict],
        "legend": LEGEND,
        "not_replayed": Replayed.NOT_REPLAYED,
        "agrees": Replayed.AGREES,
        "disagrees": Replayed.DISAGREES,
        "explorer": EXPLORER if found.graphs else "",
        "in_graphs": {graph.design for graph in found.graphs},
    }


def explorer_page(found: Explored) -> str:
    """The explorer, with every graph in it."""
    return (
        environment_of_designs()
        .get_template("explorer.html.j2")
        .render(
            found=found,
            run=found.exploration,
            graphs={graph.design: packed(graph) for graph in found.graphs},
            claims={design.name: design.claims for design in found.exploration.designs},
            sizes={graph.design: (len(graph.nodes), len(graph.edges)) for graph in found.graphs},
        )
    )


def packed(graph: Graph) -> str:
    """A graph as text that a page may have in it: JSON, made small by gzip, in base64."""
    return base64.b64encode(gzip.compress(msgspec.json.encode(graph), mtime=0)).decode()


def environment_of_designs() -> Environment:
    """The templates' environment, with what these pages need."""
    made = environment()
    made.globals |= {"matrix": matrix, "sequence": sequence}
    return made
