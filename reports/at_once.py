"""Operations at once: faults that struck, orders replayed, histories linearized."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.schema.campaign import NO_POINT, Injections, Interleavings, Linearized

MOST_NAMED = 12
"""So many points that were not survived are named."""


@dataclass(frozen=True)
class Fault:
    """All injections of one fault, or of all."""

    name: str
    injections: tuple[Injections, ...]

    @property
    def injected(self) -> int:
        return sum(one.injected for one in self.injections)

    @property
    def survived(self) -> int:
        return sum(one.survived for one in self.injections)

    @property
    def where(self) -> str:
        """How often it struck which operation: ``start 8, stop 4, any moment 3``."""
        found: Counter[str] = Counter()
        for one in self.injections:
            found[kind_of(one.point)] += one.injected
        return ", ".join(f"{kind} {number:,}" for kind, number in found.items())

    @property
    def points(self) -> list[str]:
        """The points at which it struck."""
        return list(dict.fromkeys(one.point for one in self.injections))

    @property
    def told(self) -> str:
        """What callers were told, and how often: ``ok 8, 57014 4``."""
        found: Counter[str] = Counter()
        for one in self.injections:
            found.update(one.told)
        return ", ".join(f"{end} {number:,}" for end, number in found.most_common())

    @property
    def lost(self) -> list[str]:
        """The points that were not survived, with numbers."""
        lost = [(one.point, one.injected - one.survived) for one in self.injections if one.survived < one.injected]
        names = [f"{point} ({number:,})" if number > 1 else point for point, number in lost]
        return names if len(names) <= MOST_NAMED else [*names[:MOST_NAMED], f"and {len(names) - MOST_NAMED:,} more"]


@dataclass(frozen=True)
class Orders:
    """The orders that were replayed of some operations, or of all."""

    name: str
    found: tuple[Interleavings, ...]

    def about(self, labels: int) -> int:
        """Those about so many labels."""
        return sum(one.replayed for one in self.found if one.labels == labels)

    def under(self, limit: int) -> int:
        """Those under that limit on live backups."""
        return sum(one.replayed for one in self.found if one.limit == limit)

    @property
    def replayed(self) -> int:
        return sum(one.replayed for one in self.found)


@dataclass(frozen=True)
class Histories:
    """The histories that a property had linearized, or all; there is at least one."""

    name: str
    found: tuple[Linearized, ...]

    def of(self, answer: str) -> int:
        """How often that was the answer."""
        return sum(one.answer == answer for one in self.found)

    @property
    def operations(self) -> int:
        return sum(one.operations for one in self.found)

    @property
    def unknown(self) -> int:
        """Operations of unknown outcome."""
        return sum(one.unknown for one in self.found)

    @property
    def longest(self) -> Linearized:
        return max(self.found, key=lambda one: (one.operations, one.sessions))

    @property
    def sessions(self) -> int:
        """At most."""
        return max(one.sessions for one in self.found)


def kind_of(point: str) -> str:
    """The operation that a point belongs to: the points of a start are called ``start-...``."""
    return point if point == NO_POINT else point.partition("-")[0]


def faults(injections: Iterable[Injections]) -> list[Fault]:
    """One of each name, in the order in which they came."""
    found: dict[str, list[Injections]] = {}
    for one in injections:
        found.setdefault(one.fault, []).append(one)
    return [Fault(name, tuple(some)) for name, some in found.items()]


def all_faults(injections: Sequence[Injections]) -> Fault | None:
    """All of them; None if there are none."""
    return Fault("all", tuple(injections)) if injections else None


def orders(interleavings: Iterable[Interleavings]) -> list[Orders]:
    """By what was at once: fewer operations first."""
    found: dict[str, list[Interleavings]] = {}
    for one in interleavings:
        found.setdefault(one.at_once + (f" ({one.where})" if one.where else ""), []).append(one)
    in_order = sorted(found.items(), key=lambda item: (item[1][0].at_once.count("/"), bool(item[1][0].where)))
    return [Orders(name, tuple(some)) for name, some in in_order]


def all_orders(interleavings: Sequence[Interleavings]) -> Orders | None:
    """All of them; None if there are none."""
    return Orders("all", tuple(interleavings)) if interleavings else None


def all_histories(histories: Sequence[Linearized]) -> Histories | None:
    """All of them; None if there are none."""
    return Histories("all", tuple(histories)) if histories else None
