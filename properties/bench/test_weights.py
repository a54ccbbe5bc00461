"""What is meant to be drawn often is drawn often, and what Hypothesis prints of a walk is what acted."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from harness.clients.implementation import SHARED
from model.design import DESIGNS
from model.operations import (
    Abort,
    AddMember,
    Advance,
    Connect,
    Disconnect,
    DropRole,
    Grant,
    ListBackups,
    Operation,
    Renew,
    Restart,
    Revoke,
    Rollback,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.outcomes import Ok
from properties.support.lockstep import ROLES, SESSIONS
from properties.support.profiles import UNSHRUNK
from properties.support.strategies import (
    BAD_LABELS,
    BAD_TTLS,
    Drawn,
    histories,
    labels,
    mostly,
    operations,
    ttls,
    weighted,
)
from properties.walks.conformance import any_label, any_ttl
from properties.walks.rehearsal import REPEATABLE, Rehearsal, Step, rehearse

EXAMPLES, DRAWS = 400, 10
"""So many draws in an example: what is drawn once is soon exhausted, and Hypothesis does not draw it again."""
NEAR = 0.08
"""So much may a share be off. Of 4,000 independent draws it is a tenth of that, but examples repeat parts of others."""

good, bad = st.just("good"), st.just("bad")
anything = operations(DESIGNS["shared"], SESSIONS, ROLES, ("a", "b"))
ONCE = (Rollback, ListBackups, Disconnect, Advance, Grant, Revoke, AddMember, DropRole)
"""Operations that are named once."""


def share(drawn: st.SearchStrategy[Drawn], counts: Callable[[Drawn], bool], draws: int = DRAWS) -> float:
    """The share of the draws that count; ``draws``: in an example."""
    found: list[bool] = []

    @settings(REPEATABLE, max_examples=EXAMPLES)
    @given(st.lists(drawn, min_size=draws, max_size=draws))
    def draw(values: list[Drawn]) -> None:
        found.extend(map(counts, values))

    draw()
    return sum(found) / len(found)


@pytest.mark.parametrize(
    ("drawn", "counted", "meant"),
    [
        (weighted(good, good, bad), ("bad",), 1 / 3),
        (weighted(bad, good, bad, bad, bad), ("bad",), 4 / 5),
        (mostly(good, bad), ("bad",), 1 / 6),
        (mostly(good, bad, st.just("worse")), ("bad",), 1 / 7),
        (mostly(good | good.map(str), bad | bad.map(str)), ("bad",), 1 / 6),
        (st.sampled_from(["good", "good", "good", "bad"]), ("bad",), 1 / 4),
        (labels(("a", "b")), BAD_LABELS, 1 / 6),
        (ttls(), BAD_TTLS, 1 / 6),
        (any_label, BAD_LABELS, 1 / 6),
        (any_ttl, BAD_TTLS, 1 / 7),
    ],
    ids=["weighted", "mixed", "mostly", "two", "branches", "sampled", "labels", "ttls", "walk's labels", "walk's ttls"],
)
def test_a_share_is_as_it_is_meant(drawn: st.SearchStrategy[object], counted: tuple[object, ...], meant: float) -> None:
    assert share(drawn, lambda one: one in counted) == pytest.approx(meant, abs=NEAR)


@pytest.mark.parametrize("kind", [Start, Connect])
def test_an_operation_that_is_named_twice_is_drawn_more_often(kind: type[Operation]) -> None:
    once = share(anything, lambda one: isinstance(one, ONCE)) / len(ONCE)
    assert share(anything, lambda one: isinstance(one, kind)) > 1.4 * once


def test_most_histories_begin_with_everybody_connected() -> None:
    connected = share(
        histories(DESIGNS["shared"], 2, ROLES, ("a", "b")),
        lambda history: [one.session for one in history[:2] if isinstance(one, Connect)] == [0, 1],
        draws=2,
    )
    assert connected == pytest.approx(5 / 6, abs=NEAR)


def test_a_rule_that_is_there_again_under_another_name_is_likelier() -> None:
    """... although Hypothesis does without some rules in each example, by their names."""
    taken: list[str] = []

    class Machine(RuleBasedStateMachine):
        """Two rules are one."""

        @rule()
        def once(self) -> None:
            taken.append("once")

        @rule()
        def twice(self) -> None:
            taken.append("twice")

        @rule()
        def again(self) -> None:
            taken.append("twice")

        @rule()
        def beside(self) -> None:
            taken.append("beside")

    run_state_machine_as_test(Machine, settings=settings(REPEATABLE, max_examples=400, stateful_step_count=20))
    assert taken.count("twice") / len(taken) == pytest.approx(1 / 2, abs=0.12)


# Walks


@pytest.fixture(scope="module")
def walks() -> list[list[Step]]:
    """What is done to the extension."""
    return rehearse(SHARED, 300)


@pytest.fixture(scope="module")
def starts(walks: list[list[Step]]) -> list[tuple[Start, bool]]:
    """The starts of these walks, and whether they succeed."""
    steps = [step for walk in walks for step in walk]
    return [(one.operation, isinstance(one.outcome, Ok)) for one in steps if isinstance(one.operation, Start)]


def test_few_starts_of_a_walk_ask_for_what_there_is_not(starts: list[tuple[Start, bool]]) -> None:
    bad = [start for start, _ in starts if start.label in BAD_LABELS or start.ttl in BAD_TTLS]
    assert len(bad) / len(starts) < 0.17


def test_a_third_of_the_starts_of_a_walk_succeed(starts: list[tuple[Start, bool]]) -> None:
    """... the others have no right to it, or find that the label is in use."""
    assert sum(succeeds for _, succeeds in starts) / len(starts) > 0.26


def test_most_walks_have_backups_that_run(walks: list[list[Step]]) -> None:
    most = [max(step.after.live_backups() for step in walk) for walk in walks]
    assert sum(map(bool, most)) / len(most) > 0.65
    assert sum(most) / len(most) > 1.5


@pytest.mark.parametrize(
    "kind", [Start, Stop, Abort, Renew, ListBackups, Rollback, StockStart, StockStop, Disconnect, Connect]
)
def test_what_is_printed_of_a_walk_names_the_session_that_acted(kind: type[Operation]) -> None:
    """... also when others have ended. The walk is not made smaller: there is more to compare in a long one."""

    class Machine(Rehearsal):
        """Fails when a session does that, and the first one has ended, but not with the server."""

        implementation = SHARED

        def step(self, operation: Operation) -> None:
            done = [step.operation for step in self.steps]
            super().step(operation)
            alone = Disconnect(0) in done and not any(isinstance(one, Restart) for one in done)
            assert not (alone and isinstance(operation, kind))

    with pytest.raises(AssertionError) as failure:
        run_state_machine_as_test(Machine, settings=settings(REPEATABLE, max_examples=300, phases=UNSHRUNK))
    printed = [int(named[1]) for note in failure.value.__notes__ if (named := re.search(r"\bsession=(\d)", note))]
    acted = [step.operation.session for step in Machine.walks[-1] if hasattr(step.operation, "session")]
    assert Disconnect(0) in [step.operation for step in Machine.walks[-1]]
    assert acted[-len(printed) :] == printed
