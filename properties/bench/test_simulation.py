"""A fleet is simulated as the model and the mathematics say; no server is needed."""

import math
import pickle
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulation import world as worlds
from benchmarks.simulation.counting import back_up
from benchmarks.simulation.fates import Answer, Condition, Event, Fates, fates
from benchmarks.simulation.parameters import ARRIVALS, DAY, HOUR, Parameters, changed
from benchmarks.simulation.tally import CAUSES, Tally
from benchmarks.simulation.ways import WAYS, Way
from benchmarks.simulation.work import Task, fleet, simulate
from benchmarks.simulation.world import World, chunk_size, chunks, draw
from model.operations import RestartKind
from properties.bench.walked_fleet import walk_fleet

EVENTFUL = st.fixed_dictionaries(
    {
        "servers": st.integers(1, 3),
        "days": st.sampled_from([0.01, 0.03, 0.06]),
        "seed": st.integers(0, 10_000),
        "arrivals": st.sampled_from(ARRIVALS),
        "every": st.sampled_from([400, 1_500]),
        "jitter": st.sampled_from([0, 300]),
        "median": st.sampled_from([40, 400, 2_000]),
        "losses": st.sampled_from([0, 5]),
        "restarts": st.sampled_from([0, 20, 60]),
        "restart_kind": st.sampled_from(list(RestartKind)),
        "hazards": st.sampled_from([0, 0.5]),
        "plane": st.integers(1, 2),
        "crashes": st.sampled_from([0, 50, 200]),
        "recovery": st.sampled_from([1, 60, 300, None]),
        "forgets": st.sampled_from([0, 0.5, 1]),
        "retries": st.integers(0, 3),
        "wait": st.sampled_from([1, 60]),
        "ttl": st.sampled_from([0, 7, 8, 100, 1_000]),
        "renewals": st.sampled_from([0, 2, 5]),
        "limit": st.sampled_from([0, 0, 1, 2]),
        "sampled": st.sampled_from([1, 7]),
    }
)
"""Fleets to which much happens in a short time. A recovery of None: so long that deadlines come as it ends."""
QUIET: dict[str, Any] = {"losses": 0, "restarts": 0, "crashes": 0, "retries": 0}
"""Nothing happens to the fleet, and each backup is tried once."""
SIGMAS = 5
"""A correct simulation is farther off than this once in a million seeds; and the seeds are fixed."""


def asked(p: Parameters, way: Way) -> Fates:
    """The table of a way."""
    return fates(way, RestartKind(p.restart_kind), p.limit or None)


def simulated(way: str, **values: Any) -> tuple[Parameters, Tally]:
    """What a fleet counts."""
    p = changed(Parameters(), values)
    found = asked(p, WAYS[way])
    tallies = [back_up(p, draw(p, None, chunk), found) for chunk in chunks(p)]
    return p, sum(tallies[1:], tallies[0])


def failed_for(counts: Tally, cause: str) -> int:
    """How many attempts did."""
    return int(np.asarray(counts.causes)[CAUSES.index(cause)])


def close(found: int, of: int, share: float) -> bool:
    """Is the number as near to the share as it must be, for independent events?"""
    return abs(found - of * share) <= SIGMAS * math.sqrt(of * share * (1 - share)) + 1


# The model


@pytest.mark.parametrize("name", WAYS)
def test_what_is_computed_is_what_the_model_does(name: str) -> None:
    """... walked second by second: the same fates, counts and seconds, exactly."""

    @settings(max_examples=40)
    @given(values=EVENTFUL)
    def check(values: dict[str, Any]) -> None:
        recovery = values["recovery"] or max(1, values["ttl"] - 2)
        p = changed(Parameters(), values | {"recovery": recovery})
        world = draw(p, None, 0)
        computed = back_up(p, world, asked(p, WAYS[name])).plain()
        walked = walk_fleet(p, world, WAYS[name]).plain()
        assert {key: computed[key] for key in computed if not same(computed[key], walked[key])} == {}, walked

    check()


def same(one: Any, other: Any) -> bool:
    """Numbers or lists of them; a number stands for a list of it."""
    return bool(np.all(np.asarray(one) == np.asarray(other)))


@pytest.mark.parametrize("name", WAYS)
def test_only_the_first_event_of_a_kind_counts(name: str) -> None:
    """So the simulation looks no further. What a restart does to core's counter, it knows itself."""
    found = asked(Parameters(), WAYS[name])

    def seen(condition: Condition) -> tuple[object, ...]:
        return condition[0], condition.core > 0, condition.answer, condition.renewable, condition.held

    def reachable(start: int) -> set[int]:
        known = {start}
        while more := {int(one) for state in known for one in found.then[state]} - known:
            known |= more
        return known

    for event in Event:
        for after in found.then[:, event]:
            for later in reachable(int(after)):
                again = found.conditions[found.then[later, event]]
                assert seen(again) == seen(found.conditions[later]), (event, later)


def test_the_table_is_the_model_s_answer() -> None:
    p = Parameters()
    after = {name: {event: asked(p, way).after(event) for event in Event} for name, way in WAYS.items()}
    assert after["stock"][Event.CRASH].answer == Answer.REFUSED
    assert after["script"][Event.CRASH].answer == Answer.GOOD
    assert after["catalog"][Event.RESTART].answer == Answer.USELESS
    assert after["durable"][Event.RESTART].answer == Answer.GOOD
    assert after["durable"][Event.HAZARD].answer == Answer.REFUSED
    assert after["thread"][Event.EXPIRY].live
    assert [fates(WAYS[name], RestartKind.FAST, 40).limit for name in ("stock", "shared", "shared_fixed")] == [
        None, 40, 32,
    ]  # fmt: skip


# Closed forms


def test_connection_hours_are_arrivals_times_the_mean_duration() -> None:
    """The mean of a lognormal duration is median × exp(sigma² / 2); half a second more, as they are rounded up."""
    p, counts = simulated(
        "stock", servers=2_000, days=20, every=DAY, arrivals="poisson", median=600, sigma=0.5, **QUIET
    )
    arrivals = p.servers * p.days
    mean = p.median * math.exp(p.sigma**2 / 2) + 0.5
    square = p.median**2 * math.exp(2 * p.sigma**2)
    assert abs(counts.held_seconds - arrivals * mean) <= SIGMAS * math.sqrt(arrivals * square)
    assert counts.connections == counts.attempts == counts.jobs


@pytest.mark.parametrize("ttl", [600, 1_800, 7_200])
def test_false_expiries_without_a_lease_are_the_copies_that_take_longer(ttl: int) -> None:
    p, counts = simulated("shared", servers=1_000, days=40, every=DAY, ttl=ttl, renewals=0, **QUIET)
    longer = 1 - NormalDist().cdf(math.log((ttl - 1) / p.median) / p.sigma)
    over = counts.good + counts.failed
    assert over > 0.99 * counts.jobs
    assert close(failed_for(counts, "expiry"), over, longer)


def test_with_a_lease_nothing_expires_while_the_control_plane_is_up() -> None:
    _, counts = simulated("shared", servers=300, days=30, ttl=60, renewals=2, **QUIET)
    assert failed_for(counts, "expiry") == 0
    assert counts.good > 8_000


def test_sessions_break_as_often_as_their_length_says() -> None:
    p, counts = simulated("stock", servers=2_000, days=20, sigma=0, median=HOUR, **QUIET | {"losses": 0.05})
    assert close(failed_for(counts, "loss"), counts.good + counts.failed, 1 - math.exp(-p.losses * p.median / HOUR))


@pytest.mark.parametrize("renewals", [0, 2, 8])
def test_an_orphan_that_expires_costs_its_time_to_live_at_most(renewals: int) -> None:
    """With a lease, at least what was left of it after the last renewal."""
    values = {**QUIET, "crashes": 2, "forgets": 1}
    p, counts = simulated("shared", servers=500, days=20, every=6 * HOUR, ttl=HOUR, renewals=renewals, **values)
    assert counts.orphans > 500
    assert 0 < counts.orphan_seconds <= counts.orphans * p.ttl
    if p.renewed:
        cut_short = int(np.asarray(counts.live)[-1])
        assert counts.orphan_seconds >= (counts.orphans - cut_short) * (p.ttl - p.renewed)


def test_an_orphan_that_nothing_ends_stays_open_to_the_end() -> None:
    _, counts = simulated("thread", servers=200, days=10, **{**QUIET, "crashes": 1, "forgets": 1})
    assert int(np.asarray(counts.live)[-1]) >= counts.orphans > 50


def test_backups_that_arrive_at_random_are_open_as_in_an_m_g_infinity_queue() -> None:
    """Open at any moment: a Poisson number with mean rate × duration, whatever the durations are like."""
    values = {**QUIET, "every": HOUR, "median": 300, "sigma": 1.0, "ttl": 0, "sampled": 3_000}
    p, counts = simulated("shared", servers=1_000, days=20, arrivals="poisson", **values)
    expected = p.servers / p.every * (p.median * math.exp(p.sigma**2 / 2) + 0.5)
    looks = np.asarray(counts.live)[10:]
    assert abs(looks.mean() - expected) < SIGMAS * math.sqrt(expected / len(looks)) * 1.5
    assert abs(looks.var() / expected - 1) < SIGMAS * math.sqrt(2 / len(looks)) * 1.5
    assert 1.5 < (looks.max() - expected) / math.sqrt(expected) < SIGMAS, "the peak of so many looks"


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_starts_are_refused_as_erlang_s_loss_formula_says(limit: int) -> None:
    values = {**QUIET, "every": HOUR, "median": HOUR, "sigma": 0.5, "ttl": 0, "limit": limit}
    p, counts = simulated("shared", servers=300, days=20, arrivals="poisson", **values)
    load = (p.median * math.exp(p.sigma**2 / 2) + 0.5) / p.every
    terms = [load**number / math.factorial(number) for number in range(limit + 1)]
    refused = failed_for(counts, "limit") / counts.attempts
    assert abs(refused - terms[-1] / sum(terms)) < 0.01, "the servers begin empty, and refusals come together"


def test_a_backup_that_ends_in_the_second_of_a_start_makes_room_for_it() -> None:
    values = {**QUIET, "every": 100, "jitter": 0, "median": 100, "sigma": 0, "ttl": 0, "limit": 1}
    _, counts = simulated("shared", servers=3, days=0.1, **values)
    assert failed_for(counts, "limit") == 0
    assert counts.good == counts.jobs - 3 > 200


# Chance


def test_neither_the_order_of_the_chunks_nor_who_does_them_changes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "MOST_SERVERS", 7)
    p = changed(Parameters(), {"servers": 30, "plane": 4, "crashes": 1, "losses": 0.1, "restarts": 0.2, "days": 10})
    one = fleet({}, p, (WAYS["stock"], WAYS["shared"]))
    tasks = [Task(0, one, chunk) for chunk in chunks(p)]
    assert len(tasks) == 5
    forwards = [simulate(task) for task in tasks]
    backwards = [simulate(pickle.loads(pickle.dumps(task))) for task in reversed(tasks)]
    for way in range(2):
        there, back = (sum((some[way] for some in every), Tally()).plain() for every in (forwards, backwards))
        assert there == back
        assert there["servers"] == 30


def test_servers_of_one_control_plane_see_the_same_crashes_in_whatever_chunk_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    p = changed(Parameters(), {"servers": 12, "plane": 5, "crashes": 3, "days": 10})
    whole = crashes(p, draw(p, None, 0))
    monkeypatch.setattr(worlds, "MOST_SERVERS", 3)
    assert [times for chunk in chunks(p) for times in crashes(p, draw(p, None, chunk))] == whole
    assert whole[0] == whole[4] != whole[5]
    assert whole[0]


def crashes(p: Parameters, world: World) -> list[list[int]]:
    """When the control plane of each server crashes."""
    found = []
    for plane in world.plane:
        times, now = [], 0
        while (now := int(world.outages.crash_after(np.array([plane]), np.array([now]))[0])) < p.horizon:
            times.append(now)
        found.append(times)
    return found


def test_another_seed_is_another_fleet() -> None:
    one, other = (draw(changed(Parameters(), {"servers": 50, "crashes": 5, "seed": seed}), None, 0) for seed in (1, 2))
    assert not np.array_equal(one.due, other.due)
    assert not np.array_equal(one.outages.crashes.keys, other.outages.crashes.keys)


@pytest.mark.parametrize("values", [{}, {"every": 60, "days": 365}, {"retries": 20}, {"days": 3_650}])
def test_a_chunk_fits_into_memory_whatever_the_fleet(values: dict[str, Any]) -> None:
    p = changed(Parameters(), {"servers": 1_000_000, **values})
    assert chunk_size(p) * (p.horizon / p.every + 1) * p.tries < 12_000_000
