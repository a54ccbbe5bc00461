"""Restores as ``results.json`` tells of them: what became of the backups that a campaign tried to restore."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from reports.reading import count, field, field_or, flag, number, optional, text
from reports.survival import SurvivalCase, read_survival_case

WHOLE, REFUSED, AGAINST = "restored whole", "refused as expected", "against the model"
OUTCOMES = (WHOLE, REFUSED, AGAINST)

MOST_SAID = 3
"""So many different words of the server are quoted for a scenario."""


@dataclass(frozen=True)
class Restore:
    """One attempt to restore a backup."""

    scenario: str
    restorable: bool
    """What the model says."""
    said: str
    """Why it was refused or is not whole, in the server's own words where it has any; empty: it was restored whole."""
    torn_pages: int
    """Of the copy."""
    seconds: float
    as_expected: bool
    survival_case: SurvivalCase | None = None
    """What the backup went through; None: that was not asked, or not yet in results of that time."""

    @property
    def outcome(self) -> str:
        """One of ``OUTCOMES``."""
        return AGAINST if not self.as_expected else WHOLE if self.restorable else REFUSED


@dataclass(frozen=True)
class Scenario:
    """The restores of one scenario, or all of them; there is at least one."""

    name: str
    restores: tuple[Restore, ...]

    def of(self, outcome: str) -> int:
        """How many came out like that."""
        return sum(one.outcome == outcome for one in self.restores)

    @property
    def outcomes(self) -> list[str]:
        """Those that there are."""
        return [outcome for outcome in OUTCOMES if self.of(outcome)]

    @property
    def torn_pages(self) -> int:
        """Survived: in the copies that were restored whole."""
        return sum(one.torn_pages for one in self.restores if one.outcome == WHOLE)

    @property
    def seconds(self) -> list[float]:
        """From the shortest to the longest."""
        return sorted(one.seconds for one in self.restores)

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    @property
    def longest(self) -> float:
        """Seconds."""
        return self.seconds[-1]

    @property
    def said(self) -> list[str]:
        """The different words of the server, the longest first."""
        return sorted({one.said for one in self.restores if one.said}, key=lambda said: (-len(said), said))[:MOST_SAID]


def scenarios(restores: Iterable[Restore]) -> list[Scenario]:
    """The restores by scenario: by name, those that the model calls restorable first."""
    found: dict[str, list[Restore]] = {}
    for one in restores:
        found.setdefault(one.scenario, []).append(one)
    in_order = sorted(found.items(), key=lambda item: (not any(one.restorable for one in item[1]), item[0]))
    return [Scenario(name, tuple(some)) for name, some in in_order]


def together(restores: Sequence[Restore]) -> Scenario | None:
    """All of them; None if there are none."""
    return Scenario("all", tuple(restores)) if restores else None


def read_restore(data: object) -> Restore:
    """One of a property's restores; raises Foreign."""
    return Restore(
        scenario=field(data, "scenario", text),
        restorable=field(data, "restorable", flag),
        said=field(data, "said", text),
        torn_pages=field(data, "torn_pages", count),
        seconds=field(data, "seconds", number),
        as_expected=field(data, "as_expected", flag),
        survival_case=field_or(data, "survival_case", optional(read_survival_case), None),
    )
