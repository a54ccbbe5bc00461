"""What is counted where operations are under way at once: faults that struck, orders replayed, histories linearized."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

NO_POINT = "any moment"
"""In place of a point."""


class Injection(NamedTuple):
    """A fault that struck an operation under way."""

    fault: str
    point: str
    """Where the operation was held, or ``NO_POINT``."""
    told: str | None
    """What its caller was told: ``ok``, or an SQLSTATE; None: afterwards not all was well."""

    @property
    def survived(self) -> bool:
        """Was all well afterwards?"""
        return self.told is not None


class Order(NamedTuple):
    """What was replayed in some order of its phases."""

    at_once: str
    """The operations, with slashes between them."""
    labels: int
    """How many labels they are about."""
    limit: int
    where: str = ""
    """What else was special."""


class Answer(StrEnum):
    """What the linearizer said of a history."""

    EXPLAINED = "explained"
    UNDECIDED = "undecided"
    UNEXPLAINED = "unexplained"


class Linearized(NamedTuple):
    """A concurrent history that was linearized."""

    operations: int
    sessions: int
    unknown: int
    """Operations of which nobody knows whether they took place."""
    answer: Answer


Faults = Counter[Injection]
Interleavings = Counter[Order]


def survivors(faults: Faults) -> int:
    """How many of them left all well."""
    return sum(number for one, number in faults.items() if one.survived)


def counted_histories(histories: Sequence[Linearized]) -> dict[str, int]:
    """The counts of some histories."""
    return {
        "histories": len(histories),
        "operations": sum(one.operations for one in histories),
        "unknown": sum(one.unknown for one in histories),
        "longest": max((one.operations for one in histories), default=0),
        "sessions": max((one.sessions for one in histories), default=0),
        **{str(answer): sum(one.answer is answer for one in histories) for answer in Answer},
    }


# Words


def faults_in_words(faults: Faults) -> Iterator[str]:
    """A sentence, if there were any."""
    if faults:
        kinds = len({one.fault for one in faults})
        told = Counter[str]()
        for one, number in faults.items():
            told[one.told or "nothing good"] += number
        ends = ", ".join(f"{end} ({times:,})" for end, times in told.most_common())
        numbers = f"{faults.total():,} injected ({kinds} kinds), {survivors(faults):,} survived"
        yield f"{numbers}; the callers were told {ends}"


def interleavings_in_words(interleavings: Interleavings) -> Iterator[str]:
    """A sentence, if there were any."""
    if interleavings:
        yield f"{interleavings.total():,} replayed"


def histories_in_words(histories: Sequence[Linearized]) -> Iterator[str]:
    """A sentence, if there were any."""
    if histories:
        operations, sessions, *_ = max(histories)
        found = counted_histories(histories)
        bad = [f"{found[one]:,} {one}" for one in (Answer.UNDECIDED, Answer.UNEXPLAINED) if found[one]]
        yield ", ".join(
            [
                f"{len(histories):,} linearized",
                f"{found['operations']:,} operations in all ({found['unknown']:,} of unknown outcome)",
                f"the longest of {operations:,} by {sessions} sessions",
                *(bad or ["none undecided"]),
            ]
        )
