"""``python -m properties.concurrency.linearize FILE``: is the concurrent history in a file explained by the model?

A crowd's history is saved when nothing explains it; ``properties/concurrency/histories/`` has others, and
``properties/concurrency/recorded.py`` says how one is written. Exits 0 if it is explained, 1 if it is not, 2 if the
file is no history or the budget did not suffice to find out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.clients.history import describe
from model.linearizability.linearize import (
    UNTIL_UNDECIDED,
    Call,
    Explained,
    Step,
    Undecided,
    Unexplained,
    Window,
    linearize,
)
from model.operations import Operation
from model.outcomes import BackupRow, Ok, Outcome
from model.state import Cluster
from model.transition import view
from properties.concurrency.recorded import NotAHistoryError, Recorded, read

EXPLAINED, UNEXPLAINED, NOT_KNOWN = range(3)

Words = Mapping[tuple[float, Operation], str]
"""What there is to say of an operation, by the moment of its invocation."""

MOST_SHOWN = 40
"""Lines of a window that no interleaving explains; all of it is in the saved history."""

MOST_STATES = 3
"""In which it may begin, that are told."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks a history and says what came of it; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m properties.concurrency.linearize", description="Is a concurrent history explained by the model?"
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a saved history, as JSON lines")
    parser.add_argument(
        "--budget", type=int, default=UNTIL_UNDECIDED, help="configurations to look at (default: %(default)s)"
    )
    parser.add_argument("--witness", action="store_true", help="print the schedule that explains it")
    chosen = parser.parse_args(arguments)
    try:
        history = read(chosen.file.read_text(encoding="utf-8"))
    except OSError as error:
        print(f"{chosen.file} cannot be read: {error.strerror}.", file=sys.stderr)
        return NOT_KNOWN
    except (NotAHistoryError, UnicodeDecodeError) as error:
        print(f"{chosen.file} is not a history: {error}.", file=sys.stderr)
        return NOT_KNOWN
    return check(history, chosen.budget, witness=chosen.witness)


def check(history: Recorded, budget: int, *, witness: bool) -> int:
    """Says whether a history is explained; returns the exit status."""
    match linearize(history.design, history.first, history.calls, budget):
        case Explained(steps):
            print(f"Explained: {len(history.calls)} operations, by a schedule of {len(steps)} phases.")
            for step in steps if witness else ():
                print(f"  {step_in_words(step)}")
            return EXPLAINED
        case Unexplained(window):
            words = {(call.invoked, call.operation): in_words(call) for call in history.calls}
            print(f"No interleaving explains these operations:\n{told(window, words)}")
            return UNEXPLAINED
        case Undecided():
            print(f"Undecided: {budget} configurations did not suffice to find out. A larger --budget may.")
            return NOT_KNOWN


def step_in_words(step: Step) -> str:
    """A step of a schedule."""
    return f"{f'phase {step.phase}' if step.phase else 'given up':9} {in_words(step.call)}"


# A window


def told(window: Window, words: Words) -> str:
    """A window, one operation a line, with the milliseconds from its beginning to its end."""
    begin = min(call.invoked for call in (*window.calls, *window.others))

    def line(call: Call) -> str:
        end = f"{(call.completed - begin) * 1000:.3f}" if call.completed is not None else "?"
        return f"{(call.invoked - begin) * 1000:9.3f} to {end:>9} ms  {words[call.invoked, call.operation]}"

    parts = [cut(map(line, window.calls))]
    if window.others:
        parts += ["beside these, whatever came of them:", cut(map(line, window.others))]
    return "\n".join([*parts, f"it begins with: {began(window.before)}"])


def cut(lines: Iterable[str]) -> str:
    """So many lines, the last ones."""
    lines = list(lines)
    shown = [f"({len(lines) - MOST_SHOWN} more before)"] if len(lines) > MOST_SHOWN else []
    return "\n".join([*shown, *lines[-MOST_SHOWN:]])


def in_words(call: Call) -> str:
    """An operation, and what came of it."""
    session = getattr(call.operation, "session", None)
    who = "" if session is None else f"session {session}: "
    return f"{who}{call.operation}: {came_of(call.outcome)}"


def came_of(outcome: Outcome | None) -> str:
    """An outcome in one line; the view as what it shows of each label."""
    match outcome:
        case None:
            return "not known"
        case Ok(tuple() as rows):
            return f"ok, shows {', '.join(map(row_in_words, rows)) or 'nothing'}"
        case _:
            return describe(outcome)


def row_in_words(row: BackupRow) -> str:
    """A row of the view, without what it leaves open."""
    parts = {"": row.state, "by": row.owner, "from": row.start_point, "started": row.start_time}
    parts |= {"expires": row.expires_at, "stopped": row.stop_time}
    said = " ".join(f"{name} {value}".strip() for name, value in parts.items() if value is not None)
    return f"{row.label!r} {said}"


def began(states: Sequence[Cluster]) -> str:
    """The states that a window may begin in, in words."""
    backups = ((", ".join(map(row_in_words, view(one))), one.now) for one in states)
    told = [*dict.fromkeys(f"{rows or 'no backup'} (clock: {now})" for rows, now in backups)]
    others = [f"one of {len(told) - MOST_STATES} others"] if len(told) > MOST_STATES else []
    return "; or ".join([*told[:MOST_STATES], *others])


if __name__ == "__main__":
    sys.exit(main())
