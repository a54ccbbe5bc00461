"""What the designs promise, they keep; what they do not, they break in so many steps; and what keeps can be broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import permutations

import pytest

from model import steps as stepping
from model import transition
from model.design import (
    CATALOG,
    DESIGNS,
    DURABLE,
    SHARED,
    SHARED_FIXED,
    STOCK,
    THREAD,
    Design,
    Room,
    Settings,
    StopPolicy,
)
from model.explore import Reached, explore, operations_of
from model.interleave import Run, interleavings
from model.numbers import StartPoint
from model.operations import (
    Abort,
    Advance,
    Connect,
    Disconnect,
    Hazard,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Rollback,
    SetLimit,
    Start,
    Stop,
)
from model.outcomes import Ok, StopRow
from model.promises import PROMISES, Transition
from model.scope import ALICE, DAVE, OVERLAPPING, SCOPES, Scope, scope_of
from model.state import ACTIVE, LOST, STARTING, STOPPED, Backup, BackupState, Cluster, Session, initial
from model.transition import Pending, Steps, end_backup, publish_stop, run


@pytest.mark.parametrize("scope", ["settings", "stock", "owners", "restarts", *OVERLAPPING])
@pytest.mark.parametrize("name", DESIGNS)
def test_every_promise_that_a_design_claims_is_kept(name: str, scope: str) -> None:
    design = DESIGNS[name]
    broken = explore(scope_of(scope, design)).broken
    assert not {p.name: broken[p.name] for p in PROMISES if p.name in broken and p.claimed_by(design)}


def test_what_is_preallocated_is_a_limit_whatever_the_setting() -> None:
    design = replace(SHARED_FIXED, settings=Settings(max_backups=1))
    full = []

    def visit(found: Transition, _: Reached) -> None:
        since_start = found.before.room.max_backups
        assert since_start is not None
        if not isinstance(found.operation, Restart):
            assert found.after.live_backups() <= since_start
        if isinstance(found.operation, Start) and found.outcome == transition.LIMIT_REACHED:
            full.append(found.before.settings.max_backups != since_start)

    explore(Scope(design, labels=("a", "b"), limits=(None, 0, 1, 2)), promises=(), visit=visit)
    assert any(full)


def test_what_is_preallocated_is_what_the_setting_was_when_the_server_started() -> None:
    """A higher setting applies from the next start on, and one without a limit is refused."""
    cluster = initial(replace(SHARED_FIXED, settings=Settings(max_backups=1)), (ALICE,), 1)
    steps: list[tuple[Operation, int]] = [
        (SetLimit(0), 0),
        (SetLimit(2), 1),
        (Restart(RestartKind.FAST), 2),
        (SetLimit(1), 1),
        (Restart(RestartKind.CRASH), 1),
        (SetLimit(None), 1),
    ]
    for operation, limit in steps:
        ((cluster, outcome),) = run(SHARED_FIXED, cluster, operation)
        assert cluster.max_backups == limit, operation
        assert (outcome == transition.NO_LIMIT) == (operation == SetLimit(None))


def test_every_promise_is_claimed_by_some_design_and_every_design_claims_some() -> None:
    for promise in PROMISES:
        assert any(promise.claimed_by(design) for design in DESIGNS.values()), promise.name
    for design in DESIGNS.values():
        assert any(promise.claimed_by(design) for promise in PROMISES), design.name


START, STOP, LEAVE = Start(0, "a"), Stop(0, "a"), Disconnect(0)
RESTART = Restart(RestartKind.FAST)


@pytest.mark.parametrize(
    ("design", "promise", "counterexample"),
    [
        (STOCK, "outlives_its_session", (START, LEAVE)),
        (STOCK, "any_session_stops_it", (START, Stop(1, "a"))),
        (STOCK, "stop_can_be_asked_again", (START, STOP)),
        (STOCK, "survives_a_restart", (START, RESTART)),
        (SHARED, "survives_a_restart", (START, RESTART)),
        (THREAD, "survives_a_restart", (START, RESTART)),
        (THREAD, "stop_can_be_asked_again", (START, STOP)),
        (THREAD, "a_late_stop_can_be_told_apart", (START,)),
        (CATALOG, "core_counts_what_runs", (START, RESTART)),
        (CATALOG, "survives_a_restart", (START, RESTART)),
        (CATALOG, "success_can_be_restored", (START, RESTART, Connect(0, "alice"), STOP)),
        (CATALOG, "a_loss_is_told", (START, RESTART)),
        (SHARED, "a_loss_is_told", (START, RESTART)),
        (STOCK, "a_loss_is_told", (START, RESTART)),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name if isinstance(value, Design) else "",
)
def test_what_a_design_does_not_claim_has_a_shortest_counterexample(
    design: Design, promise: str, counterexample: tuple[Operation, ...]
) -> None:
    assert not next(p for p in PROMISES if p.name == promise).claimed_by(design)
    assert operations_of(explore(SCOPES["stock"](design)).broken[promise]) == counterexample


# Each promise is broken by a mutant of the transition relation

original = transition.__dict__.copy()
"""The relation as it is, for mutants to call."""


def reserve_leaks(design: Design, cluster: Cluster, start: Start) -> Steps:
    """A start refused by the limit leaves its label STARTING."""
    ((after, result),) = original["reserve"](design, cluster, start)
    if result is transition.LIMIT_REACHED:
        after = transition.put(cluster, start.label or "", Backup(BackupState.STARTING, owner="alice"))
    return ((after, result),)


def reserve_without_limit(design: Design, cluster: Cluster, start: Start) -> Steps:
    """A start does not look at the limit."""
    settings = cluster.settings
    ((after, result),) = original["reserve"](
        design, cluster._replace(settings=settings._replace(max_backups=None)), start
    )
    return ((after._replace(settings=settings), result),)


def reserve_without_room(design: Design, cluster: Cluster, start: Start) -> Steps:
    """A start looks at the setting, and not at what memory there is."""
    ((after, result),) = original["reserve"](design, cluster._replace(room=Room()), start)
    return ((after._replace(room=cluster.room), result),)


def forget_the_newest(cluster: Cluster) -> Cluster:
    """Beyond the limit it is the last results that are forgotten."""
    turned = [(label, b._replace(ended=-b.ended)) for label, b in cluster.backups]
    after: Cluster = original["forget"](cluster.with_backups(tuple(turned)))
    return after.with_backups(tuple([(label, b._replace(ended=-b.ended)) for label, b in after.backups]))


def forget_without_limit(cluster: Cluster) -> Cluster:
    """Results are remembered without a limit to their number."""
    settings = cluster.settings
    after: Cluster = original["forget"](cluster._replace(settings=settings._replace(max_results=None)))
    return after._replace(settings=settings)


def start_point_of_yesterday(cluster: Cluster) -> Cluster:
    """Core gives out the same start point again."""
    return cluster.with_core(StartPoint(1), cluster.running_backups + 1)


def disconnect_forgets(cluster: Cluster, operation: Disconnect) -> Steps:
    """The end of a session ends the backups of its role."""
    session = cluster.sessions[operation.session]
    kept = tuple(item for item in cluster.backups if session is None or item[1].owner != session.role)
    cluster = cluster._replace(backups=kept, running_backups=len(kept) + len(cluster.stock_backups()))
    steps: Steps = original["disconnect"](cluster, operation)
    return steps


def only_its_starter_stops(design: Design, cluster: Cluster, stop: Stop) -> Steps:
    """A stop is refused to whoever did not start the backup, whatever the policy."""
    session, backup = cluster.sessions[stop.session], cluster.backup(stop.label or "")
    if session is not None and backup is not None and backup.owner != session.role:
        return transition.fail(cluster, transition.BUSY)
    steps: Steps = original["claim_to_stop"](design, cluster, stop)
    return steps


def stop_without_result(design: Design, cluster: Cluster, pending: Pending) -> Steps:
    """What a stop hands out is not kept."""
    ((after, result),) = original["publish_stop"](design, cluster, pending)
    return ((transition.put(after, pending.operation.label or "", None), result),)


def reserve_a_live_label(design: Design, cluster: Cluster, start: Start) -> Steps:
    """A start does not look whether its label is live."""
    backup = cluster.backup(start.label or "")
    live = backup is not None and backup.live
    steps: Steps = original["reserve"](
        design, transition.put(cluster, start.label or "", None) if live else cluster, start
    )
    return steps


def rollback_undoes(design: Design, cluster: Cluster, operation: Operation) -> Steps:
    """A start that is rolled back is undone."""
    if isinstance(operation, Rollback):
        return transition.done(cluster)
    steps: Steps = original["invoke"](design, cluster, operation)
    return steps


def results_for_everyone(design: Design, cluster: Cluster, stop: Stop) -> Steps:
    """A result is handed out before anyone asks for the right."""
    backup = cluster.backup(stop.label or "")
    if cluster.sessions[stop.session] and backup is not None and backup.state is STOPPED:
        return ((cluster, Ok(transition.handed_out(stop.label or "", backup, repeated=True))),)
    steps: Steps = original["claim_to_stop"](design, cluster, stop)
    return steps


def renew_all(design: Design, cluster: Cluster, operation: Renew) -> Steps:
    """A renewal moves the deadlines of all backups."""
    ((after, result),) = original["renew"](design, cluster, operation)
    if isinstance(result, Ok):
        renewed = tuple((label, b._replace(expires_at=result.value)) for label, b in after.backups if b.state is ACTIVE)
        after = after.with_backups(tuple(sorted((dict(after.backups) | dict(renewed)).items())))
    return ((after, result),)


def renew_as_before(design: Design, cluster: Cluster, operation: Renew) -> Steps:
    """A renewal tells the deadline that was."""
    backup = cluster.backup(operation.label or "")
    ((after, result),) = original["renew"](design, cluster, operation)
    return ((after, Ok(backup.expires_at) if isinstance(result, Ok) and backup is not None else result),)


def settings_for_open_backups(cluster: Cluster, settings: Settings) -> Cluster:
    """A new time to live holds for backups that are open."""
    after: Cluster = original["with_settings"](cluster, settings)
    if settings.ttl == cluster.settings.ttl:
        return after
    moved = [(label, b._replace(expires_at=transition.deadline(after, None))) for label, b in after.backups]
    return after.with_backups(tuple(moved))


MUTANTS: dict[str, tuple[str, str, Callable[..., object]]] = {
    "leak": ("refusal_leaves_no_trace", "reserve", reserve_leaks),
    "release forgotten": ("core_counts_what_runs", "release_core", lambda cluster: cluster),
    "limit not checked": ("limit_is_kept", "reserve", reserve_without_limit),
    "the newest results are forgotten": ("oldest_results_go_first", "forget", forget_the_newest),
    "results without a limit": ("oldest_results_go_first", "forget", forget_without_limit),
    "expiry skipped": ("nothing_outlives_its_deadline", "reap", transition.forget),
    "expiry without release": (
        "core_counts_what_runs",
        "reap",
        lambda cluster: original["reap"](cluster)._replace(running_backups=cluster.running_backups),
    ),
    "a renewal moves all deadlines": ("deadlines_are_as_told", "renew", renew_all),
    "a renewal tells the old deadline": ("deadlines_are_as_told", "renew", renew_as_before),
    "a new setting moves deadlines": ("deadlines_are_as_told", "with_settings", settings_for_open_backups),
    "start point given twice": ("start_points_differ", "count_backup", start_point_of_yesterday),
    "session takes its backups along": ("outlives_its_session", "disconnect", disconnect_forgets),
    "session takes its backups along, whoever looks": (
        "it_holds_no_connection",
        "disconnect",
        disconnect_forgets,
    ),
    "room beyond what was set aside": (
        "live_backups_are_bounded",
        "reserve",
        reserve_without_room,
    ),
    "a live label is taken": ("a_label_is_not_used_twice", "reserve", reserve_a_live_label),
    "a rollback undoes": ("a_rollback_loses_nothing", "invoke", rollback_undoes),
    "nothing ever expires": ("nothing_is_open_for_ever", "reap", transition.forget),
    "no renewal": (
        "a_slow_copy_can_go_on",
        "renew",
        lambda design, cluster, operation: transition.fail(cluster, transition.BUSY),
    ),
    "results for everyone": ("label_files_are_for_those_who_may_stop", "claim_to_stop", results_for_everyone),
    "only the starter may stop": ("any_session_stops_it", "claim_to_stop", only_its_starter_stops),
    "result not kept": ("stop_can_be_asked_again", "publish_stop", stop_without_result),
    "fence not checked": ("fence_holds", "fenced_off", lambda operation, backup: None),
    "a stop that means another start is not refused": (
        "a_late_stop_can_be_told_apart",
        "fenced_off",
        lambda operation, backup: None,
    ),
    "fence checked by stops only": (
        "fence_holds",
        "fenced_off",
        lambda operation, backup: original["fenced_off"](operation, backup) if isinstance(operation, Stop) else None,
    ),
    "a stop too early not told": (
        "a_stop_too_early_is_told",
        "handed_out",
        lambda label, backup, repeated: original["handed_out"](label, backup, repeated=False),
    ),
    "owner not checked": ("only_the_owner_ends_it", "may_stop", lambda cluster, session, backup: True),
    "restart keeps the list only": (
        "success_can_be_restored",
        "restart",
        lambda design, cluster, hazard: original["restart"](CATALOG, cluster, hazard),
    ),
    "restart forgets": (
        "survives_a_restart",
        "restart",
        lambda design, cluster, hazard: original["restart"](SHARED, cluster, hazard),
    ),
}
"""What the mutant does wrong: the promise that it breaks, the function that it replaces, and with what."""


def what_is_lost_vanishes(cluster: Cluster, hazard: Hazard | None) -> Steps:
    """What can not be vouched for is not read back."""
    ((after, result),) = original["read_back"](cluster, hazard)
    return ((after.with_backups(tuple(item for item in after.backups if item[1].state is not LOST)), result),)


def core_not_told(cluster: Cluster, hazard: Hazard | None) -> Steps:
    """The backups go on, and the core does not know."""
    return tuple((after.with_core(after.start_points, 0), o) for after, o in original["read_back"](cluster, hazard))


def deadline_forgotten(cluster: Cluster, backup: Backup, hazard: Hazard | None) -> list[Backup]:
    """What goes on goes on for ever."""
    (after,) = original["comes_up"](cluster, backup, hazard)
    return [after._replace(expires_at=None)]


MUTANTS_OF_DURABLE: dict[str, tuple[str, str, Callable[..., object]]] = {
    **{
        f"{overlooked} overlooked": (
            "success_can_be_restored",
            "comes_up",
            lambda cluster, backup, hazard, overlooked=overlooked: original["comes_up"](
                cluster, backup, None if hazard is overlooked else hazard
            ),
        )
        for overlooked in Hazard
    },
    "hazards overlooked": (
        "a_loss_is_told",
        "comes_up",
        lambda cluster, backup, hazard: original["comes_up"](cluster, backup, None),
    ),
    "what is lost vanishes": ("a_loss_is_told", "read_back", what_is_lost_vanishes),
    "core not told again": ("core_counts_what_runs", "read_back", core_not_told),
    "deadline forgotten": ("survives_a_restart", "comes_up", deadline_forgotten),
    "result handed out otherwise": (
        "survives_a_restart",
        "comes_up",
        lambda cluster, backup, hazard: [
            after._replace(carried=True) for after in original["comes_up"](cluster, backup, hazard)
        ],
    ),
    "lost without a hazard": (
        "survives_a_restart",
        "comes_up",
        lambda cluster, backup, hazard: original["comes_up"](cluster, backup, Hazard.COPY),
    ),
}
"""The same for mutants of what becomes of backups in a restart, where there are state files."""


def give_up_halfway(cluster: Cluster, pending: Pending) -> Cluster:
    """What is cut off leaves the label as it was then."""
    return cluster


def give_up_what_has_ended(cluster: Cluster, pending: Pending) -> Cluster | None:
    """What is cut off is undone, also if core has ended the backup."""
    early = pending if pending.next_phase is not publish_stop else pending._replace(next_phase=end_backup)
    after: Cluster | None = original["give_up"](cluster, early)
    return after


def give_up_without_core(cluster: Cluster, pending: Pending) -> Cluster | None:
    """What is cut off does not tell core."""
    after: Cluster | None = original["give_up"](cluster, pending)
    return after and after._replace(running_backups=cluster.running_backups)


def reserve_beside_starts(design: Design, cluster: Cluster, start: Start) -> Steps:
    """A start does not count those that are starting."""
    starting = sum(backup.state is STARTING for _, backup in cluster.backups)
    settings, limit = cluster.settings, cluster.settings.max_backups
    raised = settings._replace(max_backups=None if limit is None else limit + starting)
    ((after, result),) = original["reserve"](design, cluster._replace(settings=raised), start)
    return ((after._replace(settings=settings), result),)


def give_up_results(cluster: Cluster, pending: Pending) -> Cluster | None:
    """What is cut off takes all results along."""
    after: Cluster | None = original["give_up"](cluster, pending)
    return after and after.with_backups(tuple([(label, b) for label, b in after.backups if b.state is not STOPPED]))


MUTANTS_AMID: dict[str, tuple[str, str, Callable[..., object]]] = {
    "what is cut off takes results along that there is room for": (
        "a_cut_is_all_or_nothing",
        "give_up",
        give_up_results,
    ),
    "what is cut off stays": ("a_cut_is_all_or_nothing", "give_up", give_up_halfway),
    "what has ended is undone": ("a_cut_is_all_or_nothing", "give_up", give_up_what_has_ended),
    "a cut stop stays for ever": ("nothing_is_open_for_ever", "give_up", give_up_halfway),
    "a cut start is not told to core": ("core_counts_what_runs", "give_up", give_up_without_core),
    "a start that is under way takes no room": ("limit_is_kept", "reserve", reserve_beside_starts),
    "a result that comes back is as old as the next": (
        "oldest_results_go_first",
        "ended_last",
        lambda cluster: 1 + max([backup.ended for _, backup in cluster.backups], default=0),
    ),
    "start point given twice at once": ("start_points_differ", "count_backup", start_point_of_yesterday),
    "goes on though core was told of its end": (
        "success_can_be_restored",
        "comes_up",
        lambda cluster, backup, hazard: original["comes_up"](cluster, backup._replace(ending=False), hazard),
    ),
    "stays as a restart caught it": (
        "survives_a_restart",
        "comes_up",
        lambda cluster, backup, hazard: [backup],
    ),
    "results of one restart have one place": (
        "oldest_results_go_first",
        "ended_together",
        lambda cluster, backup: transition.ended_last(cluster),
    ),
}
"""The same for mistakes that only show where operations overlap or are cut off."""

PROMISED = {promise.name: promise for promise in PROMISES}
ONE_PLACE = replace(SHARED_FIXED, settings=Settings(max_backups=1))


def plant(monkeypatch: pytest.MonkeyPatch, function: str, replacement: Callable[..., object]) -> None:
    """Replaces a function of the transition relation, whoever calls it."""
    for module in (transition, stepping):
        if hasattr(module, function):
            monkeypatch.setattr(module, function, replacement)


@cache
def broken_without_a_mutant(scope: Scope) -> set[str]:
    """The promises that the model as it is breaks."""
    return set(explore(scope).broken)


@pytest.mark.parametrize("mutant", [*MUTANTS, *MUTANTS_OF_DURABLE])
def test_a_mutant_breaks_its_promise(monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    name, function, replacement = (MUTANTS | MUTANTS_OF_DURABLE)[mutant]
    promise = PROMISED[name]
    designs = (SHARED, DURABLE, ONE_PLACE) if mutant in MUTANTS else (DURABLE,)
    design = next(one for one in designs if promise.claimed_by(one))
    whole = Scope(
        design,
        hazards=tuple(Hazard),
        roles=(ALICE, DAVE),
        labels=("a", "b"),
        ttls=(None, 10),
        limits=(1, 2) if design is ONE_PLACE else (None, 1),
        settings_ttls=(None, 10),
        results=(None, 1),
        policies=tuple(StopPolicy),
        sessions=1,
    )
    # One with more labels or one with more roles: together, they would take ten times as long.
    scopes = replace(whole, roles=(ALICE,), policies=()), replace(whole, labels=("a",))
    for scope in scopes:
        assert name not in broken_without_a_mutant(scope)
    plant(monkeypatch, function, replacement)
    assert any(name in explore(scope, promises=(promise,)).broken for scope in scopes)


ROOM = 5
"""Results that may be remembered: more than there ever are."""


@pytest.mark.parametrize("mutant", MUTANTS_AMID)
def test_a_mutant_breaks_its_promise_where_operations_overlap(monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    name, function, replacement = MUTANTS_AMID[mutant]
    scope = replace(scope_of("overlapping", DURABLE), limits=(None, 1), results=(1, ROOM))
    assert name not in broken_without_a_mutant(scope)
    plant(monkeypatch, function, replacement)
    assert name in explore(scope, promises=(PROMISED[name],)).broken


def test_every_promise_has_a_mutant() -> None:
    mutants = MUTANTS | MUTANTS_OF_DURABLE | MUTANTS_AMID
    assert {promise for promise, _, _ in mutants.values()} == set(PROMISED)


# A restart between any two phases of calls that overlap

CALLS: tuple[Operation, ...] = (Start(0, "a", 10), Stop(1, "a"), Abort(1, "a"), Renew(0, "a", 20), Advance(15))
FIRST = initial(DURABLE, (ALICE,), 2)._replace(sessions=(Session("alice"), Session("alice")))


def after_each(*operations: Operation) -> list[Cluster]:
    """Where these lead, one after the other, and all states on the way."""
    states = [FIRST]
    for operation in operations:
        ((reached, outcome),) = transition.run(DURABLE, states[-1], operation)
        assert isinstance(outcome, Ok)
        states.append(reached)
    return states


ABSENT, RUNNING, HANDED_OUT = after_each(Start(0, "a", 15), Stop(1, "a"))
BEGINNINGS = {
    "absent": ABSENT,
    "active": RUNNING,
    "stopped": HANDED_OUT,
    "carried": after_each(Start(0, "a", 15), RESTART, Connect(0, "alice"), Connect(1, "alice"))[-1],
    "lost": after_each(
        Start(0, "a"), Restart(RestartKind.CRASH, Hazard.COPY), Connect(0, "alice"), Connect(1, "alice")
    )[-1],
}


def restarted(first: Cluster, calls: tuple[Operation, ...], hazard: Hazard | None) -> Iterator[tuple[Run, Cluster]]:
    """Every way in which the calls and a restart may go: all until the restart, and the cluster after it."""
    number = len(calls)
    for found in interleavings(DURABLE, first, (*calls, Restart(RestartKind.CRASH, hazard))).values():
        for steps in found:
            at = next(position for position, step in enumerate(steps) if step.call == number)
            yield steps[:at], steps[at].cluster


def as_told(cluster: Cluster) -> object:
    """What callers know of the backups, however they came over a restart."""
    order = sorted(cluster.places())
    return tuple(
        (label, b._replace(carried=False, ended=b.ended and order.index(b.ended))) for label, b in cluster.backups
    ), cluster.running_backups


def may_be_left(first: Cluster, steps: Run) -> set[object]:
    """What a restart may leave when each call that it cuts off has either taken place or left no trace."""
    left = {steps[-1].cluster if steps else first}
    for pending in {step.call: step.result for step in steps}.values():
        if isinstance(pending, Pending):
            left = {
                after
                for cluster in left
                for after in (
                    transition.give_up(cluster, pending),
                    *(done for done, _ in transition.finish(DURABLE, transition.resume(DURABLE, cluster, pending))),
                )
                if after is not None
            }
    return {as_told(cluster) for cluster in left}


def check_restarts(first: Cluster, calls: tuple[Operation, ...], hazard: Hazard | None) -> int:
    """How many ways there were; fails if one of them loses what was told, or hands out what can not be restored."""
    found = list(restarted(first, calls, hazard))
    for steps, after in found:
        schedule = f"{calls}, {hazard or 'restart'} after the phases of {[step.call for step in steps]}"
        assert handed_out_after(after) in (None, True), f"not restorable: {schedule}"
        running = [backup for _, backup in after.backups if backup.state is ACTIVE]
        assert not (hazard and running), f"goes on: {schedule}"
        assert not any(0 < (b.expires_at or 0) <= after.now for b in running), f"outlives its deadline: {schedule}"
        if hazard is None:
            assert as_told(after) in may_be_left(first, steps), f"not what the files allow: {schedule}"
    return len(found)


def handed_out_after(cluster: Cluster) -> bool | None:
    """Is what a stop hands out now restorable? None: it is refused."""
    ((connected, _),) = transition.run(DURABLE, cluster, Connect(0, "alice"))
    ((_, outcome),) = transition.run(DURABLE, connected, STOP)
    return outcome.value.restorable if isinstance(outcome, Ok) and isinstance(outcome.value, StopRow) else None


def check_restarts_amid_pairs(first: str, hazard: Hazard | None) -> None:
    """The same for every two calls; fails also if there is next to nothing to check."""
    assert min(check_restarts(BEGINNINGS[first], calls, hazard) for calls in permutations(CALLS, 2)) > 3


@pytest.mark.parametrize("hazard", [None, Hazard.PAGE_WRITES_OFF, Hazard.COPY])
@pytest.mark.parametrize("first", BEGINNINGS)
def test_a_restart_between_any_two_phases_leaves_what_the_files_allow(first: str, hazard: Hazard | None) -> None:
    check_restarts_amid_pairs(first, hazard)


def test_a_restart_among_the_phases_of_three_calls_leaves_what_the_files_allow() -> None:
    for first, calls in ((ABSENT, (CALLS[0], *CALLS[1:3])), (RUNNING, CALLS[1:4]), (RUNNING, (CALLS[1], *CALLS[3:]))):
        assert check_restarts(first, calls, None) > 20


AMID_CALLS: dict[str, tuple[str, str, str, Callable[..., object]]] = {
    "goes on though core was told of its end": (
        "active",
        "not restorable",
        "comes_up",
        lambda cluster, backup, hazard: original["comes_up"](cluster, backup._replace(ending=False), hazard)[:1],
    ),
    "stays as it was caught": (
        "active",
        "not what the files allow",
        "comes_up",
        lambda cluster, backup, hazard: [backup],
    ),
    "is stopped by an abort": (
        "active",
        "not what the files allow",
        "comes_up",
        lambda cluster, backup, hazard: original["comes_up"](cluster, backup._replace(aborting=False), hazard),
    ),
    "does not come back when the start that replaces it is cut off": (
        "stopped",
        "not what the files allow",
        "read_back",
        lambda cluster, hazard: original["read_back"](
            cluster.with_backups(tuple((label, b._replace(before=None)) for label, b in cluster.backups)), hazard
        ),
    ),
    "is not told to core": ("active", "not what the files allow", "read_back", core_not_told),
    "lives on after its deadline": ("active", "outlives its deadline", "reap", lambda cluster: cluster),
}
"""What a backup does wrong: where it begins, what the check says, the function that is replaced, and with what."""


@pytest.mark.parametrize("mutant", AMID_CALLS)
def test_a_mutant_is_seen_by_a_restart_amid_calls(monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    first, said, function, replacement = AMID_CALLS[mutant]
    monkeypatch.setattr(transition, function, replacement)
    with pytest.raises(AssertionError, match=said):
        check_restarts_amid_pairs(first, None)
