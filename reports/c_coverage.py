"""What no property reaches of the extension's C, by reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from harness.schema.c_coverage import CCoverage, Kind, Unreached


@dataclass(frozen=True)
class Gap:
    """What was not reached in one function for one reason."""

    file: str
    function: str
    reason: str
    """Empty: none is kept."""
    unreached: tuple[Unreached, ...]

    @property
    def words(self) -> str:
        """How much it is."""
        numbers = {kind: sum(one.number for one in self.unreached if one.kind is kind) for kind in Kind}
        return ", ".join(counted(number, kind) for kind, number in numbers.items() if number)


def gaps(found: CCoverage) -> list[Gap]:
    """All of them; first those without a reason."""
    return sorted(every(found), key=lambda gap: bool(gap.reason))


def every(found: CCoverage) -> Iterator[Gap]:
    """All in the order of the sources."""
    for file in found.files:
        for function in file.functions:
            in_order = sorted(function.unreached, key=lambda one: one.reason)
            for reason, some in groupby(in_order, key=lambda one: one.reason):
                yield Gap(file.name, function.name, reason, tuple(sorted(some, key=lambda one: one.line)))


def counted(number: int, kind: Kind) -> str:
    """In words."""
    return f"{number:,} {kind.value}" if number != 1 else {Kind.LINES: "1 line", Kind.BRANCHES: "1 branch"}[kind]
