"""All designs, and what people use today, in one table: promises and the bill of a fleet."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.schema.exploration import Verdict
from harness.schema.simulation import Bill
from reports.designs.matrix import TOLD
from reports.questions.sources import Sources
from reports.simulation import base, count
from reports.words import digits, in_bytes

SCRIPT = "script"
"""A psql that a script holds open for each backup, with its state in a table: what people use today."""
PROMISED_BY = {SCRIPT: "stock"}
"""Whose functions a way uses that is no design of its own."""
PROMISES = {
    "any_session_stops_it": "any session stops it",
    "stop_can_be_asked_again": "a lost answer can be asked for again",
    "survives_a_restart": "survives a restart",
    "success_can_be_restored": "what stop hands out restores",
}
"""Promises, and the headings of their columns."""
UNKNOWN = "?"


@dataclass(frozen=True)
class Column:
    """A figure of the bill."""

    heading: str
    words: Callable[[Bill], str]


BILL = (
    Column("connections held at once, at most", lambda one: count(one.connections_peak)),
    Column("memory, at most", lambda one: in_bytes(one.memory_peak_bytes)),
    Column("copy hours repeated", lambda one: digits(one.repeated_hours)),
    Column("orphan hours", lambda one: digits(one.orphan_hours)),
    Column("useless backups handed out", lambda one: count(one.useless)),
)


@dataclass(frozen=True)
class Peer:
    """A row."""

    name: str
    kept: tuple[Verdict | None, ...]
    """By the promises; None: it was not explored."""
    bill: tuple[str, ...]
    """By the columns."""

    @property
    def told(self) -> list[str]:
        """The verdicts in words."""
        return [UNKNOWN if one is None else TOLD[one] for one in self.kept]


def peers(found: Sources) -> list[Peer]:
    """Everybody that was explored or simulated, core's own first."""
    explored = found.exploration.exploration if found.exploration else None
    point = base(found.fleet) if found.fleet else None
    bills = {one.way: one for one in (point.bills if point else ())}
    verdicts = {(one.design, one.promise): one.verdict for one in (explored.judgements if explored else ())}
    names = dict.fromkeys([*bills, *(one.name for one in (explored.designs if explored else ()))])
    return [
        Peer(
            name,
            tuple(verdicts.get((PROMISED_BY.get(name, name), promise)) for promise in PROMISES),
            tuple(column.words(bills[name]) if name in bills else UNKNOWN for column in BILL),
        )
        for name in names
    ]
