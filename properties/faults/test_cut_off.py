"""A restart between any two phases of an operation leaves what the model says, and never a wrong yes.

What the state files keep decides: a start that was not published is absent, a backup whose end core was told of does
not go on, and what goes on is protected without a gap. Afterwards the label works as ever.
"""

import pytest

from harness.clients.client import Client, Violation
from model.explore import ROOT
from model.operations import Abort, Advance, Connect, Restart, RestartKind, Start, Stop
from model.outcomes import stop_row
from properties.faults.cut_off import (
    GIVEN,
    HELD,
    LABEL,
    LATER,
    OPERATIONS,
    STATES,
    Cut,
    Interrupted,
    cuts,
    held,
    number_start_points,
    play,
)
from properties.recording.tally import Tally
from properties.support.lockstep import Comparison

pytestmark = pytest.mark.server


@pytest.mark.parametrize("kind", STATES)
def test_a_restart_between_two_phases(kind: str, durable: Client, tally: Tally, patient: bool) -> None:
    hows = set(RestartKind) if patient else {RestartKind.CRASH, RestartKind.FAST}
    left: dict[str, int] = {}
    for cut in cuts():
        if cut.kind != kind or cut.restart not in hows:
            continue
        with tally.example():
            state = cut_off(durable, tally, cut)
            left[state] = left.get(state, 0) + 1
    words = ", ".join(f"{state} ({number})" for state, number in sorted(left.items()))
    tally.notes.append(f"a restart between two phases: {words} afterwards")


def cut_off(client: Client, tally: Tally, cut: Cut) -> str:
    """One of them, on a cluster made fresh; returns what there is under the label after the restart."""
    comparison = Comparison(client, tally)
    failed = True
    try:
        state = play(client, comparison, cut)
        failed = False
    except Violation as violation:
        raise Violation(f"{cut}\n{violation}\n\nTo see it by hand:\n{client.history.script()}") from None
    finally:
        tally.keep(client.history, failed)
        comparison.finish(failed)
    return state


def test_a_stop_that_a_restart_finishes_is_repeated_as_of_the_time_when_core_let_go(
    durable: Client, tally: Tally
) -> None:
    """What was copied later is not covered, however late the server came to finish it."""
    comparison, stop = Comparison(durable, tally), Stop(HELD, LABEL)
    failed = True
    try:
        with tally.example():
            for before in (Connect(HELD, ROOT.name), Start(HELD, LABEL)):
                comparison.step(before)
            ended = Interrupted(comparison.design, comparison.model, stop, 2).now
            with held(durable, stop, "stop-core-ended"):
                comparison.model = ended
                for after in (Connect(LATER, ROOT.name), Advance(5), Restart(RestartKind.CRASH)):
                    comparison.step(after)
            comparison.step(Connect(LATER, ROOT.name))
            row = stop_row(comparison.step(Stop(LATER, LABEL)))
            assert row is not None
            assert (row.repeated, row.stop_time) == (True, 0)
            failed = False
    finally:
        tally.keep(durable.history, failed)
        comparison.finish(failed)


def test_what_was_replaced_does_not_come_back(durable: Client, tally: Tally) -> None:
    """... when that which replaced it is given up before its starter has cleared up."""
    comparison = Comparison(durable, tally)
    failed = True
    try:
        with tally.example():
            for before in (Connect(HELD, ROOT.name), *GIVEN["stopped"]):
                comparison.step(before)
            published = Interrupted(comparison.design, comparison.model, OPERATIONS["start"], 3).now
            with held(durable, OPERATIONS["start"], "start-published"):
                comparison.model = published
                number_start_points(durable)
                for after in (Connect(LATER, ROOT.name), Abort(LATER, LABEL), Restart(RestartKind.CRASH)):
                    comparison.step(after)
            failed = False
    finally:
        tally.keep(durable.history, failed)
        comparison.finish(failed)
