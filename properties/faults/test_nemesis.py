"""Whatever strikes an operation, at whatever point: it took place or left no trace, and afterwards all is well."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.faults.nemesis import FAULTS, Fault
from harness.schema.campaign import NO_POINT
from harness.server import durable
from harness.server.cluster import open_cluster
from properties.faults.expectations import EXPECTATIONS
from properties.faults.trials import WORK, Case, FaultTrials, kind_of, survive, survive_all
from properties.recording.tally import Tally
from properties.support.servers import PROBED

pytestmark = pytest.mark.server

WORKERS = "6"
"""Of all kinds: the reaper, core's launcher, starters; few, and starts may have all, so that they can use them up."""


ANY_MOMENT = tuple(fault for fault in FAULTS if fault.action == "wait" and not fault.restarts)
"""Faults that need no point, and leave the server running."""
LONGEST = 0.01
"""Seconds from the beginning of an operation, within which most have ended."""
EXAMPLES = {"dev": 30, "gate": 60, "nightly": 3000}
NOTHING: Mapping[str, str] = MappingProxyType({})


@pytest.fixture(scope="module")
def trials(instrumented: Build, instruments: None) -> Iterator[FaultTrials]:
    with fault_trials(instrumented) as trials:
        yield trials


@pytest.fixture(scope="module")
def durable_trials(instrumented: Build, instruments: None, durable_backups: None) -> Iterator[FaultTrials]:
    with fault_trials(instrumented, durable.SETTINGS) as trials:
        yield trials


@contextmanager
def fault_trials(build: Build, changes: Mapping[str, str] = NOTHING) -> Iterator[FaultTrials]:
    settings = {**PROBED, "max_worker_processes": WORKERS, "shared_backup.max_starters": WORKERS, **changes}
    with open_cluster(build, settings=settings, archive=True) as cluster:
        yield FaultTrials(cluster)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_at_every_point(fault: Fault, trials: FaultTrials, tally: Tally, exhaustive: bool) -> None:
    """The operation took place or left no trace; then nothing of it is left over, and the next backup is good."""
    points = (not exhaustive and EXPECTATIONS[fault.name].briefly_at) or trials.points_of(fault)
    survive_all(trials, tally, (at_point(trials, fault, point) for point in points if trials.comes_to(point)))
    trials.at_full_strength()


def at_point(trials: FaultTrials, fault: Fault, point: str) -> Case:
    """The fault strikes whatever comes to that point."""
    return Case(fault.name, point, partial(trials.trial, fault, kind_of(point), point))


def test_a_fault_at_any_moment(trials: FaultTrials, tally: Tally, profile: str) -> None:
    """Where no point is."""

    @settings(max_examples=EXAMPLES[profile])
    @given(st.sampled_from(ANY_MOMENT), st.sampled_from(sorted(WORK)), st.floats(0, LONGEST))
    def at_any_moment(fault: Fault, kind: str, delay: float) -> None:
        kinds = [kind_of(point) for point in trials.points_of(fault)]
        struck = kind if kind in kinds else kinds[0]
        survive(trials, tally, Case(fault.name, NO_POINT, partial(trials.trial, fault, struck, delay=delay)))

    at_any_moment()


def test_a_fault_about_a_durable_backup(durable_trials: FaultTrials, tally: Tally, profile: str) -> None:
    """The same at any point, of operations that write state files; test_killed_files.py has the restarts."""
    trials, lasting = durable_trials, [fault for fault in FAULTS if not fault.restarts]

    @settings(max_examples=EXAMPLES[profile] // 2)
    @given(st.sampled_from([(fault, point) for fault in lasting for point in trials.points_of(fault)]))
    def somewhere(scenario: tuple[Fault, str]) -> None:
        survive(trials, tally, at_point(trials, *scenario))

    somewhere()
