"""``python -m model`` (``nox -s explore``): explores the named designs and prints what each keeps.

Exits 1 if a design breaks a promise that it claims, 2 if the arguments are wrong.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import NoReturn

from rich import box
from rich.console import Console
from rich.table import Table

from model.design import DESIGNS, Design
from model.explore import SCOPES, Exploration, explore
from model.operations import Operation
from model.promises import PROMISES, Promise

LEGEND = """
holds      claimed, and kept in every state
no         not claimed, and broken
unclaimed  not claimed, and not broken in these scopes
BROKEN     claimed, and broken"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Explores and prints; returns the exit code."""
    options = parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    chosen = [DESIGNS[name] for name in options.design or DESIGNS]
    found = {design: explore_all(console, design, options.scope or list(SCOPES)) for design in chosen}
    console.print(sizes(console, found))
    console.print(verdicts(console, found))
    console.print(LEGEND, style="dim")
    for design, explorations in found.items():
        for promise in PROMISES:
            if exploration := shortest(promise, explorations):
                print_counterexample(console, design, promise, exploration)
    broken = [(d, p) for d, explorations in found.items() for p in PROMISES if is_bug(d, p, explorations)]
    for design, promise in broken:
        console.print(f"[red bold]{design.name} claims {promise.name}, and breaks it.[/]")
    return 1 if broken else 0


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """See the class."""
        self.exit(2, f"{self.prog}: {message}\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="python -m model", description="Every state of the model in a few small scopes.")
    parser.add_argument("--design", action="append", choices=list(DESIGNS), help="only this one; may be repeated")
    parser.add_argument("--scope", action="append", choices=list(SCOPES), help="only this one; may be repeated")
    return parser.parse_args(arguments)


def explore_all(console: Console, design: Design, scopes: Iterable[str]) -> dict[str, Exploration]:
    """What is found in each scope, with a word on a terminal about what is going on."""
    found = {}
    for scope in scopes:
        with console.status(f"exploring {design.name}: {scope}"):
            gc.disable()  # states hold no cycles, and looking for some among millions takes a tenth of the time
            found[scope] = explore(SCOPES[scope](design))
            gc.enable()
    return found


def shortest(promise: Promise, explorations: dict[str, Exploration]) -> Exploration | None:
    """The exploration with the shortest history that breaks the promise, None if none does."""
    broken = [exploration for exploration in explorations.values() if promise.name in exploration.broken]
    return min(broken, key=lambda exploration: len(exploration.broken[promise.name]), default=None)


def is_bug(design: Design, promise: Promise, explorations: dict[str, Exploration]) -> bool:
    """Is a promise broken that the design claims?"""
    return promise.claimed_by(design) and shortest(promise, explorations) is not None


def sizes(console: Console, found: dict[Design, dict[str, Exploration]]) -> Table:
    """How much was explored, and how fast."""
    table = table_for(console, "design", "scope")
    for column in ("states", "transitions", "depth", "seconds", "transitions/s"):
        table.add_column(column, justify="right")
    for design, explorations in found.items():
        for scope, e in explorations.items():
            table.add_row(
                design.name,
                scope,
                f"{e.states:,}",
                f"{e.transitions:,}",
                str(e.depth),
                f"{e.seconds:.1f}",
                f"{e.rate():,.0f}",
            )
    return table


def verdicts(console: Console, found: dict[Design, dict[str, Exploration]]) -> Table:
    """Which design keeps which promise."""
    table = table_for(console, "promise", *(design.name for design in found))
    for promise in PROMISES:
        table.add_row(promise.name, *(verdict(promise, design, found[design]) for design in found))
    return table


def verdict(promise: Promise, design: Design, explorations: dict[str, Exploration]) -> str:
    """How it stands, in a word or two."""
    broken = shortest(promise, explorations) is not None
    if promise.claimed_by(design):
        return "[red bold]BROKEN[/]" if broken else "[green]holds[/]"
    return "[yellow]no[/]" if broken else "[dim]unclaimed[/]"


def table_for(console: Console, *columns: str) -> Table:
    """An empty table: with lines on a terminal, plain otherwise."""
    return Table(*columns, box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)


def print_counterexample(console: Console, design: Design, promise: Promise, exploration: Exploration) -> None:
    """A shortest history that breaks the promise."""
    claim = "claimed, and broken" if promise.claimed_by(design) else "not claimed"
    console.print(
        f"\n[bold]{design.name}[/] breaks [bold]{promise.name}[/] ({claim}): {promise.sentence}", soft_wrap=True
    )
    for number, role in enumerate(exploration.scope.connected()):
        console.print(f"     session {number} is connected as {role.name}", style="dim")
    for number, operation in enumerate(exploration.broken[promise.name], start=1):
        console.print(f"  {number:2}. {say(operation)}", markup=False)


def say(operation: Operation) -> str:
    """An operation for a person: ``session 0: Start label=a``."""
    told = [(f.name, getattr(operation, f.name)) for f in fields(operation)]
    told = [(name, value) for name, value in told if name not in ("session", "fast", "wait_for_archive")]
    text = " ".join([type(operation).__name__, *(f"{name}={value}" for name, value in told if value is not None)])
    return f"session {operation.session}: {text}" if hasattr(operation, "session") else text


if __name__ == "__main__":
    sys.exit(main())
