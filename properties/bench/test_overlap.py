"""Counting backups that were live for certain: what counts, what does not, and what is a breach of the limit."""

import pytest

from harness.clients.history import Event, History
from model.numbers import StartPoint
from model.operations import Abort, Advance, Operation, SetLimit, Start, Stop
from model.outcomes import Failed, Ok, Outcome, SqlState, StopRow
from properties.concurrency.overlap import breach


def history(*events: tuple[Operation, float, float, Outcome | None]) -> History:
    """Operations, each with when it was invoked and completed, and its outcome."""
    return History([Event(operation, "-", invoked, outcome=o, completed=c) for operation, invoked, c, o in events])


FIRST = (Start(0, "a"), 0.0, 2.0, Ok(StartPoint(100)))
SECOND = (Start(1, "b"), 1.0, 3.0, Ok(StartPoint(200)))


def test_two_at_once_breach_a_limit_of_one() -> None:
    assert breach(history(FIRST, SECOND), 1).startswith("2 backups were live at once, and the limit was 1")
    assert not breach(history(FIRST, SECOND), 2)
    assert not breach(history(FIRST, SECOND), None)


def test_a_backup_that_may_have_ended_does_not_count() -> None:
    for operation, outcome in (
        (Stop(2, "a"), Ok(StopRow("a", StartPoint(100), True))),
        (Stop(2, "a"), None),
        (Abort(2, "a"), Ok()),
        (Advance(5), Ok()),
    ):
        assert not breach(history(FIRST, (operation, 2.5, 4.0, outcome), SECOND), 1), operation
        assert not breach(history(FIRST, (operation, 0.5, 4.0, outcome), SECOND), 1), operation
        assert breach(history(FIRST, (operation, 3.5, 4.0, outcome), SECOND), 1), operation


def test_what_did_not_end_a_backup_leaves_it_live() -> None:
    for operation, outcome in (
        (Stop(2, "a"), Failed(SqlState.OBJECT_IN_USE)),
        (Stop(2, "a"), Ok(StopRow("a", StartPoint(50), True))),
        (Abort(2, "c"), Ok()),
    ):
        assert breach(history(FIRST, (operation, 2.5, 2.8, outcome), SECOND), 1), operation
    assert breach(history((Abort(2, "a"), -2.0, -1.0, Ok()), FIRST, SECOND), 1)


def test_a_lower_limit_ends_no_backup_and_admits_none() -> None:
    lowered = (SetLimit(1), 3.2, 3.4, Ok())
    assert not breach(history(FIRST, SECOND, lowered), None)
    assert breach(history(FIRST, SECOND, lowered, (Start(2, "c"), 3.5, 4.0, Ok(StartPoint(300)))), None)


def test_an_operation_that_is_not_known_is_not_passed_over() -> None:
    unknown = (object(), 2.5, 2.8, Ok())
    with pytest.raises(AssertionError, match="object"):
        breach(history(FIRST, unknown, SECOND), 1)  # type: ignore[arg-type]
