"""Which backups survive a restart: by design, by the kind of restart, and by what stop or the restore said of them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.schema.campaign import SurvivalCase

WHOLE, REFUSED, BROKEN = FATES = ("restored whole", "stop said no", "copy not restored")
"""What becomes of a backup: its copy is restored whole, or stop hands nothing out, or the copy is not restored, or not
whole."""

NONE, SEVERAL = "no restart", "several kinds"
KINDS = (
    NONE,
    "fast shutdown",
    "immediate shutdown",
    "postmaster killed",
    "backend killed",
    "power cut",
    "promotion",
    SEVERAL,
)
"""The order of the columns; kinds that are not known here come last."""

DURABLE, STANDBY = "durable", "standby"
DESIGNS = {
    "stock": "core's own functions",
    "shared": "shared memory",
    "catalogue": "shared memory and a catalogue table",
    DURABLE: "durable backups",
    STANDBY: "durable backups of a standby",
}
"""In words, and in order; others come last, under their own names."""

MOST_SAID = 3
"""So many different words of servers are quoted for a row."""


@dataclass(frozen=True)
class End:
    """What became of backups."""

    survival_case: SurvivalCase
    said: str
    """By the restored server, or by stop; empty: the copy was restored whole."""
    number: int = 1
    sqlstate: str = ""
    """Of stop; empty: it said yes."""

    @property
    def fate(self) -> str:
        """One of ``FATES``."""
        return REFUSED if self.sqlstate else BROKEN if self.said else WHOLE

    @property
    def kind(self) -> str:
        """The column that it belongs to."""
        across = self.survival_case.across
        return SEVERAL if len(across) > 1 else across[0] if across else NONE


@dataclass(frozen=True)
class Row:
    """Backups of one design that share what was wrong with them; there is at least one."""

    design: str
    but: str
    ends: tuple[End, ...]

    @property
    def name(self) -> str:
        """In the report; durable backups go without saying where something was wrong."""
        design = DESIGNS.get(self.design, self.design)
        return design if not self.but else self.but if self.design in (DURABLE, STANDBY) else f"{design}, {self.but}"

    def cell(self, kind: str) -> dict[str, int]:
        """How often which fate followed that kind of restart."""
        return counted(one for one in self.ends if one.kind == kind)

    @property
    def fates(self) -> dict[str, int]:
        """After restarts of any kind."""
        return counted(self.ends)

    @property
    def said(self) -> list[tuple[str, str]]:
        """The different words, with the fate; the most frequent first."""
        found: Counter[tuple[str, str]] = Counter()
        example: dict[tuple[str, str], str] = {}
        for one in self.ends:
            if one.said:
                key = one.fate, shape(one.said)
                found[key] += one.number
                example.setdefault(key, one.said)
        in_order = sorted(found, key=lambda key: (-found[key], FATES.index(key[0])))
        return [(key[0], example[key]) for key in in_order[:MOST_SAID]]


@dataclass(frozen=True)
class Part:
    """A part of the answer."""

    name: str
    title: str
    note: str
    """How to read it."""
    rows: list[Row]


HAND_MADE = "Where there is a copy, too, its files were made by hand, to see what stop saved it from."
OTHERWISE = "Stop had handed these copies out; only the restore was done otherwise than it should be."


@dataclass(frozen=True)
class Reason:
    """Why stops were refused, for one reason of one design."""

    design: str
    sqlstate: str
    reason: str
    ends: tuple[End, ...]

    @property
    def refused(self) -> int:
        """How many stops."""
        return sum(one.number for one in self.ends)

    @property
    def after(self) -> list[str]:
        """What had been wrong; where nothing was, the restart by itself."""
        return sorted({one.survival_case.but or f"a restart ({one.kind})" for one in self.ends})


def counted(ends: Iterable[End]) -> dict[str, int]:
    """How often which fate, in the order of ``FATES``; none that there was not."""
    found: Counter[str] = Counter()
    for one in ends:
        found[one.fate] += one.number
    return {fate: found[fate] for fate in FATES if found[fate]}


def shape(said: str) -> str:
    """Words without their numbers: times, locations, files and blocks differ from one run to the next."""
    return re.sub(r"\b[0-9A-F]*[0-9][0-9A-F/]*\b", "#", said)


def place(design: str) -> tuple[int, str]:
    """Where a design comes."""
    return (list(DESIGNS).index(design) if design in DESIGNS else len(DESIGNS)), design


def rows(ends: Iterable[End]) -> list[Row]:
    """The ends by design, and by what was wrong."""
    found: dict[tuple[str, str], list[End]] = {}
    for one in ends:
        found.setdefault((one.survival_case.design, one.survival_case.but), []).append(one)
    in_order = sorted(found.items(), key=lambda item: (place(item[0][0]), item[0][1]))
    return [Row(design, but, tuple(some)) for (design, but), some in in_order]


def parts(ends: Sequence[End]) -> list[Part]:
    """The parts of the answer, without those that are empty."""
    found = rows(ends)
    wrong = [row for row in found if row.but]
    alone = [row for row in found if not row.but]
    down = sorted((row for row in wrong if REFUSED in row.fates), key=lambda row: (place(row.design), row.said))
    handed_out = [row for row in wrong if REFUSED not in row.fates]
    every = (
        Part(
            "survival", "Which backups survive a restart?", "Where stop said no, there was nothing to restore.", alone
        ),
        Part("survival-refused", "What stop refuses, and why", HAND_MADE, down),
        Part("survival-controls", "Good copies that were restored wrongly", OTHERWISE, handed_out),
    )
    return [part for part in every if part.rows]


def kinds(found: Iterable[Row]) -> list[str]:
    """The columns that these rows need."""
    there = {end.kind for row in found for end in row.ends}
    return [*(kind for kind in KINDS if kind in there), *sorted(there - set(KINDS))]


def reasons(ends: Iterable[End]) -> list[Reason]:
    """Why stops were refused, by design, the most frequent first."""
    found: dict[tuple[str, str, str], list[End]] = {}
    for one in ends:
        if one.fate == REFUSED:
            found.setdefault((one.survival_case.design, one.sqlstate, shape(one.said)), []).append(one)
    every = [Reason(design, sqlstate, some[0].said, tuple(some)) for (design, sqlstate, _), some in found.items()]
    return sorted(every, key=lambda one: (place(one.design), -one.refused, one.reason))
