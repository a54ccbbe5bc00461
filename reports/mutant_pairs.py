"""The same planted bugs tried twice: with the properties and with example-based tests, or before and after a change."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.schema.mutants import Mutant, Mutants, Outcome, Suite
from reports.mutants import TRIED, TRIED_WITH, area, areas, origin, origins

BEFORE_AND_AFTER = ("before", "after")


@dataclass(frozen=True)
class Pair:
    """A mutant that was tried by both."""

    first: Mutant
    second: Mutant

    @property
    def killed(self) -> tuple[bool, bool]:
        """By the first, by the second."""
        return self.first.outcome is Outcome.KILLED, self.second.outcome is Outcome.KILLED


@dataclass(frozen=True)
class PairsOfArea:
    """The pairs of one area, or of all; there is at least one."""

    name: str
    pairs: tuple[Pair, ...]

    @property
    def killed(self) -> tuple[int, int]:
        """How many the first and the second killed."""
        return sum(one.killed[0] for one in self.pairs), sum(one.killed[1] for one in self.pairs)

    @property
    def percent(self) -> tuple[float, float]:
        """The same, of a hundred."""
        first, second = self.killed
        return 100 * first / len(self.pairs), 100 * second / len(self.pairs)


@dataclass(frozen=True)
class Pairs:
    """Two runs on the same mutants."""

    names: tuple[str, str]
    """What did the killing: ``properties`` and ``example-based tests``, or ``before`` and ``after``."""
    folders: tuple[str, str]
    """Where they were found."""
    pairs: tuple[Pair, ...]
    """Tried by both."""
    left_out: dict[str, int]
    """Why mutants are none of these, and how many."""
    swapped: bool = False
    """The second was given first."""

    @property
    def suites(self) -> bool:
        """Whether these are two suites, and not one that was run twice."""
        return self.names != BEFORE_AND_AFTER

    def only(self, first: bool, second: bool) -> list[Pair]:
        """Those that were killed by the first (or not), and by the second (or not)."""
        return [one for one in self.pairs if one.killed == (first, second)]

    @property
    def differing(self) -> list[tuple[str, list[Pair], bool]]:
        """What only one killed, with its name; and whether to name each: the properties are meant to kill more."""
        first, second = self.names
        return [(second, self.only(False, True), True), (first, self.only(True, False), not self.suites)]

    @property
    def all(self) -> PairsOfArea | None:
        """All of them; None if there are none."""
        return PairsOfArea("all", self.pairs) if self.pairs else None

    @property
    def sums(self) -> list[PairsOfArea]:
        """Of the hand-written ones, of the generated ones, if there are both, and of all."""
        found = [PairsOfArea(group.name, tuple(one for one in self.pairs if origin(one.first) == group.name))
                 for group in origins(one.first for one in self.pairs)]  # fmt: skip
        return [*(found if len(found) > 1 else []), *([self.all] if self.all else [])]

    @property
    def areas(self) -> list[PairsOfArea]:
        """By area, in the order in which a single run shows them."""
        names = [group.name for group in areas(one.first for one in self.pairs)]
        return [PairsOfArea(name, tuple(one for one in self.pairs if area(one.first) == name)) for name in names]


def pairs_of(runs: tuple[Mutants | None, Mutants | None], folders: tuple[str, str]) -> Pairs | None:
    """Two runs side by side, the properties first; None if there are no two."""
    before, after = runs
    if before is None or after is None:
        return None
    swapped = (before.suite, after.suite) == (Suite.EXAMPLES, Suite.PROPERTIES)
    if swapped:
        before, after, folders = after, before, (folders[1], folders[0])
    names = (TRIED_WITH[before.suite], TRIED_WITH[after.suite])
    if before.suite is after.suite:
        names = BEFORE_AND_AFTER
    if folders[0] == folders[1]:
        folders = (f"{folders[0]} ({names[0]})", f"{folders[1]} ({names[1]})")
    first, second = by_name(before.mutants), by_name(after.mutants)
    both = [Pair(one, second[name]) for name, one in first.items() if name in second]
    left_out = Counter(filter(None, (why_not(one, names) for one in both)))
    for folder, some, others in ((folders[0], first, second), (folders[1], second, first)):
        left_out[f"only in {folder}"] += sum(name not in others for name in some)
    tried = tuple(one for one in both if not why_not(one, names))
    return Pairs(names, folders, tried, {why: number for why, number in left_out.items() if number}, swapped)


def which(pairs: Pairs | None) -> tuple[str, str]:
    """What the two folders are called that are compared, in the order in which they were given."""
    if pairs is None or not pairs.suites:
        return BEFORE_AND_AFTER
    return (pairs.names[1], pairs.names[0]) if pairs.swapped else pairs.names


def by_name(mutants: Sequence[Mutant]) -> dict[str, Mutant]:
    """All of them."""
    return {one.name: one for one in mutants}


def why_not(one: Pair, names: tuple[str, str]) -> str:
    """Why a mutant that both have cannot be compared; empty: it can."""
    if one.first.mistake != one.second.mistake:
        return "not the same bug in both, though of the same name"
    ends = [f"{each.outcome} ({name})" for each, name in zip((one.first, one.second), names, strict=True)
            if each.outcome not in TRIED]  # fmt: skip
    same = len(ends) == 2 and one.first.outcome is one.second.outcome
    return f"{one.first.outcome} (both)" if same else ", ".join(ends)
