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
    """How many of the same mutants each killed, and which only one did that should not be the only one."""
    if pairs is None:
        return
    yield f"**Planted bugs**: {words.pairs_told(pairs)} {words.left_out_told(pairs)}".rstrip()
    for name, some, to_name in pairs.differing:
        told = f"Killed only {'by ' * pairs.suites}{name}: {len(some) or 'none'}"
        yield f"{told}\n\n{named([one.first for one in some])}" if some and to_name else f"{told}."


def speed(told: str) -> str:
    """Behind a rate."""
    return f", {told}" if told else ""


def named(mutants: list[Mutant]) -> str:
    """A line for each of the first, with what a developer did wrong, or why it was not tried."""
    lines = [f"- {words.one_line(one)}" for one in mutants[:MOST_NAMED]]
    more = len(mutants) - len(lines)
    return "\n".join([*lines, *([f"- and {more:,} more"] if more else [])])
