"""Start points: an LSN on the server, a number in the model, and who says which start has which number.

``StartPoints`` is for operations one after the other: what a start returned last has the next number. ``NumberedLater``
and ``AsLsns`` are for starts at once, whose order nobody knows when they return.
"""

from harness.clients.violation import Violation
from harness.server.wal import int_to_lsn, lsn_to_int, plain_lsn
from model.numbers import StartPoint

LONG_AGO = "0/1"
"""The LSN for a start that no backup has."""


class StartPoints:
    """The start points of one example, numbered as their starts return; they must rise, also over examples."""

    def __init__(self) -> None:
        self.lsns: list[str] = [LONG_AGO]
        """By their numbers, which begin with 1; in their shortest spelling."""
        self.last = 0
        """The highest ever, in bytes."""

    def begin(self) -> None:
        """A new example."""
        self.lsns = [LONG_AGO]

    def returned(self, lsn: str) -> StartPoint:
        """A start has returned this; its number. Raises Violation unless it lies after every other."""
        if lsn_to_int(lsn) <= self.last:
            raise Violation(f"the start point {lsn} does not lie after that of an earlier backup")
        self.last = lsn_to_int(lsn)
        self.lsns.append(plain_lsn(lsn))
        return StartPoint(len(self.lsns) - 1)

    def untold(self, last: int) -> None:
        """Numbers up to this one were given to starts that nobody has heard of."""
        self.lsns += [LONG_AGO] * (last + 1 - len(self.lsns))

    def lsn(self, number: StartPoint) -> str:
        """The LSN of a start; an old one, if there is none of that number."""
        return self.lsns[number] if number < len(self.lsns) else LONG_AGO

    def number(self, lsn: str) -> StartPoint:
        """The number of a start point; raises Violation if no start returned it."""
        if (plain := plain_lsn(lsn)) not in self.lsns:
            raise Violation(f"no start of this example returned the start point {lsn}")
        return StartPoint(self.lsns.index(plain))


class NumberedLater(StartPoints):
    """Start points whose numbers are told afterwards, by who chose the order of the starts."""

    def returned(self, lsn: str) -> StartPoint:
        """A start has returned this; the LSN as a number, which ``told`` understands."""
        return StartPoint(lsn_to_int(lsn))

    def told(self, start_point: StartPoint, number: StartPoint) -> None:
        """What a start returned was the start point of that number; raises Violation if that can not be."""
        self.lsns += [""] * (number + 1 - len(self.lsns))
        self.lsns[number] = int_to_lsn(start_point)
        known = [lsn for lsn in self.lsns if lsn]
        if sorted(set(known), key=lsn_to_int) != known:
            raise Violation(f"start points must rise in the order in which they are taken, and they are {known}")


class AsLsns(StartPoints):
    """Start points that have no other numbers than their LSNs: their order is for a checker of the history to find."""

    def returned(self, lsn: str) -> StartPoint:
        """The LSN as a number."""
        return StartPoint(lsn_to_int(lsn))

    def lsn(self, number: StartPoint) -> str:
        """The number as an LSN."""
        return int_to_lsn(number)

    def number(self, lsn: str) -> StartPoint:
        """The LSN as a number."""
        return StartPoint(lsn_to_int(lsn))
