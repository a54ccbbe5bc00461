"""Restores: what became of the backups that a campaign tried to restore."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.schema.campaign import Restore

WHOLE, REFUSED, AGAINST = "restored whole", "refused as expected", "against the model"
OUTCOMES = (WHOLE, REFUSED, AGAINST)

MOST_SAID = 3
"""So many different words of the server are quoted for a scenario."""


def outcome(one: Restore) -> str:
    """One of ``OUTCOMES``."""
    return AGAINST if not one.as_expected else WHOLE if one.restorable else REFUSED


@dataclass(frozen=True)
class Scenario:
    """The restores of one scenario, or all of them; there is at least one."""

    name: str
    restores: tuple[Restore, ...]

    def of(self, wanted: str) -> int:
        """How many came out like that."""
        return sum(outcome(one) == wanted for one in self.restores)

    @property
    def outcomes(self) -> list[str]:
        """Those that there are."""
        return [one for one in OUTCOMES if self.of(one)]

    @property
    def torn_pages(self) -> int:
        """Survived: in the copies that were restored whole."""
        return sum(one.torn_pages for one in self.restores if outcome(one) == WHOLE)

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
    return sorted_into(restores, lambda scenario: scenario)


def groups(restores: Iterable[Restore]) -> list[Scenario]:
    """The restores by what their scenarios have in common: few enough for a figure."""
    return sorted_into(restores, group_of)


def sorted_into(restores: Iterable[Restore], name: Callable[[str], str]) -> list[Scenario]:
    """The restores by the name that is given to their scenarios."""
    found: dict[str, list[Restore]] = {}
    for one in restores:
        found.setdefault(name(one.scenario), []).append(one)
    in_order = sorted(found.items(), key=lambda item: (not any(one.restorable for one in item[1]), item[0]))
    return [Scenario(name, tuple(some)) for name, some in in_order]


def group_of(scenario: str) -> str:
    """What comes before its first colon; else its name without parentheses, up to the second comma."""
    kind, colon, rest = scenario.partition(": ")
    if colon:
        return f"{kind}: {rest.partition(', ')[0]}" if kind == "control" and rest.startswith("durable") else kind
    return ", ".join(re.sub(r" \([^)]*\)", "", scenario).split(", ")[:2])


def together(restores: Sequence[Restore]) -> Scenario | None:
    """All of them; None if there are none."""
    return Scenario("all", tuple(restores)) if restores else None
