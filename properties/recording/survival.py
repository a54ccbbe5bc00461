"""What a backup went through between its start and its stop: counted, so that the report tells what survives what."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from harness.schema import campaign as schema
from harness.schema.campaign import SurvivalCase
from harness.server.session import SqlError


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


def recorded(refusals: Refusals) -> Iterator[schema.Refusal]:
    """As they are kept, in order."""
    for (way, sqlstate, reason), number in sorted(
        refusals.items(), key=lambda item: (item[0].survival_case.design, item[0][1:], str(item[0]))
    ):
        yield schema.Refusal(way.design, way.across, way.but, sqlstate=sqlstate, reason=reason, refused=number)
