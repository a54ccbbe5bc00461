"""The matrix of properties and versions: in which parts it is shown, and where each cell leads."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from harness.schema.campaign import Verdict
from harness.schema.versions import Compared, Standing, Versions
from reports.campaign import anchor

TITLES = {
    Standing.DIFFERS: "Holds on one, and not on another",
    Standing.UNCHECKED: "Holds on one, and was not checked on another",
    Standing.NOWHERE: "Holds on none",
    Standing.PARTLY: "Skipped on one, or not there",
    Standing.AGREES: "The same on all",
}
"""The parts of the matrix, in their order."""
ALARMING = (Standing.DIFFERS, Standing.UNCHECKED, Standing.NOWHERE)
SIGNS = {
    Verdict.HOLDS: "✓",
    Verdict.FAILS: "✗",
    Verdict.CRASHED: "!",
    Verdict.SKIPPED: "–",  # noqa: RUF001
    Verdict.NOT_CHECKED: "!",
    Verdict.INTERRUPTED: "…",
    Verdict.NOT_RUN: "…",
}
NOT_THERE = "not there"


@dataclass(frozen=True)
class Cell:
    """What became of a property on a version."""

    version: str
    verdict: Verdict | None
    """None: there is no such property."""
    reason: str
    link: str
    """Where the failure is, on the page of that version; empty: it holds, or there is no such page."""

    @property
    def words(self) -> str:
        """The verdict."""
        return self.verdict or NOT_THERE

    @property
    def sign(self) -> str:
        """The same as one letter."""
        return SIGNS[self.verdict] if self.verdict else "·"


@dataclass(frozen=True)
class Row:
    """A property beside every version that was run; or all cases of a sentence, if they are the same."""

    group: str
    title: str
    cells: tuple[Cell, ...]

    @property
    def reasons(self) -> dict[str, str]:
        """Why it does not hold, each reason once, by the versions that have it."""
        found: dict[str, list[str]] = {}
        for cell in self.cells:
            if cell.reason:
                found.setdefault(cell.reason, []).append(cell.version)
        return {", ".join(versions): reason for reason, versions in found.items()}


@dataclass(frozen=True)
class Part:
    """The properties that stand alike."""

    standing: Standing
    rows: tuple[Row, ...]
    number: int
    """Of properties."""

    @property
    def title(self) -> str:
        """What they have in common."""
        return TITLES[self.standing]

    @property
    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows by what they are about, in their order: what fails comes before what crashed."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.group, []).append(row)
        return list(found.items())

    @property
    def alarming(self) -> bool:
        """Is it no matter of what a version has?"""
        return self.standing in ALARMING


def parts(results: Versions, pages: Mapping[str, Path], output: Path) -> list[Part]:
    """The matrix, for a page in the folder ``output``; ``pages``: of the versions, by name."""
    links = {name: quote(os.path.relpath(page, output)) for name, page in pages.items()}
    found = ((standing, results.that(standing)) for standing in TITLES)
    return [Part(standing, tuple(rows(some, results, links)), len(some)) for standing, some in found if some]


def rows(some: list[Compared], results: Versions, links: Mapping[str, str]) -> Iterator[Row]:
    """Each property; cases of a sentence that are the same on all versions share one."""
    together: dict[tuple[str, str, tuple[Cell, ...]], list[Compared]] = {}
    for one in some:
        cells = tuple(cell(one, version.name, links) for version in results.ran)
        together.setdefault((one.group, one.sentence, cells), []).append(one)
    for (group, sentence, cells), cases in together.items():
        yield Row(group, cases[0].name if len(cases) == 1 else f"{sentence} ({len(cases)} cases)", cells)


def cell(one: Compared, version: str, links: Mapping[str, str]) -> Cell:
    """What became of a property on a version."""
    verdict = one.verdicts.get(version)
    bad = verdict in (Verdict.FAILS, Verdict.CRASHED, Verdict.NOT_CHECKED, Verdict.INTERRUPTED)
    link = f"{links[version]}#{anchor(one.test)}" if bad and version in links else ""
    return Cell(version, verdict, one.reasons.get(version, ""), link)
