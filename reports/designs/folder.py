"""A folder of ``nox -s explore``: the verdicts, the graphs, the scripts, and what a server said of them."""

from dataclasses import dataclass
from pathlib import Path

from harness.schema.exploration import Exploration, Graph
from harness.schema.replays import Replay, Replays
from reports.counterexamples import USES, Script
from reports.folder import EXPLORATION
from reports.reading import Unreadable, read_file, read_results, text_of

SCRIPTS, REPLAYS = "counterexamples", "replays.json"


@dataclass(frozen=True)
class Explored:
    """What is in it."""

    folder: Path
    exploration: Exploration
    graphs: tuple[Graph, ...]
    scripts: dict[tuple[str, str], tuple[Script, ...]]
    """By promise and design."""
    replays: Replays | None
    """None: nothing was replayed."""

    @property
    def name(self) -> str:
        """The folder's own name, also if a link led to it."""
        return self.folder.resolve().name

    def replay(self, promise: str, design: str) -> Replay | None:
        """What a server said of that counterexample; None: it was not asked."""
        every = self.replays.counterexamples if self.replays else ()
        return next((one for one in every if (one.promise, one.design) == (promise, design)), None)


def read_explored(folder: Path) -> Explored:
    """Everything in a folder; raises Unreadable. A graph or a script that was not copied along is left out."""
    found = read_results(folder / EXPLORATION, Exploration, "an exploration's results")
    paths = [folder / Path(name).name for name in found.graphs.values()]
    graphs = tuple(checked(path, read_file(path, Graph, "a graph")) for path in paths if path.is_file())
    replays = folder / REPLAYS
    return Explored(
        folder,
        found,
        graphs,
        {(one.promise, one.design): scripts(folder, one.design, one.promise)
         for one in found.judgements if one.counterexample},
        read_file(replays, Replays, "what was replayed") if replays.is_file() else None,
    )  # fmt: skip


def checked(path: Path, graph: Graph) -> Graph:
    """The graph; raises Unreadable if its numbers lead nowhere."""
    nodes, steps, outcomes = len(graph.nodes), len(graph.steps), len(graph.outcomes)
    for edge in graph.edges:
        if not (0 <= edge.source < nodes and 0 <= edge.target < nodes and 0 <= edge.step < steps
                and 0 <= edge.outcome < outcomes):  # fmt: skip
            raise Unreadable(f"{path} is not a graph: an edge leads to what is not there.")
    return graph


def scripts(folder: Path, design: str, promise: str) -> tuple[Script, ...]:
    """The scripts of a counterexample; raises Unreadable."""
    paths = [folder / SCRIPTS / f"{design}.{promise}{suffix}" for suffix in USES]
    return tuple(Script(path, text_of(path)) for path in paths if path.is_file())
