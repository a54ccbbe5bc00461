"""The checker of concurrent histories is right: about histories written by hand, made by the model, and made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.design import DESIGNS, DURABLE, STOCK, StopPolicy
from model.linearizability.calls import deadline
from model.linearizability.linearize import Call, Explained, Step, Undecided, Unexplained, Window, linearize
from model.numbers import StartPoint
from model.operations import Operation, Renew, Start, StockStart, StockStop, Stop
from model.outcomes import Failed, Ok, Outcome, SqlState, StopRow
from model.state import initial
from model.tour import ROLES
from model.transition import Pending, give_up, invoke, resume, run
from properties.concurrency import handwritten
from properties.concurrency.linearize import EXPLAINED, NOT_KNOWN, UNEXPLAINED, main
from properties.concurrency.naive import GIVEN_UP, Naive, Stage
from properties.concurrency.recorded import Recorded, read, written
from properties.concurrency.simulation import DESIGN, busy, connected, corrupted, other_outcomes, simulated
from properties.support import strategies

# Written by hand


def test_each_good_history_has_a_bad_one_beside_it() -> None:
    assert handwritten.names("good") == handwritten.names("bad")
    assert len(handwritten.names("good")) >= 8


@pytest.mark.parametrize("name", handwritten.names("good"))
def test_a_good_history_is_explained(name: str) -> None:
    history = handwritten.read("good", name)
    answer = linearize(history.design, history.first, history.calls)
    assert isinstance(answer, Explained), f"{history.why} But: {answer}"
    check_witness(history, answer.witness)


@pytest.mark.parametrize("name", handwritten.names("bad"))
def test_of_a_bad_history_the_calls_are_named_that_contradict_each_other(name: str) -> None:
    history = handwritten.read("bad", name)
    answer = linearize(history.design, history.first, history.calls)
    assert isinstance(answer, Unexplained), f"{history.why} But: {answer}"
    assert answer.window.calls == history.contradiction, history.why


# Made by the model


@st.composite
def made_histories(draw: st.DrawFn, most: int, unknown: float = 0.1) -> Recorded:
    """The calls of a few sessions, with phases interleaved at random; some are cut off."""
    chance = Random(draw(st.integers(0, 2**32)))
    first = connected(DESIGN, draw(st.integers(2, 6)), draw(st.sampled_from([None, 1, 2])))
    expiry, stock, changes = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    what = busy("ab"[: draw(st.integers(1, 2))], expiry=expiry, stock=stock, changes=changes)
    number = draw(st.integers(1, most))
    calls = simulated(first, what, number, chance, unknown=draw(st.sampled_from([0, unknown])))
    return Recorded(first, tuple(calls))


@given(made_histories(60, unknown=0.03))
def test_every_interleaving_that_the_model_makes_is_explained(history: Recorded) -> None:
    answer = linearize(DESIGN, history.first, history.calls)
    assert isinstance(answer, Explained), answer
    check_witness(history, answer.witness)


def test_an_operation_can_be_seen_between_its_phases() -> None:
    """Histories with 55006 come up, and are explained: no schedule of whole operations would."""
    busy_seen = 0
    for seed in range(20):
        first = connected(DESIGN, 8)
        calls = simulated(first, busy("a"), 50, Random(seed))
        busy_seen += sum(call.outcome == Failed(SqlState.OBJECT_IN_USE) for call in calls)
        assert isinstance(linearize(DESIGN, first, calls), Explained)
    assert busy_seen > 20


def check_witness(history: Recorded, witness: Sequence[Step]) -> None:
    """The schedule is one: phases in their order and in their time, which come to the outcomes that were observed."""
    first, calls = history.first, history.calls
    naive = Naive(history.design, calls)
    number = {call: position for position, call in enumerate(calls)}
    phases = [0] * len(calls)
    stages = {Stage((None,) * len(calls), first)}  # several, where nobody says which start point was taken: one must do
    for step in witness:
        position = number[step.call]
        phases[position] += 1
        assert step.phase in (0, phases[position])
        reached = {
            stage
            for before in stages
            for stage in naive.after(before, position)
            if (stage.calls[position] == GIVEN_UP) == (step.phase == 0)
        }
        assert reached or step.phase == 0, f"this can not take place then: {step}"
        stages = reached or stages  # what a restart cuts off is given up with it
    assert any(not naive.unfinished(stage) for stage in stages)


@given(st.data())
def test_what_is_given_up_leaves_no_trace(data: st.DataObject) -> None:
    """... but a start point that is used up."""
    cluster = initial(DESIGN, ROLES, 3)
    for operation in data.draw(strategies.histories(DESIGN, 3, ROLES, ("a", "b"))):
        ((reached, result),) = invoke(DESIGN, cluster, operation)
        while isinstance(result, Pending):
            traceless = give_up(reached, result)
            if traceless is None:
                assert isinstance(operation, Stop), "only a stop ends a backup"
            else:
                assert traceless.with_core(cluster.start_points, traceless.running_backups) == cluster
            ((reached, result),) = resume(DESIGN, reached, result)
        cluster = reached


# Made up


@st.composite
def small_histories(draw: st.DrawFn) -> Recorded:
    """A few calls, made by the model, but for perhaps one outcome."""
    history = draw(made_histories(5, unknown=0.2))
    known = [number for number, call in enumerate(history.calls) if call.outcome is not None]
    if not known or not draw(st.booleans()):
        return history
    number = draw(st.sampled_from(known))
    others = [outcome for outcome in other_outcomes(history.calls, number) if outcome != history.calls[number].outcome]
    return replace(history, calls=tuple(corrupted(history.calls, number, draw(st.sampled_from(others)))))


def test_the_answer_is_that_of_trying_every_order() -> None:
    counts = {True: 0, False: 0}

    @given(small_histories())
    @settings(max_examples=max(300, max_examples()))
    def check(history: Recorded) -> None:
        calls = [call if call.outcome else replace(call, completed=None) for call in history.calls]
        explained = Naive(DESIGN, calls).explains(history.first)
        answer = linearize(DESIGN, history.first, history.calls)
        assert isinstance(answer, Explained if explained else Unexplained), answer
        counts[explained] += 1
        if isinstance(answer, Unexplained):
            check_window(answer.window, history)

    check()
    print(counts)
    assert min(counts.values()) > sum(counts.values()) / 20, f"{counts}: nearly all alike"


def check_window(window: Window, history: Recorded) -> None:
    """It ends with the first completion that makes the history inexplicable; no outcome in it can be left out."""
    assert set(window.calls) <= set(history.calls)
    end = max(call.completed for call in window.calls if call.completed is not None)
    earlier = [
        call if deadline(call) < end else replace(call, outcome=None, completed=None)
        for call in history.calls
        if call.invoked <= end
    ]
    assert isinstance(linearize(DESIGN, history.first, earlier), Explained), "it fails before that"
    begin = min(call.invoked for call in window.calls if call.completed == end)
    past = [call for call in history.calls if call.outcome is not None and deadline(call) < begin]
    alone = [*past, *window.calls, *window.others]
    assert isinstance(linearize(DESIGN, history.first, alone), Unexplained), "what is shown is no contradiction"
    assert all(call.invoked <= end for call in window.others), "it shows what came later"
    until = [call for call in history.calls if call.invoked <= end]
    for left_out in window.calls:
        others = [call if call in window.calls and call != left_out else replace(call, outcome=None) for call in until]
        assert isinstance(linearize(DESIGN, history.first, others), Explained), f"it fails without {left_out}, too"


def max_examples() -> int:
    """Of the profile."""
    profile = settings.default
    assert profile is not None
    return profile.max_examples


# The budget


def test_what_is_not_decided_within_the_budget_is_no_pass() -> None:
    first = connected(DESIGN, 8)
    calls = simulated(first, busy("ab"), 100, Random(1))
    assert linearize(DESIGN, first, calls, budget=50) == Undecided(50)
    assert isinstance(linearize(DESIGN, first, calls), Explained)


# Other histories


def test_core_s_own_backups_are_linearized_too() -> None:
    first, earlier, later = connected(STOCK, 2), StartPoint(10), StartPoint(20)
    calls = [
        Call(StockStart(0, "one"), 1, 4, Ok(later)),
        Call(StockStart(1, "two"), 2, 3, Ok(earlier)),
        Call(StockStop(0), 5, 6, Ok(StopRow("one", later, True))),
    ]
    assert isinstance(linearize(STOCK, first, calls), Explained)
    swapped = [*calls[:2], replace(calls[2], outcome=Ok(StopRow("two", earlier, True)))]
    assert isinstance(linearize(STOCK, first, swapped), Unexplained)


def test_what_a_history_does_not_show_is_not_compared() -> None:
    """An implementation without a clock says no times."""
    first = connected(DESIGN, 2)
    calls = [Call(Start(0, "a", ttl=10), 1, 2, Ok(StartPoint(10))), Call(Renew(0, "a", ttl=20), 3, 4, Ok(None))]
    assert isinstance(linearize(DESIGN, first, calls), Unexplained)

    def timeless(operation: Operation, outcome: Outcome) -> Outcome:
        return Ok(None) if isinstance(operation, Renew) and isinstance(outcome, Ok) else outcome

    assert isinstance(linearize(DESIGN, first, calls, visible=timeless), Explained)


# Saved, and checked again


@given(st.data())
def test_what_is_read_is_what_was_written(data: st.DataObject) -> None:
    design = data.draw(st.sampled_from([*DESIGNS.values(), replace(DURABLE, name="mine", fencing=False)]))
    settings = design.settings._replace(max_backups=2, stop_policy=StopPolicy.OWNER)
    first = cluster = initial(design, ROLES, 3, settings)
    calls = []
    for number, operation in enumerate(data.draw(strategies.histories(design, 3, ROLES, ("a", "b")))):
        cluster, outcome = run(design, cluster, operation)[0]
        calls.append(Call(operation, number, number + 0.5, outcome))
        calls.append(Call(operation, number))
    assert read(written(design, first, calls)) == Recorded(first, tuple(calls), design)


def test_a_saved_history_is_checked_by_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = (str(handwritten.FOLDER / kind / "limit.jsonl") for kind in ("good", "bad"))
    assert main([good]) == EXPLAINED
    assert capsys.readouterr().out == "Explained: 4 operations, by a schedule of 10 phases.\n"
    assert main([good, "--budget=1"]) == NOT_KNOWN
    assert capsys.readouterr().out.startswith("Undecided: 1 configurations did not suffice")
    assert main([bad]) == UNEXPLAINED
    said = capsys.readouterr().out
    assert said.startswith("No interleaving explains these operations:\n    0.000 to  3000.000 ms  session 0: Start(")
    assert said.endswith("it begins with: no backup (clock: 0)\n")


NO_HISTORIES = {
    "": "line 1: it is not JSON: Expecting value",
    "[]": "line 1: it is no JSON object",
    '{"operation": "Abort"}': "line 1: it does not say how the history begins; {} would do",
    '{"design": "mine"}': "line 1: there is no mine",
    '{"settings": {"ttl": "an hour"}}': "line 1: ttl of Settings can not be 'an hour'",
    '{"limit": "one"}': "line 1: max_backups of Settings can not be 'one'",
    '{"contradiction": [0]}': "line 1: tuple index out of range",
    '{}\n{"operation": "Abort", "session"': "line 2: it is not JSON: Expecting ':' delimiter",
    '{}\n{"operation": "Steal", "invoked": 1, "completed": 2}': "line 2: there is no Steal",
    '{}\n{"operation": "Abort", "session": 0, "label": "a", "invoked": 1}': "line 2: there is no completed",
    '{}\n{"operation": "Abort", "session": 7, "label": "a", "invoked": 1, "completed": 2}': (
        "line 2: there is no session 7: the first is 0, the last 2"
    ),
    '{}\n{"operation": "Abort", "session": 0, "label": 5, "invoked": 1, "completed": 2}': (
        "line 2: label of Abort can not be 5"
    ),
    '{}\n{"operation": "Renew", "session": 0, "label": "a", "invoked": 1, "completed": 2, "ok": "soon"}': (
        "line 2: Renew can not return 'soon'"
    ),
    '{}\n{"operation": "Abort", "session": 0, "label": "a", "start_point": "x", "invoked": 1, "completed": 2}': (
        "line 2: start_point of Abort can not be 'x'"
    ),
    '{}\n{"operation": "Advance", "seconds": 5, "invoked": 3, "completed": 2}': (
        "line 2: it completed before it was invoked"
    ),
}


@pytest.mark.parametrize("text", NO_HISTORIES)
def test_what_is_no_history_is_refused_in_one_sentence(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(text)
    assert main([str(file)]) == NOT_KNOWN
    assert capsys.readouterr().err == f"{file} is not a history: {NO_HISTORIES[text]}.\n"


def test_a_file_that_is_not_there_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.jsonl"]) == NOT_KNOWN
    assert capsys.readouterr().err == "nowhere.jsonl cannot be read: No such file or directory.\n"
