"""The starts that a concurrent history names.

It does so by the LSNs of their start points, which on a primary are no two starts' (a fence, which is a token, is
translated by whoever records it). They are not the model's numbers but the history's: before a start takes its start
point, the counter of the searched state is set so that the model gives out what the history says. So they need not be
consecutive (a start that is cancelled uses one up), but they rise in the order in which they are taken, and no two
starts have the same. Stops, fences and rows of the view then name what the state has, without translation.

A start whose answer is not known may take one that a row shows and no known start has returned, or else UNSEEN. Or one
that only a fence names: then in any order, as nothing bears witness to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from model.linearizability.calls import Call, label_of, rows
from model.numbers import StartPoint
from model.operations import Fenced, Starting, StockStart
from model.outcomes import start_point
from model.state import Cluster

UNSEEN = StartPoint(-1)
"""The start point of a start that took place and whose start point nobody was shown: it is no other's."""


class StartPoints:
    """The start points that a history names, beyond those that were taken before it. Calls go by number."""

    def __init__(self, taken: StartPoint, calls: Sequence[Call]) -> None:
        self.labels = [label_of(call.operation) for call in calls]
        self.starts = [n for n, call in enumerate(calls) if isinstance(call.operation, Starting)]
        self.of_call = {
            n: point for n in self.starts if (point := start_point(calls[n].operation, calls[n].outcome)) is not None
        }
        """What known starts returned."""
        self.taker = {point: number for number, point in self.of_call.items()}
        self.unanswered: dict[str | None, list[int]] = defaultdict(list)
        """The starts of unknown outcome, by label."""
        for number in self.starts:
            if calls[number].outcome is None:
                self.unanswered[self.labels[number]].append(number)
        shown = [(row.start_point, row.label) for call in calls for row in rows(call.outcome)]
        fences = [(one.start_point, one.label) for call in calls if isinstance(one := call.operation, Fenced)]
        self.orphans = dict(self.without_taker(taken, shown))
        """What only starts of unknown outcome can have taken, since rows show it, with the label."""
        self.fenced: dict[StartPoint, set[str | None]] = defaultdict(set)
        """The same where only fences name it; they may name it of several labels."""
        for point, label in self.without_taker(taken, fences):
            if point not in dict(shown):
                self.fenced[point].add(label)
        self.order = sorted({*self.taker, *self.orphans})
        """All that must be taken, in this order."""
        self.of_label: dict[str | None, list[StartPoint]] = defaultdict(list)
        """What known starts of the extension returned, in order, by label."""
        for point, number in sorted(self.taker.items()):
            if not isinstance(calls[number].operation, StockStart):
                self.of_label[self.labels[number]].append(point)

    def without_taker(
        self, taken: StartPoint, named: Sequence[tuple[StartPoint | None, str | None]]
    ) -> list[tuple[StartPoint, str | None]]:
        """Those that no known start has taken, and that one of unknown outcome can have."""
        return [
            (point, label)
            for point, label in named
            if point is not None and point > taken and point not in self.taker and self.unanswered.get(label)
        ]

    def choices(self, number: int, cluster: Cluster) -> list[StartPoint]:
        """The start points that a call may be given now."""
        due = following(self.order, cluster.start_points)
        if number in self.of_call:
            return [due] if due is not None and self.of_call[number] == due else []
        label, remembered = self.labels[number], cluster.remembered_points()
        orphan = [due] if due is not None and due in self.orphans and self.orphans[due] == label else []
        fenced = [point for point, labels in self.fenced.items() if label in labels and point not in remembered]
        return [*orphan, *fenced, UNSEEN]

    def counter_after(self, point: StartPoint, counter: StartPoint) -> StartPoint:
        """The largest start point so far, when this one has been taken."""
        return counter if point == UNSEEN or point in self.fenced else point

    def is_in_turn(self, number: int, counter: StartPoint) -> bool:
        """Is there no other start of the same label that must have taken its start point before?"""
        point = self.of_call.get(number)
        return point is None or following(self.of_label[self.labels[number]], counter) == point

    def waited_for(self, number: int, counter: StartPoint) -> tuple[int, ...]:
        """The calls one of which must take its start point before this one can."""
        point, due = self.of_call.get(number), following(self.order, counter)
        if point is None or due is None or point <= due:
            return ()
        return (self.taker[due],) if due in self.taker else tuple(self.unanswered[self.orphans[due]])


def before(point: StartPoint) -> StartPoint:
    """Where the counter must stand for the model to give out this start point next."""
    return StartPoint(point - 1)


def following(ascending: list[StartPoint], counter: StartPoint) -> StartPoint | None:
    """The first start point beyond the counter."""
    position = bisect_right(ascending, counter)
    return ascending[position] if position < len(ascending) else None
