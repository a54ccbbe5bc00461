"""Does the tester's output say what the model says? Of each operation, and of each look at the view."""

import re
from collections.abc import Iterator, Sequence

from model.operations import Renew, Start, StockStart, Stop
from model.outcomes import BackupRow, Failed, Ok, StopRow
from properties.installcheck.histories import Foretold
from properties.installcheck.statements import PREFIX
from properties.installcheck.steps import CHECKPOINT, VIEW, Taken
from properties.installcheck.writing import ROLE_PREFIX, Spec

Row = tuple[str, ...]
"""What the tester shows of a row."""


def disagreements(spec: Spec, output: str) -> Iterator[str]:
    """Where the output is not what the model says, in words."""
    _, *blocks = output.split("\nstarting permutation: ")
    if len(blocks) != len(spec.permutations):
        yield f"it has {len(blocks)} permutations, not {len(spec.permutations)}"
        return
    for number, (permutation, block) in enumerate(zip(spec.permutations, blocks, strict=True), start=1):
        for taken, said in in_order(permutation, block):
            if taken.told is not None and (flaw := flaw_of(taken, taken.told, said)):
                yield f"permutation {number}, {taken.step.name}: {flaw}"


def in_order(permutation: Sequence[Taken], block: str) -> Iterator[tuple[Taken, str]]:
    """The steps, each with what was said when it ended; of a checkpoint, when the start ended that it let go."""
    _, *pieces = re.split(r"^step (\w+): ", block, flags=re.MULTILINE)
    said = list(zip(pieces[::2], pieces[1::2], strict=True))
    for taken in permutation:
        name, text = said.pop(0)
        assert name == taken.step.name, f"{name} comes in place of {taken.step.name}"
        if taken.step.name == CHECKPOINT:
            name, text = said.pop(0)
            assert f"({name})" == taken.marker, f"{name} is over, and not {taken.marker}"
            assert said.pop(0)[0] == CHECKPOINT
        yield taken, text


def flaw_of(taken: Taken, told: Foretold, said: str) -> str:
    """What is wrong with a step, in words; empty: nothing is."""
    if taken.step.name == VIEW:
        wanted = [row_of(row) for row in told.rows]
    elif isinstance(told.outcome, Failed):
        return "" if "ERROR: " in said else f"it should fail with {told.outcome.sqlstate.name}"
    elif "ERROR: " in said:
        return "it should not fail"
    else:
        wanted = answer(told)
        if not wanted:
            return ""
    found = rows_in(said)
    return "" if found == wanted else f"it shows {found}, and should show {wanted}"


def row_of(row: BackupRow) -> Row:
    """A row of the view."""
    start = shown(row.start_point)
    owner = ROLE_PREFIX + str(row.owner)
    return PREFIX + row.label, row.state, owner, start, "f" if start else "t", shown(row.expires_at)


def answer(told: Foretold) -> list[Row]:
    """What an operation returns that has succeeded; nothing, if that is always the same."""
    assert isinstance(told.outcome, Ok)
    match told.move.operation, told.outcome.value:
        case Stop(), StopRow(repeated=repeated, start_point=start):
            return [("t" if repeated else "f", shown(start))]
        case Start() | StockStart() | Renew(), int() | None as number:
            return [(shown(number),)]
        case _:
            return []


def shown(number: int | None) -> str:
    """A number; empty: null."""
    return "" if number is None else str(number)


def rows_in(said: str) -> list[Row]:
    """The rows of a table."""
    table = re.search(r"^[-+]+\n(.*?)^\(\d+ rows?\)$", said, re.MULTILINE | re.DOTALL)
    return [tuple(cell.strip() for cell in line.split("|")) for line in table[1].splitlines()] if table else []
