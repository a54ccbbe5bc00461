"""Planted bugs: how many were found, by area and by property, how fast, and what is left."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.schema.mutants import GENERATED_AREA, Kill, Mutant, Mutants, Outcome, Suite

TARGET_STEPS = 200
"""The median bug is to be found within so many."""

TRIED = (Outcome.KILLED, Outcome.SURVIVED, Outcome.HUNG)
ALIVE = (Outcome.SURVIVED, Outcome.HUNG)
"""What is tried and not killed."""
BY_HAND, GENERATED = ORIGINS = ("hand-written", "generated")

TRIED_WITH = {Suite.PROPERTIES: "properties", Suite.EXAMPLES: "example-based tests"}
"""Suites in words: many of what they consist of."""


@dataclass(frozen=True)
class Group:
    """Mutants that have something in common; there is at least one."""

    name: str
    mutants: tuple[Mutant, ...]

    def of(self, *outcomes: Outcome) -> int:
        """How many ended like that."""
        return sum(one.outcome in outcomes for one in self.mutants)

    @property
    def tried(self) -> int:
        """How many were killed, or might have been: not those that are equivalent, broken or not run."""
        return self.of(*TRIED)

    @property
    def killed(self) -> int:
        """A mutant that hung is none of them."""
        return self.of(Outcome.KILLED)

    @property
    def percent(self) -> float | None:
        """How many of those that were tried were killed; None: none was tried."""
        return 100 * self.killed / self.tried if self.tried else None

    @property
    def kills(self) -> list[Kill]:
        """How they were killed."""
        return [one.kill for one in self.mutants if one.kill]

    @property
    def steps(self) -> list[int]:
        """To each kill that counts them, from the smallest number to the greatest."""
        return sorted(kill.steps for kill in self.kills if kill.steps is not None)

    @property
    def seconds(self) -> list[float]:
        """To each kill, from the smallest number to the greatest."""
        return sorted(kill.seconds for kill in self.kills)

    @property
    def median_steps(self) -> float | None:
        """None: no kill counts steps."""
        return median(self.steps) if self.steps else None

    @property
    def median_seconds(self) -> float | None:
        """None: there is no kill."""
        return median(self.seconds) if self.seconds else None

    @property
    def within_target(self) -> int:
        """How many kills took no more steps than they should."""
        return sum(steps <= TARGET_STEPS for steps in self.steps)

    @property
    def slowest_first(self) -> list[Mutant]:
        """Those that were killed."""
        return [one for one, _ in sorted(killed(self.mutants), key=lambda pair: -pair[1].seconds)]


def everything(mutants: Sequence[Mutant]) -> Group | None:
    """All of them; None if there are none."""
    return Group("all", tuple(mutants)) if mutants else None


def mutants_of(run: Mutants | None) -> tuple[Mutant, ...]:
    """All of them; nothing where there was no such run."""
    return run.mutants if run else ()


def killed(mutants: Iterable[Mutant]) -> list[tuple[Mutant, Kill]]:
    """Those that were, with how."""
    return [(one, one.kill) for one in mutants if one.kill]


def area(one: Mutant) -> str:
    """What it is about, or what it was made of."""
    return one.name.partition("/")[0]


def origin(one: Mutant) -> str:
    """Who made it: one of ``ORIGINS``."""
    return GENERATED if one.name.startswith(GENERATED_AREA) else BY_HAND


def grouped(mutants: Iterable[Mutant], key: Callable[[Mutant], str]) -> list[Group]:
    """Those with the same key together, in the order in which they come."""
    found: dict[str, list[Mutant]] = {}
    for one in mutants:
        found.setdefault(key(one), []).append(one)
    return [Group(name, tuple(some)) for name, some in found.items()]


def origins(mutants: Iterable[Mutant]) -> list[Group]:
    """The mutants by who made them, a person first."""
    return sorted(grouped(mutants, origin), key=lambda group: ORIGINS.index(group.name))


def areas(mutants: Iterable[Mutant]) -> list[Group]:
    """The mutants by area: by name, those that a person made first."""
    return sorted(grouped(mutants, area), key=lambda group: (ORIGINS.index(origin(group.mutants[0])), group.name))


def file_of(kill: Kill) -> str:
    """The file of what killed it, in few words: ``walks/expiry``, or ``sql/token`` of an example."""
    path = kill.test.partition("::")[0].removeprefix("properties/").removeprefix("harness/extension/")
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0].removeprefix("test_")
    return f"{folder}/{stem}" if folder else stem


def killers(mutants: Iterable[Mutant]) -> list[tuple[str, list[Group]]]:
    """What killed which: files, and in each its properties, those that kill most first."""
    by_file: dict[str, dict[str, list[Mutant]]] = {}
    for one, kill in killed(mutants):
        by_file.setdefault(file_of(kill), {}).setdefault(kill.property, []).append(one)
    return [
        (file, sorted((Group(name, tuple(some)) for name, some in found.items()), key=lambda one: -one.killed))
        for file, found in sorted(by_file.items())
    ]


def left(mutants: Iterable[Mutant], *outcomes: Outcome) -> list[Mutant]:
    """Those that ended like that: outcome by outcome, in this order."""
    return sorted((one for one in mutants if one.outcome in outcomes), key=lambda one: outcomes.index(one.outcome))
