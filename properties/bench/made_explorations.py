"""Folders as ``nox -s explore`` leaves them, made in a moment: few designs, small scopes."""

from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from harness.running.results import write_json
from harness.schema import exploration as schema
from model.design import CATALOG, STOCK, THREAD, Design
from model.explore import History, beginning, explore
from model.menu import Move
from model.operations import Restart, RestartKind, Start, Stop
from model.promises import PROMISES
from model.scope import ALICE, Scope, to_look_at
from model.steps import Lose, NextPhase, Step, take
from properties.exploration.graphs import write_graph
from properties.exploration.records import counterexample
from properties.exploration.results import RESULTS_FILE, results_of
from properties.exploration.scripts import write_scripts
from properties.exploration.worker import Found, Task

DESIGNS = (STOCK, THREAD, CATALOG)
SCOPE = "one session"
WITH_GRAPHS = (STOCK, THREAD)
"""Whose graphs are small."""
WHEN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)

AT_ONCE: tuple[Step, ...] = (
    Start(0, "a"),
    NextPhase(0),
    Stop(1, "a"),
    NextPhase(0),
    Stop(1, "a"),
    Lose(1),
    Restart(RestartKind.CRASH),
)
"""Two sessions at once, phase by phase, one of which is lost, and a crash."""


def made_folder(folder: Path) -> Path:
    """Explores, and leaves what ``nox -s explore`` does."""
    folder.mkdir()
    tasks = [Task(design=design, scope=SCOPE) for design in DESIGNS]
    found = {task: explored(task) for task in tasks}
    results = results_of(DESIGNS, tasks, found, WHEN, 1.0, interrupted=False)
    graphs = {design.name: write_graph(folder, to_look_at(design)) for design in WITH_GRAPHS}
    results = replace(results, graphs=graphs)
    write_scripts(folder, results)
    write_json(folder / RESULTS_FILE, results)
    return folder


def explored(task: Task) -> Found:
    """What a worker finds."""
    scope = Scope(task.design, roles=(ALICE,), sessions=1, ttls=(None,))
    came = explore(scope, PROMISES)
    return Found(
        explored=schema.Explored(
            design=task.design.name,
            scope=task.scope,
            phases=scope.phases,
            symmetry=scope.symmetry,
            states=came.states,
            transitions=came.transitions,
            depth=came.depth,
            seconds=came.seconds,
            complete=came.complete,
        ),
        broken={name: counterexample(task.scope, scope, path) for name, path in came.broken.items()},
    )


def told(design: Design, steps: tuple[Step, ...] = AT_ONCE) -> schema.Counterexample:
    """A history, whether or not it breaks anything."""
    scope = to_look_at(design)
    return counterexample("made up", scope, history(scope, steps))


def history(scope: Scope, steps: tuple[Step, ...]) -> History:
    """Where these steps lead, with the first of what may come of each."""
    situation, path = beginning(scope, None), []
    for step in steps:
        situation, result = take(scope.design, situation, step)[0]
        path.append(Move(step, result, situation))
    return tuple(path)
