"""What the summary says of planted bugs: the rates, how fast, and every one that nothing killed."""

from collections.abc import Iterator

from harness.schema.mutants import Mutant, Mutants, Outcome
from reports import words
from reports.mutant_pairs import Pairs
from reports.mutants import ALIVE, TRIED, TRIED_WITH, everything, left, origins

MOST_NAMED = 20
"""So many mutants of a kind are named."""


def of_mutants(run: Mutants | None) -> Iterator[str]:
    """How many were killed, and how fast; those that nothing killed, and those that could not be tried."""
    found = everything(run.mutants) if run else None
    if run is None or found is None:
        return
    yield f"**Mutants: {run.verdict}** by the {TRIED_WITH[run.suite]} ({run.chosen}; profile {run.profile})."
    lines = [f"- {one.name}: {words.kill_rate(one)}{speed(words.kill_speed(one))}" for one in origins(run.mutants)]
    if found.steps:
        lines.append(f"- {words.within_target(found)}")
    if untold := [f"{found.of(one):,} {one}" for one in Outcome if one not in TRIED and found.of(one)]:
        lines.append(f"- not counted: {', '.join(untold)}")
    yield "\n".join(lines)
    if alive := left(run.mutants, *ALIVE):
        yield "Nothing killed:\n\n" + named(alive)
    if broken := left(run.mutants, Outcome.BROKEN, Outcome.STALE):
        yield "Could not be tried:\n\n" + named(broken)


def of_pairs(pairs: Pairs | None) -> Iterator[str]:
    """How many of the same mutants each killed, and what the second alone killed."""
    if pairs is None:
        return
    first, second = pairs.names
    if pairs.all:
        ours, theirs = pairs.all.killed
        yield (
            f"**Mutants**: of {len(pairs.pairs):,} that were tried by both, {first} killed {ours:,} "
            f"({words.percent(pairs.all.percent[0])}), {second} {theirs:,} ({words.percent(pairs.all.percent[1])})."
        )
        alone = [one.first for one in pairs.only(False, True)]
        yield f"Killed by {second} alone: " + (f"{len(alone):,}\n\n{named(alone)}" if alone else "none.")
    else:
        yield "**Mutants**: none was tried by both."
    if pairs.left_out:
        yield f"Left out: {words.why_left_out(pairs.left_out)}."


def speed(told: str) -> str:
    """Behind a rate."""
    return f", {told}" if told else ""


def named(mutants: list[Mutant]) -> str:
    """A line for each of the first, with what a developer did wrong, or why it was not tried."""
    lines = [f"- {words.one_line(one)}" for one in mutants[:MOST_NAMED]]
    more = len(mutants) - len(lines)
    return "\n".join([*lines, *([f"- and {more:,} more"] if more else [])])
