"""What a backup went through between its start and its stop: counted, so that the report tells what survives what."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.server.session import SqlError


@dataclass(frozen=True)
class SurvivalCase:
    """The way of a backup."""

    design: str
    """The name of the implementation that took it."""
    across: tuple[str, ...] = ()
    """The kinds of restarts that it crossed, each named once; none: the server stayed up."""
    but: str = ""
    """What was wrong with it, so that its stop should refuse, or its copy not recover; empty: nothing."""

    def through(self, fall: str, but: str = "") -> "SurvivalCase":
        """The same after another restart; what was wrong before still is."""
        return replace(self, across=tuple(sorted({*self.across, fall})), but=self.but or but)

    def with_fault(self, but: str) -> "SurvivalCase":
        """The same, but for this."""
        return replace(self, but=but)


class Refusal(NamedTuple):
    """A stop that said no."""

    survival_case: SurvivalCase
    sqlstate: str
    reason: str
    """Its detail, or its message if it has none."""


Refusals = Counter[Refusal]


def refusal(survival_case: SurvivalCase, error: SqlError) -> Refusal:
    """The refusal that an error of the server is."""
    return Refusal(survival_case, error.sqlstate, error.detail or error.message)


def refusals_in_json(refusals: Refusals) -> Iterable[dict[str, object]]:
    """For results.json, in order."""
    for one, number in sorted(
        refusals.items(), key=lambda item: (item[0].survival_case.design, item[0][1:], str(item[0]))
    ):
        way = {
            "design": one.survival_case.design,
            "across": list(one.survival_case.across),
            "but": one.survival_case.but,
        }
        yield {**way, "sqlstate": one.sqlstate, "reason": one.reason, "refused": number}
