"""Chosen interleavings: which operations at once, on what was there before, and in which orders of their phases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from model.design import Design
from model.interleave import Run, Schedule, in_turn, interleavings
from model.operations import (
    Abort,
    Advance,
    Connect,
    Grant,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Revoke,
    SetLimit,
    Start,
    Stop,
)
from model.scope import ALICE, BOB, ROOT
from model.state import Cluster, initial
from model.transition import run
from properties.concurrency.phase_by_phase import Case
from properties.recording.at_once import Order

ROLES = (ROOT, ALICE, BOB)
SESSION_ROLES = (ALICE.name, BOB.name, ROOT.name)
"""Whose sessions they are, by number."""

TTL = 10

KINDS: Mapping[str, Callable[[int, str, int], Operation]] = {
    "start": lambda session, label, limit: Start(session, label, TTL),
    "stop": lambda session, label, limit: Stop(session, label),
    "abort": lambda session, label, limit: Abort(session, label),
    "renew": lambda session, label, limit: Renew(session, label, 3 * TTL),
    "expiry": lambda session, label, limit: Advance(TTL),
    "raised limit": lambda session, label, limit: SetLimit(limit + 1),
    "lowered limit": lambda session, label, limit: SetLimit(limit - 1),
    "revoke": lambda session, label, limit: Revoke(SESSION_ROLES[0]),
}
"""What may happen at once: operations of a session, about a label, under a limit; what others do; and time."""

NAME_LABELS = ("start", "stop", "abort", "renew")
"""The kinds that are about a label."""

GIVEN: Mapping[str, Callable[[str], tuple[Operation, ...]]] = {
    "absent": lambda label: (),
    "active": lambda label: (Start(0, label, TTL),),
    "carried": lambda label: (Start(0, label, TTL), Restart(RestartKind.CRASH), *connections()),
    "stopped": lambda label: (Start(0, label, TTL), Stop(0, label)),
}
"""What there may be under a label before, and how it came to be there. Only durable backups can be carried over."""

LIVE = ("active", "carried")


@dataclass(frozen=True)
class Scope:
    """What happens at once, and what was there before."""

    kinds: tuple[str, ...]
    labels: tuple[str, ...]
    """Of the calls, by number; empty for those that are about none."""
    given: tuple[tuple[str, str], ...]
    """Labels, and what is there."""
    limit: int

    def calls(self) -> list[Operation]:
        """What happens at once."""
        pairs = zip(self.kinds, self.labels, strict=True)
        return [KINDS[kind](number, label, self.limit) for number, (kind, label) in enumerate(pairs)]

    def before(self) -> list[Operation]:
        """What happened before, beside the connections: those that ended backups first, for the sake of the limit."""
        ordered = sorted(self.given, key=lambda item: item[1], reverse=True)
        privileges = [Grant(SESSION_ROLES[0])] if "revoke" in self.kinds else []
        return [*privileges, SetLimit(self.limit), *(one for label, state in ordered for one in GIVEN[state](label))]

    def first(self, design: Design) -> Cluster:
        """Where the calls begin."""
        cluster = initial(design, ROLES, len(SESSION_ROLES))
        for operation in (*connections(), *self.before()):
            ((cluster, _),) = run(design, cluster, operation)
        return cluster

    def interleavings(self, design: Design) -> dict[Schedule, list[Run]]:
        """All schedules, with what may come of them; those are one that differ in who does the same thing."""
        likenesses = list(zip(self.kinds, self.labels, strict=True))
        found = interleavings(design, self.first(design), self.calls())
        return {schedule: runs for schedule, runs in found.items() if in_turn(schedule, likenesses)}

    def case(self, design: Design, schedule: Schedule, runs: list[Run], reaper_at: str | None = None) -> Case:
        """One schedule, to be replayed."""
        first = initial(design, ROLES, len(SESSION_ROLES))
        return Case(first, tuple(self.before()), tuple(self.calls()), schedule, tuple(runs), reaper_at)

    def order(self, where: str = "") -> Order:
        """What is replayed, for the counts; ``where``: what else is special."""
        return Order(" / ".join(self.kinds), len({*self.labels} - {""}), self.limit, where)

    def shape(self) -> object:
        """The same for scopes that differ in the names of labels only, or in the order of the calls."""
        exchanged = str.maketrans("ab", "ba")

        def named(name: Callable[[str], str]) -> object:
            calls = sorted((kind, name(label)) for kind, label in zip(self.kinds, self.labels, strict=True))
            return (calls, sorted((name(label), state) for label, state in self.given), self.limit)

        return str(min(str(named(str)), str(named(lambda label: label.translate(exchanged)))))


def connections() -> list[Connect]:
    """What comes first."""
    return [Connect(number, role) for number, role in enumerate(SESSION_ROLES)]


def scopes(kinds: Sequence[str], states: Sequence[str]) -> list[Scope]:
    """These kinds at once: about one label or two, on backups in any of these states, under a limit of 1 or 2."""
    found: dict[object, Scope] = {}
    for labels in product(*("ab" if kind in NAME_LABELS else ("",) for kind in kinds)):
        about = sorted({*labels} - {""}) if "start" not in kinds else ["a", "b"]
        for given in product(states, repeat=len(about)):
            for limit in (1, 2) if "start" in kinds else (2,):
                if sum(state in LIVE for state in given) <= limit:
                    scope = Scope(tuple(kinds), labels, tuple(zip(about, given, strict=True)), limit)
                    found.setdefault(scope.shape(), scope)
    return list(found.values())
