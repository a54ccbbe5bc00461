"""The model keeps its own word: it is total and deterministic, and explore and the tour see what walks see."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.design import CATALOG, DESIGNS, DURABLE, SHARED, STOCK, THREAD, Design, OnRestart, StopPolicy
from model.explore import Reached, concrete, explore, history, operations_of
from model.normal import normal, points_of
from model.numbers import StartPoint, Time
from model.operations import (
    Abort,
    Advance,
    Connect,
    Fenced,
    Hazard,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Start,
    Stop,
)
from model.outcomes import Failed, Ok, Outcome, SqlState, StopRow
from model.promises import Transition
from model.scope import ALICE, BOB, ROOT, Scope, fenced, operations, start_of
from model.state import BackupState, Cluster, initial
from model.steps import Situation
from model.tour import ROLES, SESSIONS, beginning, classes_on, classify, scopes, walk_plan
from model.transition import DONE, run, view
from properties.support import strategies
from properties.support.tours import shared_tour

designs = st.sampled_from(list(DESIGNS.values()))
HAZARDS = tuple(Hazard)


@given(st.data(), designs)
def test_every_operation_has_exactly_one_outcome_and_leaves_nothing_half_done(
    data: st.DataObject, design: Design
) -> None:
    cluster = initial(design, ROLES, 3)
    for operation in data.draw(strategies.histories(design, 3, ROLES, ("a", "b"), HAZARDS)):
        ((cluster, outcome),) = run(design, cluster, operation)
        assert isinstance(outcome, Ok | Failed)
        assert all(b.state not in (BackupState.STARTING, BackupState.STOPPING) for _, b in cluster.backups)
        assert list(cluster.backups) == sorted(cluster.backups, key=lambda item: item[0])


@given(st.data(), designs)
def test_states_that_explore_takes_for_one_behave_as_one(data: st.DataObject, design: Design) -> None:
    cluster = beginning(design)
    likeness = normal(cluster)
    for operation in data.draw(strategies.histories(design, SESSIONS, ROLES, ("a", "b"), HAZARDS)):
        if isinstance(operation, Fenced) and (operation.start_point or 0) > len(likeness.remembered_points()):
            continue
        meant = operation
        if isinstance(operation, Fenced) and operation.start_point:
            points = points_of(Situation(cluster))
            meant = replace(operation, start_point=points[operation.start_point - 1])
        ((likeness, expected),) = run(design, likeness, operation)
        ((cluster, outcome),) = run(design, cluster, meant)
        likeness = normal(likeness)
        assert normal(cluster) == likeness == normal(likeness)
        assert type(outcome) is type(expected)
        if isinstance(outcome, Failed):
            assert outcome == expected
        if isinstance(outcome, Ok) and isinstance(outcome.value, StopRow):
            assert isinstance(expected, Ok)
            assert isinstance(expected.value, StopRow)
            row = expected.value
            assert row == replace(outcome.value, start_point=row.start_point, stop_time=row.stop_time)


WALKED = {
    design.name: Scope(
        design,
        roles=(ROOT, ALICE, BOB),
        labels=("a",),
        limits=(None, 1),
        policies=tuple(StopPolicy),
        stock=True,
        hazards=HAZARDS[:1],  # what is lost is lost, by whichever
    )
    for design in (STOCK, SHARED, THREAD, CATALOG, DURABLE)
}
"""Scopes small enough to explore in a test and large enough to walk in."""


@cache
def explored(name: str) -> frozenset[Cluster]:
    """Every state that explore finds in one of those scopes."""
    situations: list[Situation] = []

    def visit(_: Transition, reached: Reached) -> None:
        nonlocal situations
        situations = reached.situations

    explore(WALKED[name], promises=(), visit=visit)
    return frozenset([situation.cluster for situation in situations])


@given(st.data(), st.sampled_from(list(WALKED)))
def test_explore_has_been_wherever_a_walk_goes(data: st.DataObject, name: str) -> None:
    scope = WALKED[name]
    cluster = start_of(scope)
    for _ in range(data.draw(st.integers(0, 25))):
        operation = data.draw(st.sampled_from([*operations(scope), *fenced(scope, cluster)]))
        ((cluster, _),) = run(scope.design, cluster, operation)
        assert normal(cluster) in explored(name)


def test_explore_counts_what_it_visits_and_tells_the_way_there() -> None:
    scope = replace(WALKED["shared"], sessions=1)
    ways: dict[Situation, tuple[Situation, ...]] = {}
    visits = []

    def visit(transition: Transition, reached: Reached) -> None:
        visits.append(transition.outcome)
        ways.setdefault(transition.situation, history(reached, transition.situation))

    found = explore(scope, promises=(), visit=visit)
    assert (found.transitions, found.states) == (len(visits), len(ways))
    assert found.depth == max(map(len, ways.values())) - 1
    for reached, way in ways.items():
        cluster = start_of(scope)
        for operation in operations_of(concrete(scope, Situation(cluster), way)):
            ((cluster, _),) = run(scope.design, cluster, operation)
        assert normal(cluster) == reached.cluster


# Restarts of a design that reads its backups back

CRASH, POISONED, COPIED = (Restart(RestartKind.CRASH, hazard) for hazard in (None, Hazard.WAL_LEVEL, Hazard.COPY))
BACK = Connect(0, ALICE.name)
RETENTION = DURABLE.settings.result_retention


def after_each(*path: Operation) -> tuple[Cluster, Outcome]:
    """Where a path leads, and what came of its last operation."""
    cluster = beginning(DURABLE)
    outcome: Outcome = DONE
    for operation in path:
        ((cluster, outcome),) = run(DURABLE, cluster, operation)
    return cluster, outcome


@pytest.mark.parametrize(
    ("path", "with_control_file", "repeated"),
    [
        ((BACK, Start(0, "a"), Stop(0, "a")), False, False),
        ((BACK, Start(0, "a"), Stop(0, "a"), CRASH, BACK, Stop(0, "a")), False, True),
        ((BACK, Start(0, "a"), CRASH, BACK, Stop(0, "a")), True, False),
        ((BACK, Start(0, "a"), CRASH, CRASH, BACK, Stop(0, "a")), True, False),
        ((BACK, Start(0, "a"), CRASH, BACK, Stop(0, "a"), CRASH, BACK, Stop(0, "a")), True, True),
    ],
    ids=["no restart", "after the stop", "one", "two", "one before the stop and one after it"],
)
def test_a_control_file_comes_with_what_was_open_in_a_restart(
    path: tuple[Operation, ...], with_control_file: bool, repeated: bool
) -> None:
    row = StopRow("a", StartPoint(1), True, control_file=with_control_file, repeated=repeated, stop_time=Time(0))
    assert after_each(*path)[1] == Ok(row)
    later, _ = after_each(*path[:-1], Advance(1))
    assert run(DURABLE, normal(later), path[-1])[0][1] == Ok(row)


@pytest.mark.parametrize(
    ("before", "lost_at"),
    [
        ((Start(0, "a"), POISONED), 0),
        ((Start(0, "a", 30), Advance(20), POISONED), 20),
        ((Start(0, "a"), Stop(0, "a"), Advance(20), COPIED), 20),
        ((Start(0, "a"), POISONED, Advance(20), POISONED), 0),
        ((Start(0, "a"), COPIED, Advance(20), COPIED), 0),
    ],
    ids=["open", "with a deadline", "stopped", "lost already", "lost already, copied again"],
)
def test_what_is_lost_is_said_to_be_lost_as_long_as_a_result_is_kept(
    before: tuple[Operation, ...], lost_at: int
) -> None:
    cluster, _ = after_each(BACK, *before, BACK)
    rest = lost_at + RETENTION - cluster.now
    for passed, row, refused in (
        (rest - 1, [("a", "lost", None)], SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE),
        (rest, [], SqlState.UNDEFINED_OBJECT),
    ):
        later, _ = run(DURABLE, cluster, Advance(passed))[0]
        assert [(one.label, one.state, one.stop_time) for one in view(later)] == row
        for operation in (Stop(0, "a"), Abort(0, "a"), Renew(0, "a")):
            assert run(DURABLE, later, operation) == [(later, Failed(refused))]
        assert isinstance(run(DURABLE, later, Start(0, "a"))[0][1], Ok)
    assert cluster.running_backups == 0


# The tour


@pytest.mark.parametrize("name", ["stock", "shared", "thread", "durable"])
def test_the_tour_ends_each_path_with_its_class(name: str) -> None:
    design = DESIGNS[name]
    classes = shared_tour(DESIGNS[name], HAZARDS)
    for wanted, path in classes.items():
        assert list(classes_on(design, path))[-1] == wanted
    plan = walk_plan(design, classes)
    assert {seen for path in plan for seen in classes_on(design, path)} == set(classes)
    assert sum(map(len, plan)) < sum(map(len, classes.values()))


def test_the_tour_meets_every_row_of_the_error_table() -> None:
    rows = {(c.operation, c.label_state, c.relation, c.outcome) for c in shared_tour(DESIGNS["shared"], HAZARDS)}
    for row in (
        ("Start", "absent", "unprivileged", "42501"),
        ("Start (NULL label)", "-", "-", "22004"),
        ("Start (empty label)", "-", "-", "22023"),
        ("Start (long label)", "-", "-", "22023"),
        ("Start (control character)", "-", "-", "22023"),
        ("Start (ttl zero)", "-", "-", "22023"),
        ("Renew (ttl negative)", "-", "-", "22023"),
        ("Start", "active", "member", "42710"),
        ("Start", "stopped", "other", "42710"),
        ("Start", "stopped", "other", "ok"),
        ("Start", "absent", "-", "53400"),
        ("Stop", "absent", "-", "42704"),
        ("Stop", "active", "other", "42501"),
        ("Stop", "active", "member", "ok"),
        ("Stop", "active", "superuser", "ok"),
        ("Stop", "active", "disconnected", "08003"),
        ("Stop", "expired", "owner", "55000"),
        ("Stop", "stopped", "owner", "ok"),
        ("Stop (fenced)", "active", "owner", "ok"),
        ("Stop (stale)", "active", "owner", "55000"),
        ("Stop (stale)", "stopped", "owner", "55000"),
        ("Abort", "stopped", "owner", "55000"),
        ("Abort (fenced)", "active", "owner", "ok"),
        ("Abort (stale)", "active", "owner", "55000"),
        ("Abort (stale)", "stopped", "owner", "55000"),
        ("Renew", "stopped", "owner", "55000"),
        ("Renew (fenced)", "active", "owner", "ok"),
        ("Renew (stale)", "active", "owner", "55000"),
        ("Renew (stale)", "stopped", "owner", "55000"),
        ("Stop (holding a stock backup)", "active", "owner", "55000"),
        ("Abort (holding a stock backup)", "active", "owner", "55000"),
        ("Disconnect", "active", "owner", "ok"),
        ("Advance", "active to expired", "-", "ok"),
        ("Advance", "stopped to absent", "-", "ok"),
        ("Restart (crash)", "active to absent", "-", "ok"),
        ("DropRole", "active", "owner", "ok"),
        ("AddMember", "-", "-", "0LP01"),
    ):
        assert row in rows, row


def test_the_tour_meets_what_restarts_make_of_backups() -> None:
    rows = {(c.operation, c.label_state, c.relation, c.outcome) for c in shared_tour(DESIGNS["durable"], HAZARDS)}
    for row in (
        *(
            (f"Restart ({kind})", state, "-", "ok")
            for kind in RestartKind
            for state in ("active", "stopped", "expired")
        ),
        *((f"Restart (crash, {hazard})", "active to lost", "-", "ok") for hazard in HAZARDS),
        *((f"Restart (crash, {hazard})", "lost", "-", "ok") for hazard in HAZARDS),
        ("Restart (crash, wal level)", "stopped", "-", "ok"),
        ("Restart (crash, copy)", "stopped to lost", "-", "ok"),
        ("Stop (carried)", "active", "member", "ok"),
        ("Stop (carried)", "stopped", "owner", "ok"),
        ("Stop (fenced, carried)", "active", "owner", "ok"),
        ("Stop", "lost", "owner", "55000"),
        ("Stop", "lost", "other", "42501"),
        ("Stop (stale)", "lost", "owner", "55000"),
        ("Abort", "lost", "owner", "55000"),
        ("Renew", "lost", "owner", "55000"),
        ("Start", "lost", "owner", "ok"),
        ("Start", "lost", "other", "42710"),
        ("Advance", "lost to absent", "-", "ok"),
    ):
        assert row in rows, row


@pytest.mark.parametrize("name", DESIGNS)
def test_a_tour_has_no_hazard_that_was_not_asked_for(name: str) -> None:
    design = DESIGNS[name]
    for asked_for in ((), (Hazard.ABSENCE,), HAZARDS):
        steps = [step for scope in scopes(design, asked_for) for step in operations(scope)]
        met = {step.hazard for step in steps if isinstance(step, Restart) and step.hazard}
        assert met == (set() if design.on_restart is OnRestart.FORGET else set(asked_for))


@given(st.data(), st.sampled_from(["shared", "stock", "durable"]))
def test_a_walk_meets_no_class_that_the_tour_leaves_out(data: st.DataObject, name: str) -> None:
    design, known = DESIGNS[name], shared_tour(DESIGNS[name], HAZARDS)
    cluster = beginning(design)
    for operation in data.draw(strategies.histories(design, SESSIONS, ROLES, ("a",), HAZARDS)):
        if isinstance(operation, Restart) and operation.hazard:  # the tour has them with one kind only
            operation = replace(operation, kind=RestartKind.CRASH)
        fence = operation.start_point if isinstance(operation, Fenced) else None
        fenced_in_vain = fence is not None and not design.fencing
        if isinstance(operation, Advance) or fenced_in_vain:
            continue
        ((after, outcome),) = run(design, cluster, operation)
        if outcome != Failed(SqlState.UNDEFINED_FUNCTION):
            met = classify(Transition(design, cluster, operation, outcome, after))
            assert met in known, met
        cluster = after
