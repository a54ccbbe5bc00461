"""The matrix of promises and designs, and the steps of counterexamples in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.schema.exploration import (
    Backup,
    Counterexample,
    Exploration,
    Explored,
    Judgement,
    Promise,
    Session,
    State,
    Step,
    Verdict,
)

SIGNS = {Verdict.HOLDS: "✓", Verdict.UNCLAIMED: "✓", Verdict.NO: "✗", Verdict.BROKEN: "✗"}
TOLD = {
    Verdict.HOLDS: "claimed and kept",
    Verdict.UNCLAIMED: "kept, and not claimed",
    Verdict.NO: "broken, and not claimed",
    Verdict.BROKEN: "claimed and broken",
}
"""Verdicts in words."""

LEFT_OUT = ("fast", "wait_for_archive", "session")
"""Arguments that no rule looks at, or that are told otherwise."""
NAMES = {
    "StockStart": "pg_backup_start",
    "StockStop": "pg_backup_stop",
    "ListBackups": "read the view",
    "Advance": "time passes:",
    "Rollback": "start, rolled back:",
}
"""Operations in words that their names do not tell."""
CUTS = {"Cancel": "is cancelled", "Lose": "is lost"}


@dataclass(frozen=True)
class Cell:
    """How a design stands to a promise."""

    judgement: Judgement
    partial: bool
    """Not every situation of the design was reached."""

    @property
    def verdict(self) -> Verdict:
        """See ``Judgement``."""
        return self.judgement.verdict

    @property
    def broken(self) -> bool:
        """Is there a counterexample?"""
        return self.judgement.counterexample is not None

    @property
    def so_far(self) -> bool:
        """Is it kept only as far as was looked?"""
        return self.partial and not self.broken

    @property
    def words(self) -> str:
        """The verdict, with care if not everything was seen."""
        return TOLD[self.verdict] + (", as far as was looked" if self.so_far else "")

    @property
    def anchor(self) -> str:
        """Where its counterexample is on the page."""
        return anchor(self.judgement.design, self.judgement.promise)


@dataclass(frozen=True)
class Row:
    """A promise, beside every design."""

    promise: Promise
    cells: tuple[Cell, ...]

    @property
    def title(self) -> str:
        """Its name as words."""
        return self.promise.name.replace("_", " ")

    @property
    def broken(self) -> list[Cell]:
        """The designs that break it."""
        return [cell for cell in self.cells if cell.broken]


def anchor(design: str, promise: str) -> str:
    """The name of a place on the page."""
    return f"{design}.{promise}".replace(" ", "-").replace("=", "-")


def rows(exploration: Exploration) -> list[Row]:
    """All promises."""
    whole = {one.design for one in exploration.explored} - {
        one.design for one in exploration.explored if not one.complete
    }
    partial = {design.name for design in exploration.designs} - whole
    found = {(one.promise, one.design): Cell(one, one.design in partial) for one in exploration.judgements}
    return [
        Row(promise, tuple(found[promise.name, design.name] for design in exploration.designs))
        for promise in exploration.promises
    ]


def rate(one: Explored) -> float | None:
    """Transitions per second; None: it took no time."""
    return one.transitions / one.seconds if one.seconds else None


def differing_axes(exploration: Exploration) -> list[str]:
    """The axes in which the designs are not all the same."""
    names = dict.fromkeys(name for design in exploration.designs for name in design.axes)
    return [name for name in names if len({design.axes.get(name) for design in exploration.designs}) > 1]


# Steps


def who(step: Step) -> str:
    """Who does it."""
    return "" if step.session is None else f"session {step.session}"


def doing(step: Step) -> str:
    """What is done, in words: ``start a, ttl 10``."""
    if step.operation in CUTS:
        return CUTS[step.operation]
    values = ", ".join(given(step))
    return f"{NAMES.get(step.operation, spaced(step.operation))} {values}".strip()


def spaced(name: str) -> str:
    """``SetLimit`` as ``set limit``."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def given(step: Step) -> Iterator[str]:
    """The arguments that matter."""
    start = step.arguments.get("start")
    every = {**step.arguments, **(start if isinstance(start, dict) else {})}
    for name, value in every.items():
        if isinstance(value, dict) or name in LEFT_OUT:
            continue
        if name in ("label", "role", "kind", "group"):
            yield "NULL" if value is None else str(value)
        elif name == "hazard" and value is not None:
            yield str(value)
        elif name == "seconds":
            yield f"{value} s"
        elif name == "start_point" and value is not None:
            yield "fenced by a stale start" if value == 0 else f"fenced by start {value}"
        elif name == "ttl" and value is not None:
            yield f"ttl {value} s"
        elif step.operation.startswith("Set"):
            yield "none" if value is None else str(value)


def under_way(step: Step) -> bool:
    """Is its operation not at its end?"""
    return step.outcome == "..."


def in_words(state: State) -> str:
    """A situation in a line."""
    amid = [f"session {number} amid {words}" for number, one in enumerate(state.sessions) if (words := amid_of(one))]
    return "; ".join([there_is(state), *amid])


def there_is(state: State) -> str:
    """The same without what is under way."""
    backups = [backup_in_words(one, state.now) for one in state.backups]
    held = [
        f"session {number} holds core's backup {one.stock}" for number, one in enumerate(state.sessions) if one.stock
    ]
    return "; ".join([*(backups or ["no label"]), *held, f"core counts {state.core}"])


def backup_in_words(one: Backup, now: int) -> str:
    """``a is active, start 1, until 10 s from now``."""
    parts = [f"{one.label} is {one.state}"]
    if one.start_point:
        parts.append(f"start {one.start_point}")
    if one.expires_at is not None and one.state == "active":
        parts.append(f"expires in {one.expires_at - now} s")
    if one.carried:
        parts.append("carried over a restart")
    if not one.restorable:
        parts.append("cannot be restored")
    return ", ".join(parts)


def amid_of(one: Session) -> str:
    """What a session is in the middle of; empty: nothing."""
    return f"{spaced(one.amid)} {one.on}, next: {one.next_phase}" if one.amid else ""


def sessions_of(found: Counterexample) -> list[int]:
    """The sessions that it is about, and those that are needed to tell it."""
    used = {step.session for step in found.steps if step.session is not None}
    return sorted(used)


def shortest_first(cells: Sequence[Cell]) -> list[Cell]:
    """Those that are broken, the shortest counterexample first."""
    return sorted(
        (cell for cell in cells if cell.judgement.counterexample),
        key=lambda cell: len(cell.judgement.counterexample.steps) if cell.judgement.counterexample else 0,
    )
