"""Exploration keeps its word: phases add to what is reached and take nothing away, and what is one behaves as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest

from model.axes import AXES, BAREST, MULTI_SESSION, moved, point
from model.design import DESIGNS, DURABLE, SHARED, SHARED_FIXED, STOCK, THREAD, Design
from model.explore import Reached, beginning, explore, operations_of, representative, steps_of
from model.features import Search, cost, design_of, points
from model.graph import graph
from model.normal import normal
from model.operations import Advance, Grant, Restart, Revoke, Start
from model.promises import PROMISES, Promise, Transition
from model.scope import ALICE, DAVE, ERIN, Scope, scope_of
from model.state import STARTING, STOPPING, Backup
from model.steps import Cancel, CutOff, Lose, NextPhase, Result, Situation, Step, take, words
from model.transition import Pending

PROMISED = {promise.name: promise for promise in PROMISES}


def situations(scope: Scope) -> set[Situation]:
    """Every situation that an exploration reaches."""
    one_of = representative(scope)
    reached = {one_of(beginning(scope, None))}
    explore(scope, promises=(), visit=lambda t, _: reached.add(one_of(Situation(t.after, t.left))))
    return reached


LITTLE = Scope(THREAD, roles=(DAVE,), labels=("a", "b"), ttls=(None,))
TIMED = Scope(SHARED, roles=(ALICE,), ttls=(10,), retentions=(0, 10))


@pytest.mark.parametrize("scope", [LITTLE, TIMED], ids=["two labels", "with deadlines"])
def test_what_operations_reach_one_after_the_other_they_reach_phase_by_phase(scope: Scope) -> None:
    at_rest = {one.cluster for one in situations(replace(scope, phases=True)) if not one.busy()}
    assert {one.cluster for one in situations(scope)} <= {normal(cluster) for cluster in at_rest}


def test_only_what_is_under_way_is_starting_or_stopping() -> None:
    """... where nothing but the design KEEP forgets what was under way."""
    for situation in situations(replace(LITTLE, design=DURABLE, phases=True)):
        amid = {label for label, backup in situation.cluster.backups if backup.state in (STARTING, STOPPING)}
        assert amid == {pending.operation.label for pending in situation.busy()}


ALIKE = {
    "sessions and labels": replace(LITTLE, phases=True),
    "core's own beside": replace(LITTLE, labels=("a",), stock=True, phases=True),
    "one after the other": replace(LITTLE, design=SHARED, sessions=3),
    "roles": Scope(
        THREAD,
        roles=(DAVE, ERIN),
        ttls=(None,),
        administration=(Grant(DAVE.name), Revoke(DAVE.name), Grant(ERIN.name), Revoke(ERIN.name)),
        phases=True,
    ),
}


def images(scope: Scope, situation: Situation) -> Iterator[Situation]:
    """The same with sessions, labels and, if they are alike, roles in each other's place, in every way."""
    labels, names = [label for label in scope.labels if label], [role.name for role in scope.roles]
    for order in permutations(range(scope.sessions)):
        for new_labels in permutations(labels):
            for new_names in permutations(names) if scope.administration else [names]:
                label, name = dict(zip(labels, new_labels, strict=True)), dict(zip(names, new_names, strict=True))
                yield image(situation, order, label, name)


def image(situation: Situation, order: tuple[int, ...], label: dict[str, str], name: dict[str, str]) -> Situation:
    """The same, with the sessions in that order, and labels and roles called so."""

    def owned(backup: Backup) -> Backup:
        return backup._replace(owner=name[backup.owner], before=backup.before and owned(backup.before))

    def of(pending: Pending, number: int) -> Pending:
        operation = replace(pending.operation, session=number, label=label[pending.operation.label or ""])
        return pending._replace(operation=operation)

    cluster, under_way = situation
    sessions = [cluster.sessions[was] for was in order]
    amid = [under_way[was] for was in order] if under_way else []
    roles = [role._replace(name=name[role.name]) for role in cluster.roles]
    return Situation(
        cluster._replace(
            sessions=tuple([one and one._replace(role=name[one.role]) for one in sessions]),
            backups=tuple(sorted([(label[one], owned(backup)) for one, backup in cluster.backups])),
            roles=tuple(sorted(roles)),
        ),
        tuple([pending and of(pending, number) for number, pending in enumerate(amid)]),
    )


@pytest.mark.parametrize("alike", ALIKE)
def test_symmetry_changes_no_verdict_and_counts_each_orbit_once(alike: str) -> None:
    scope = ALIKE[alike]
    in_full, reduced = explore(scope), explore(replace(scope, symmetry=True))
    orbits = {min(map(repr, images(scope, one))) for one in situations(scope)}
    assert reduced.states == len(orbits) < in_full.states
    assert reduced.complete
    assert {name: len(path) for name, path in reduced.broken.items()} == {
        name: len(path) for name, path in in_full.broken.items()
    }


def test_a_history_in_phases_can_be_taken_step_by_step_and_breaks_its_promise_last() -> None:
    scope = replace(scope_of("overlapping", DESIGNS["catalog"]), results=())
    steps = steps_of(explore(scope).broken["nothing_is_open_for_ever"])
    assert steps[0] == Start(0, "a")
    assert isinstance(steps[-1], Restart)


def test_cancelled_and_lost_operations_are_among_the_steps() -> None:
    kinds = {type(edge.step) for edge in graph(replace(LITTLE, labels=("a",), phases=True)).edges}
    assert {NextPhase, Cancel, Lose, Start, Advance} <= kinds


@pytest.mark.parametrize("design", [STOCK, SHARED, DURABLE], ids=lambda design: design.name)
@pytest.mark.parametrize("phases", [False, True], ids=["one after the other", "phase by phase"])
def test_an_exploration_goes_wherever_a_step_may_lead_and_nowhere_else(design: Design, phases: bool) -> None:
    scope = Scope(design, roles=(DAVE,), ttls=(10,), stock=True, phases=phases)
    gone: dict[tuple[Situation, Step], list[tuple[Situation, Result, bool]]] = {}

    def visit(seen: Transition, _: Reached) -> None:
        after = Situation(seen.after, seen.left)
        gone.setdefault((seen.situation, seen.step), []).append((after, seen.outcome, seen.changed))

    explore(scope, promises=(), visit=visit)
    for (before, step), ways in gone.items():
        assert ways == [(to, told, to.cluster is not before.cluster) for to, told in take(design, before, step)]
    assert {type(step) for _, step in gone} >= (
        {NextPhase, Cancel, Lose, Restart} if phases and design is not STOCK else {Restart}
    )


BEFORE_A_PHASE = {
    "take start point": {"absent"},
    "publish start": {"absent", "active"},
    "end backup": {"active"},
    "publish stop": {"stopped"},
    "release": {"active", "absent"},
}
"""Where an operation is cut off, and what that may leave of the backup."""


def test_what_is_cut_off_before_its_last_phase_may_have_come_to_its_end() -> None:
    """... and a stop must have: core knows nothing of the backup any more. Elsewhere nothing is left."""
    scope = Scope(SHARED, roles=(DAVE,), ttls=(None,), sessions=1, phases=True)
    left: dict[tuple[type, str], set[str]] = {}

    def visit(seen: Transition, _: Reached) -> None:
        if isinstance(seen.operation, CutOff) and not seen.before.places():
            (pending,) = seen.situation.busy()
            backup = seen.after.backup("a")
            found = left.setdefault((type(seen.operation), words(pending)), set())
            found.add("absent" if backup is None else backup.state.value)

    explore(scope, promises=(), visit=visit)
    assert left == {(kind, phase): then for kind in (Cancel, Lose) for phase, then in BEFORE_A_PHASE.items()}


def test_an_exploration_that_is_ended_early_says_so() -> None:
    heard = []
    found = explore(TIMED, watch=lambda so_far, waiting: heard.append((so_far.states, waiting)) or len(heard) < 3)  # type: ignore[func-returns-value]
    assert not found.complete
    assert heard[-1][0] == found.states < explore(TIMED).states


# Graphs


@pytest.mark.parametrize("design", [STOCK, THREAD, DURABLE], ids=lambda design: design.name)
def test_a_graph_has_every_situation_every_step_and_every_broken_promise(design: Design) -> None:
    scope = Scope(design, roles=(DAVE,), ttls=(None,), phases=True)
    drawn, found = graph(scope), explore(scope)
    assert len(drawn.nodes) == found.states
    assert len(drawn.edges) == found.transitions
    assert [edge.source for edge in drawn.edges] == sorted(edge.source for edge in drawn.edges)
    in_nodes, on_edges = (
        {name for node in drawn.nodes for name in node.broken},
        {name for edge in drawn.edges for name in edge.broken},
    )
    assert in_nodes | on_edges == set(found.broken)


# Axes and features


@pytest.mark.parametrize("name", DESIGNS)
def test_every_named_design_is_a_point_among_the_axes(name: str) -> None:
    design = DESIGNS[name]
    there = moved(BAREST, point(design))
    assert replace(there, name=name, settings=design.settings) == design
    assert point(there) == point(design)


def test_a_value_that_an_axis_does_not_have_is_refused_in_a_sentence() -> None:
    for axis in AXES:
        with pytest.raises(ValueError, match=f"^{axis.name} is .* not purple: "):
            moved(SHARED, {axis.name: "purple"})
    with pytest.raises(ValueError, match=r"^there is no axis colour: "):
        moved(SHARED, {"colour": "purple"})


@pytest.mark.parametrize(
    ("design", "features"),
    [(SHARED, {"storage": "fixed"}), (SHARED_FIXED, {"limit": "off"})],
    ids=["bare", "taken off"],
)
def test_memory_that_is_set_aside_needs_a_limit(design: Design, features: dict[str, str]) -> None:
    """A server would refuse to start."""
    with pytest.raises(ValueError, match=r"^storage=fixed needs a limit"):
        moved(design, features)
    assert moved(design, {**features, "limit": "3"}).settings.max_backups == 3


def test_what_is_read_back_has_room_beside_what_a_lowered_limit_sets_aside() -> None:
    """... where operations overlap, too; and a start waits for it to end."""
    design = moved(DURABLE, {"limit": "2", "storage": "fixed"})
    scope = Scope(design, roles=(DAVE,), labels=("a", "b"), ttls=(None,), limits=(1, 2), results=(1,))
    for phases in (False, True):
        found = explore(replace(scope, phases=phases, symmetry=phases, sessions=2 if phases else 1))
        assert found.complete
        assert not {name for name in found.broken if PROMISED[name].claimed_by(design)}


def test_features_are_tried_with_what_they_need_and_subsets_first() -> None:
    tried = points()
    assert len(set(tried)) == len(tried) > 100
    for number, features in enumerate(tried):
        assert not features or MULTI_SESSION in features
        assert "lease=on" not in features or "expiry=on" in features
        assert "storage=fixed" not in features or "limit=2" in features
        assert not any(features < earlier for earlier in tried[:number])


def kept(*names: str) -> Search:
    """The search for what keeps these promises."""
    scopes = {"stock": lambda design: scope_of("stock", design)}
    search = Search(tuple(PROMISED[name] for name in names), scopes)
    search.run()
    assert search.complete
    return search


@pytest.mark.parametrize(
    ("promises", "smallest"),
    [
        (["live_backups_are_bounded"], [set()]),
        (["any_session_stops_it"], [{MULTI_SESSION}]),
        (["any_session_stops_it", "a_late_stop_can_be_told_apart"], [{MULTI_SESSION, "fence=on"}]),
        (["a_slow_copy_can_go_on", "nothing_is_open_for_ever"], [{MULTI_SESSION, "expiry=on", "lease=on"}]),
        (["any_session_stops_it", "live_backups_are_bounded"], [{MULTI_SESSION, "limit=2", "storage=fixed"}]),
        (
            ["survives_a_restart", "stop_can_be_asked_again"],
            [{MULTI_SESSION, "on_restart=resume", "retention=600"}],
        ),
    ],
    ids=lambda value: ", ".join(value) if value and isinstance(value[0], str) else "",
)
def test_the_smallest_sets_of_features_are_found(promises: list[str], smallest: list[set[str]]) -> None:
    assert kept(*promises).sets == smallest


def broken_in(features: frozenset[str], keep: tuple[Promise, ...]) -> set[str]:
    """The promises that the point with these features breaks."""
    return {promise.name for promise in keep} & set(explore(scope_of("stock", design_of(features))).broken)


def test_a_smallest_set_keeps_its_promises_and_without_any_of_its_features_one_breaks() -> None:
    search = kept("any_session_stops_it", "stop_can_be_asked_again", "nothing_is_open_for_ever")
    assert search.sets
    for features in search.sets:
        assert not broken_in(features, search.keep)
        found = dict(search.without(features))
        assert set(found) == features
        for refutation in found.values():
            assert operations_of(refutation.path)
    assert [cost(features) for features in search.sets] == sorted(cost(features) for features in search.sets)
