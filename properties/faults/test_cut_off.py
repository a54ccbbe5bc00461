"""A restart between any two phases of an operation leaves what the model says, and never a wrong yes.

What the state files keep decides: a start that was not published is absent, a backup whose end core was told of does
not go on, and what goes on is protected without a gap. Afterwards the label works as ever.
"""

import pytest

from harness.clients.client import Client, Violation
from model.operations import Abort, Advance, Connect, Restart, RestartKind, Start, Stop
from model.outcomes import stop_row
from model.scope import ROOT
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
from properties.support.lockstep import Lockstep

pytestmark = pytest.mark.server


@pytest.mark.parametrize("kind", STATES)
def test_a_restart_between_two_phases(kind: str, durable: Client, tally: Tally, exhaustive: bool) -> None:
    hows = set(RestartKind) if exhaustive else {RestartKind.CRASH, RestartKind.FAST}
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
    lockstep = Lockstep(client, tally)
    failed = True
    try:
        state = play(client, lockstep, cut)
        failed = False
    except Violation as violation:
        raise Violation(f"{cut}\n{violation}\n\nTo see it by hand:\n{client.history.script()}") from None
    finally:
        tally.keep(client.history, failed)
        lockstep.finish(failed)
    return state


def test_a_stop_that_a_restart_finishes_is_repeated_as_of_the_time_when_core_let_go(
    durable: Client, tally: Tally
) -> None:
    """What was copied later is not covered, however late the server came to finish it."""
    lockstep, stop = Lockstep(durable, tally), Stop(HELD, LABEL)
    failed = True
    try:
        with tally.example():
            for before in (Connect(HELD, ROOT.name), Start(HELD, LABEL)):
                lockstep.step(before)
            ended = Interrupted(lockstep.design, lockstep.model, stop, 2).now
            with held(durable, stop, "stop-core-ended"):
                lockstep.model = ended
                for after in (Connect(LATER, ROOT.name), Advance(5), Restart(RestartKind.CRASH)):
                    lockstep.step(after)
            lockstep.step(Connect(LATER, ROOT.name))
            row = stop_row(lockstep.step(Stop(LATER, LABEL)))
            assert row is not None
            assert (row.repeated, row.stop_time) == (True, 0)
            failed = False
    finally:
        tally.keep(durable.history, failed)
        lockstep.finish(failed)


def test_what_was_replaced_does_not_come_back(durable: Client, tally: Tally) -> None:
    """... when that which replaced it is given up before its starter has cleared up."""
    lockstep = Lockstep(durable, tally)
    failed = True
    try:
        with tally.example():
            for before in (Connect(HELD, ROOT.name), *GIVEN["stopped"]):
                lockstep.step(before)
            published = Interrupted(lockstep.design, lockstep.model, OPERATIONS["start"], 3).now
            with held(durable, OPERATIONS["start"], "start-published"):
                lockstep.model, lockstep.counts = published, False
                number_start_points(durable)
                for after in (Connect(LATER, ROOT.name), Abort(LATER, LABEL), Restart(RestartKind.CRASH)):
                    lockstep.step(after)
            failed = False
    finally:
        tally.keep(durable.history, failed)
        lockstep.finish(failed)
