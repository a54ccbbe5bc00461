"""Makes a counterexample minimal: no operation can be left out of it any more.

Hypothesis makes a walk small in what it draws, but each walk begins by connecting everybody; and a tour takes the
classes in long paths. So operations are left out here, many at a time and then one by one, for as long as the rest
still fails in the same way, on a server, at its last step.
"""

from collections.abc import Sequence
from dataclasses import replace

from harness.clients.client import Client, Violation
from harness.schema.counterexample import Counterexample, Step
from harness.server.cluster import ClusterError
from harness.server.session import SqlError
from model.numbers import StartPoint
from model.operations import Abort, Operation, Renew, Stop
from properties.recording.tally import Tally
from properties.recording.verdict import leaves
from properties.support.counterexamples import operation_of, tried


def make_minimal(error: BaseException, client: Client, tally: Tally) -> None:
    """Puts the smallest counterexamples into the violations of an error, in place of those that are there."""
    for violation in leaves(error):
        if isinstance(violation, Violation) and violation.counterexample is not None:
            smallest = minimal(violation, client, tally)
            violation.args, violation.counterexample = smallest.args, smallest.counterexample


def minimal(violation: Violation, client: Client, tally: Tally) -> Violation:
    """The violation with the smallest counterexample that fails in the same way."""
    assert violation.counterexample is not None
    wanted, best, steps = way(violation.counterexample), violation, violation.counterexample.steps
    size = len(steps) // 2
    while size:
        before = len(steps)
        for end in range(len(steps) - 1, 0, -size):
            found = again(client, without(steps, max(0, end - size), end))
            if found is not None and found.counterexample is not None and way(found.counterexample) == wanted:
                best, steps = found, found.counterexample.steps
                tally.keep(client.history, failed=True)
        size = size // 2 or int(len(steps) < before)
    return best


def again(client: Client, operations: Sequence[Operation]) -> Violation | None:
    """Tries a part of a history; a server that does not go on is made anew, and does not count."""
    try:
        return tried(client, operations, Tally())
    except (SqlError, ClusterError, TimeoutError):
        client.recover()
        return None


def way(one: Counterexample) -> tuple[str, ...]:
    """In which way it fails: other outcomes of the operation are another way, other values are not."""
    last = one.steps[one.failed - 1]
    if one.found.startswith(f"{last.operation}("):
        return last.operation, kind(last.came), kind(last.expected)
    return tuple(one.found.split()[:3])


def kind(outcome: str) -> str:
    """Of an outcome in words: ok, or an SQLSTATE."""
    return "ok" if outcome.startswith("ok") else outcome[:5]


def without(steps: Sequence[Step], begin: int, end: int) -> list[Operation]:
    """The operations without those from ``begin`` up to ``end``; who names a start names it by its new number."""
    left = [*steps[:begin], *steps[end:]]
    numbers = {number: new for new, number in enumerate(filter(None, (step.start for step in left)), start=1)}
    return [renumbered(operation_of(step), numbers) for step in left]


def renumbered(operation: Operation, numbers: dict[int, int]) -> Operation:
    """The same with another number for the start that it names; a start that is left out keeps its own."""
    if isinstance(operation, Stop | Abort | Renew) and operation.start_point in numbers:
        return replace(operation, start_point=StartPoint(numbers[operation.start_point]))
    return operation
