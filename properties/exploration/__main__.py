"""Explores designs by the model alone, and says which promises each keeps.

    nox -s explore -- [--design NAME] [--scope NAME] [--set AXIS=VALUE] [--budget SECONDS] [--memory MB]
                      [--workers N | --scheduler ADDRESS]
    nox -s explore -- --keep PROMISE [--keep PROMISE]      the smallest sets of features that keep these promises
    nox -s explore -- --compiled                           the same at 1.6 to 2 times the rate, once it is compiled
    nox -s explore -- --graph                              and the situations of a small scope, for a page
    nox -s explore -- --replay [--pg-config PATH]          and on a real PostgreSQL, what is implemented

Exit status: 0 no design breaks a promise that it claims; 1 one does, or a server contradicts the model; 2 the arguments
are wrong, or a scope could not be explored, and one sentence says how; 130 interrupted: then the results are of what
was explored until then.
"""

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec.structs import replace
from rich.console import Console

from harness.machine.postgres import SetupError
from harness.machine.processes import orderly_end
from harness.running.commandline import INTERRUPTED, exit_status
from harness.running.reporting import report
from harness.running.results import RESULTS, new_folder, remove_folder, write_json, writing
from harness.running.terminal import live, nearer, own_console
from harness.schema.exploration import Conclusion, Exploration, Kept
from harness.schema.replays import Verdict as Replayed
from model.axes import AXES, moved
from model.design import DESIGNS, SHARED, Design
from model.features import Search, points
from model.promises import PROMISES
from model.scope import DEEP, OVERLAPPING, SCOPES, Scope, to_look_at
from properties.exploration.compiled import compiled_model
from properties.exploration.dashboard import Dashboard
from properties.exploration.distribution import Distribution, Hear, distribution
from properties.exploration.graphs import write_graph
from properties.exploration.keeping import explorer, show_kept, smallest_sets
from properties.exploration.replaying import FILE as REPLAYS
from properties.exploration.replaying import replay_all
from properties.exploration.results import RESULTS_FILE, results_of
from properties.exploration.scripts import write_scripts
from properties.exploration.showing import show, show_replays
from properties.exploration.worker import MEGABYTE, Found, Progress, Task

STATUS = {Conclusion.HOLDS: 0, Conclusion.PARTIAL: 0, Conclusion.BROKEN: 1, Conclusion.INTERRUPTED: INTERRUPTED}
"""Exit statuses."""
NOT_WITH_KEEP = ("design", "set", "graph", "replay")
"""Options."""
QUICK = ("settings", "stock", "owners", "restarts", *OVERLAPPING)
"""The scopes in which sets of features are looked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit status."""
    chosen = parser().parse_args(arguments)
    return exit_status(lambda: run(chosen))


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """See the class."""
        self.exit(2, f"{self.prog} {message}\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    axes = ", ".join(f"{axis.name} ({' or '.join(axis.costs)})" for axis in AXES)
    result = Parser(prog="nox -s explore --", description="Which designs keep which promises, by the model alone.")
    add = result.add_argument
    add("--design", action="append", metavar="NAME", choices=DESIGNS, help=f"only this one of {', '.join(DESIGNS)}")
    add(
        "--set",
        action="append",
        metavar="AXIS=VALUE",
        type=feature,
        default=[],
        help=f"explore the design (shared, unless --design names others) with this of an axis: {axes}",
    )
    scopes = {**SCOPES, **OVERLAPPING, **DEEP}
    add(
        "--scope",
        action="append",
        metavar="NAME",
        choices=scopes,
        help=f"only this one of {', '.join(scopes)} (default: all but {', '.join(DEEP)})",
    )
    add(
        "--keep",
        action="append",
        metavar="PROMISE",
        choices=[promise.name for promise in PROMISES],
        help="find the smallest sets of features that keep this one; may be repeated",
    )
    add("--graph", action="store_true", help="write graph-<design>.json: every situation of a small scope")
    add("--compiled", action="store_true", help="compile the model first, unless that is done")
    add("--phases", action="store_true", default=None, help="operations overlap and are cut off, in all scopes")
    add("--sessions", metavar="N", type=positive, help="so many, in all scopes")
    add("--labels", metavar="N", type=positive, help="so many, in all scopes")
    add("--workers", metavar="N", type=positive, help="processes, each for one scope of one design (default: cores)")
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="have the workers of that Dask scheduler (tcp://host:port) start them, with this project in their folder",
    )
    add("--budget", metavar="SECONDS", type=positive, help="for all: what is not explored then is said to be partial")
    add(
        "--memory",
        metavar="MB",
        type=positive,
        help="for all processes of a machine (default: most of what is free there); the same",
    )
    add("--results", metavar="FOLDER", type=Path, default=RESULTS, help="for their folder (default: reports/out)")
    add(
        "--replay",
        action="store_true",
        help="on a real PostgreSQL, what is implemented: counterexamples, and other paths",
    )
    add("--pg-config", metavar="PATH", help="the PostgreSQL for that (default: $PG_CONFIG, else the bundled one)")
    add("--no-report", dest="report", action="store_false", help="leave out the page")
    return result


def positive(text: str) -> int:
    """A number of things of which there is at least one."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def feature(text: str) -> tuple[str, str]:
    """An axis and a value."""
    axis, separator, value = text.partition("=")
    if not separator:
        raise ValueError(text)
    return axis, value


def run(chosen: argparse.Namespace) -> int:
    """Explores, shows and keeps what was found; raises SetupError."""
    if chosen.keep and (useless := [word for word in NOT_WITH_KEEP if getattr(chosen, word)]):
        raise SetupError(f"--keep tries the designs that there are among the axes: leave out --{useless[0]}.")
    designs, when, began = chosen_designs(chosen), datetime.now(UTC), time.monotonic()
    folder = new_folder(chosen.results.absolute(), when)
    try:
        with orderly_end(), own_console() as console:
            if chosen.compiled and not chosen.scheduler:
                compile_model(console)
            found: dict[Task, Found] = {}
            kept: Kept | None = None
            tasks: list[Task] = []
            if chosen.keep:
                designs = []
                kept, interrupted = keep(console, chosen)
            else:
                tasks = tasks_of(chosen, designs)
                found, interrupted = explore_all(console, chosen, tasks)
            results = results_of(designs, tasks, found, when, time.monotonic() - began, interrupted, kept)
            with writing(folder):
                graphs = {one.name: write_graph(folder, to_look_at(one)) for one in designs if chosen.graph}
                results = replace(results, compiled=chosen.compiled, graphs=graphs)
                write_scripts(folder, results)
                write_json(folder / RESULTS_FILE, results)
            if kept is not None:
                show_kept(console, kept)
            else:
                show(console, results)
            contradicted = on_a_server(console, results, folder, chosen.pg_config) if chosen.replay else False
            console.print(f"\nResults: {nearer(folder)}", soft_wrap=True)
            if chosen.report:
                console.print(f"Report: {report(nearer(folder))}", soft_wrap=True)
    except BaseException:
        if not (folder / RESULTS_FILE).exists():
            remove_folder(folder)
        raise
    return STATUS[Conclusion.BROKEN] if contradicted else STATUS[results.verdict]


def compile_model(console: Console) -> None:
    """For the workers of this machine, which then find it; raises SetupError."""
    with console.status("Compiling the model, unless that was done before: it takes a minute"):
        compiled_model()


def on_a_server(console: Console, results: Exploration, folder: Path, pg_config: str | None) -> bool:
    """Replays what is implemented, and keeps what came of it; says whether a server contradicts the model."""
    with console.status("Replayed on PostgreSQL"):
        replays = replay_all(results, pg_config)
    with writing(folder):
        (folder / REPLAYS).write_bytes(msgspec.json.format(msgspec.json.encode(replays), indent=1) + b"\n")
    show_replays(console, replays)
    return any(one.verdict is Replayed.DISAGREES for one in (*replays.counterexamples, *replays.kept))


def chosen_designs(chosen: argparse.Namespace) -> list[Design]:
    """The designs to explore; raises SetupError."""
    bases = [DESIGNS[name] for name in chosen.design or ([SHARED.name] if chosen.set else DESIGNS)]
    try:
        return [moved(base, dict(chosen.set)) for base in bases]
    except ValueError as error:
        raise SetupError(f"--set: {error}.") from None


def tasks_of(chosen: argparse.Namespace, designs: Sequence[Design]) -> list[Task]:
    """Each scope of each design."""
    like, scopes = task_like(chosen), chosen.scope or (*SCOPES, *OVERLAPPING)
    return [replace(like, design=design, scope=scope) for design in designs for scope in scopes]


def task_like(chosen: argparse.Namespace) -> Task:
    """What all tasks have in common."""
    return Task(
        design=SHARED,
        scope="",
        sessions=chosen.sessions,
        labels=chosen.labels,
        phases=chosen.phases,
        until=time.time() + chosen.budget if chosen.budget else None,
    )


def explore_all(console: Console, chosen: argparse.Namespace, tasks: Sequence[Task]) -> tuple[dict[Task, Found], bool]:
    """What was found, and whether Ctrl-C has ended it; raises SetupError."""
    dashboard, found = Dashboard(len(tasks), "scopes of designs"), dict[Task, Found]()

    def hear(task: Task, news: Progress | Found) -> None:
        dashboard.hear(task, news)
        if isinstance(news, Found):
            found[task] = news
            dashboard.ended = len(found)

    try:
        with live(console, dashboard), on_workers(chosen, hear) as distribution:
            deque(distribution.explored(tasks), maxlen=0)
    except KeyboardInterrupt:
        return found, True
    return found, False


def keep(console: Console, chosen: argparse.Namespace) -> tuple[Kept, bool]:
    """The smallest sets of features that keep promises, and whether Ctrl-C has ended the search; raises SetupError."""
    wanted = tuple([promise for promise in PROMISES if promise.name in chosen.keep])
    like = task_like(chosen)
    dashboard = Dashboard(len(points()), "sets of features")

    def hear(task: Task, news: Progress | Found) -> None:
        dashboard.hear(task, news)
        dashboard.ended = search.tried

    with live(console, dashboard), on_workers(chosen, hear) as distribution:
        search = Search(
            wanted,
            {name: partial(scope_like, like, name) for name in chosen.scope or QUICK},
            explorer(distribution, like),
        )
        return smallest_sets(search)


def on_workers(chosen: argparse.Namespace, hear: Hear) -> AbstractContextManager[Distribution]:
    """The workers that were asked for; raises SetupError."""
    number = chosen.workers or len(os.sched_getaffinity(0))
    memory = chosen.memory * MEGABYTE if chosen.memory else None
    return distribution(number, chosen.scheduler, memory, chosen.compiled, hear)


def scope_like(like: Task, name: str, design: Design) -> Scope:
    """The scope of that name of a design, with as many sessions and labels as all have."""
    return replace(like, design=design, scope=name).in_full()


if __name__ == "__main__":
    sys.exit(main())
