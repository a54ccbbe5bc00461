"""What a run of the mutants shows: a line for each when it has ended, and at the end which property killed which."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.schema.mutants import Kill, Mutant, Mutants, Outcome, Verdict

STYLES = {
    Outcome.KILLED: "green",
    Outcome.SURVIVED: "bold red",
    Outcome.HUNG: "bold magenta",
    Outcome.BROKEN: "bold magenta",
    Outcome.STALE: "bold magenta",
    Outcome.EQUIVALENT: "dim",
    Outcome.NOT_RUN: "yellow",
}
WHAT_IS_LEFT = {
    Outcome.SURVIVED: "Survivors: nothing fails, though",
    Outcome.HUNG: "Hung",
    Outcome.BROKEN: "Could not be tried",
    Outcome.STALE: "Do not apply to the tree any more: write them anew, or remove them",
    Outcome.NOT_RUN: "Not run",
    Outcome.EQUIVALENT: "Equivalent to the original, and not tried",
}
"""Outcomes that are listed by name, with a heading."""


def ended_line(one: Mutant) -> Text:
    """A mutant that has ended, in one line."""
    said = [where(one.kill), *numbers(one.kill)] if one.kill else [one.reason] if one.reason else []
    return Text.assemble(
        (f"{one.outcome:<14} ", STYLES[one.outcome]),
        one.name,
        (f" ({', '.join([*said, f'{one.seconds:.1f} s in all'])})", "dim"),
    )


def where(kill: Kill) -> str:
    """What killed it."""
    return f"{kill.test.rpartition('/')[2]}{', which crashed' * kill.crashed}"


def numbers(kill: Kill) -> Iterator[str]:
    """How fast, and by how long a counterexample."""
    if kill.examples is not None:
        yield f"example {kill.examples:,}"
    if kill.steps is not None:
        yield f"step {kill.steps:,}"
    yield f"after {kill.seconds:.1f} s"
    if kill.size is not None:
        yield f"{kill.size} operations shown"


def show_end(console: Console, results: Mutants, facts: dict[str, str]) -> None:
    """The matrix, what is left, and the verdict last."""
    killed = [one for one in results.mutants if one.kill]
    if killed:
        console.print(matrix(killed))
    for outcome, heading in WHAT_IS_LEFT.items():
        show_left(console, [one for one in results.mutants if one.outcome is outcome], heading, STYLES[outcome])
    console.print(summary(results, facts))


def matrix(killed: Sequence[Mutant]) -> Table:
    """A row for each mutant that was killed, below the property that killed it."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    result.add_column("killed by", ratio=1, overflow="fold")
    for heading in ("examples", "steps", "seconds", "operations"):
        result.add_column(heading, justify="right", no_wrap=True)
    for test in sorted({one.kill.test for one in killed if one.kill}):
        result.add_row(Text(test.removeprefix("properties/"), style="bold"))
        for one in killed:
            if one.kill and one.kill.test == test:
                result.add_row(Text(f"  {one.name}{' (crashed)' * one.kill.crashed}"), *figures(one.kill))
    return result


def figures(kill: Kill) -> Iterator[str]:
    """The other columns."""
    for number in (kill.examples, kill.steps):
        yield "" if number is None else f"{number:,}"
    yield f"{kill.seconds:.1f}"
    yield "" if kill.size is None else f"{kill.size:,}"


def show_left(console: Console, left: Sequence[Mutant], heading: str, style: str) -> None:
    """Mutants that were not killed, with what a developer did wrong."""
    if not left:
        return
    console.print(Text(f"\n{heading}", style=style))
    for one in left:
        words = [one.mistake, one.breaks, f"({one.reason})" if one.reason else ""]
        console.print(Text(f"  {one.name}: {' '.join(filter(None, words))}"), soft_wrap=True)


def summary(results: Mutants, facts: dict[str, str]) -> Table:
    """The last lines."""
    result = Table.grid(padding=(0, 2))
    result.add_row()
    result.add_row("Mutants", results.chosen)
    if results.median_seconds is not None:
        steps = "" if results.median_steps is None else f"{results.median_steps:,.0f} steps, "
        result.add_row("Median", f"{steps}{results.median_seconds:.1f} s to the kill")
    for name, value in facts.items():
        result.add_row(name, Text(value, overflow="fold"))
    style = "green" if results.verdict is Verdict.ALL_KILLED else "bold red"
    told = ", ".join(f"{number} {outcome}" for outcome in Outcome if (number := count(results.mutants, outcome)))
    result.add_row("Verdict", Text.assemble((results.verdict.upper(), style), f": {told}"))
    return result


def count(mutants: Sequence[Mutant], outcome: Outcome) -> int:
    """How many have it."""
    return sum(one.outcome is outcome for one in mutants)
