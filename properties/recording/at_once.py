"""What is counted where operations are under way at once: faults that struck, orders replayed, histories linearized."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.schema.campaign import Answer, Injections, Linearized
from harness.schema.totals import FaultTotals, HistoryTotals


class Injection(NamedTuple):
    """A fault that struck an operation under way."""

    fault: str
    point: str
    """Where the operation was held, or ``NO_POINT`` of the schema."""
    told: str | None
    """What its caller was told: ``ok``, or an SQLSTATE; None: afterwards not all was well."""


class Order(NamedTuple):
    """What was replayed in some order of its phases."""

    at_once: str
    """The operations, with slashes between them."""
    labels: int
    """How many labels they are about."""
    limit: int
    where: str = ""
    """What else was special."""


Faults = Counter[Injection]
Interleavings = Counter[Order]


def recorded(faults: Faults) -> list[Injections]:
    """As they are kept, in the order in which they were first injected."""
    found: dict[tuple[str, str], dict[str | None, int]] = {}
    for one, number in faults.items():
        found.setdefault((one.fault, one.point), {})[one.told] = number
    return [
        Injections(
            fault=fault,
            point=point,
            injected=sum(ends.values()),
            survived=sum(ends.values()) - ends.get(None, 0),
            told={told: number for told, number in ends.items() if told is not None},
        )
        for (fault, point), ends in found.items()
    ]


def counted_faults(faults: Faults) -> FaultTotals:
    """The counts of some faults."""
    survived = sum(number for one, number in faults.items() if one.told is not None)
    return FaultTotals(len({one.fault for one in faults}), faults.total(), survived)


def counted_histories(histories: Sequence[Linearized]) -> HistoryTotals:
    """The counts of some histories."""
    return HistoryTotals(
        histories=len(histories),
        operations=sum(one.operations for one in histories),
        unknown=sum(one.unknown for one in histories),
        longest=max((one.operations for one in histories), default=0),
        sessions=max((one.sessions for one in histories), default=0),
        **{answer.value: sum(one.answer is answer for one in histories) for answer in Answer},
    )


# Words


def faults_in_words(faults: Faults) -> Iterator[str]:
    """A sentence, if there were any."""
    if faults:
        found = counted_faults(faults)
        told = Counter[str]()
        for one, number in faults.items():
            told[one.told or "nothing good"] += number
        ends = ", ".join(f"{end} ({times:,})" for end, times in told.most_common())
        numbers = f"{found.injected:,} injected ({found.kinds} kinds), {found.survived:,} survived"
        yield f"{numbers}; the callers were told {ends}"


def interleavings_in_words(interleavings: Interleavings) -> Iterator[str]:
    """A sentence, if there were any."""
    if interleavings:
        yield f"{interleavings.total():,} replayed"


def histories_in_words(histories: Sequence[Linearized]) -> Iterator[str]:
    """A sentence, if there were any."""
    if histories:
        found = counted_histories(histories)
        longest = max(histories, key=lambda one: (one.operations, one.sessions))
        bad = [(found.undecided, Answer.UNDECIDED), (found.unexplained, Answer.UNEXPLAINED)]
        yield ", ".join(
            [
                f"{len(histories):,} linearized",
                f"{found.operations:,} operations in all ({found.unknown:,} of unknown outcome)",
                f"the longest of {longest.operations:,} by {longest.sessions} sessions",
                *([f"{number:,} {answer}" for number, answer in bad if number] or ["none undecided"]),
            ]
        )
