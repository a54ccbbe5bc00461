"""The implementation does what the model says, step by step: outcomes, view, label files, and core's hidden counter."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from harness.build import Build
from harness.client import Client
from harness.cluster import open_cluster
from harness.implementation import SHARED, Implementation, without_instruments
from properties.conformance import ConformanceMachine
from properties.conftest import PROBED
from properties.tally import Tally

pytestmark = pytest.mark.server


def walk(client: Client, tally: Tally, share: float = 1.0) -> None:
    """Random walks; ``share``: of the profile's number of examples."""

    class Machine(ConformanceMachine):
        pass

    Machine.client = client
    Machine.tally = tally
    profile = settings.default
    assert profile is not None
    run_state_machine_as_test(Machine, settings=settings(max_examples=max(1, int(profile.max_examples * share))))
    tally.notes.append(f"{tally.steps / tally.stepping:.0f} steps/s")


def test_the_implementation_conforms_to_its_design(client: Client, tally: Tally) -> None:
    walk(client, tally)


def test_durable_backups_conform_over_restarts(durable: Client, tally: Tally) -> None:
    """... what the server can vouch for is carried over, what it cannot is said to be lost."""
    walk(durable, tally, share=0.25)


def test_core_conforms_to_the_session_bound_design(stock: Client, tally: Tally) -> None:
    walk(stock, tally, share=0.25)


def test_the_release_flavour_conforms_without_a_clock(
    release: Build, implementation: Implementation, tally: Tally
) -> None:
    if implementation != SHARED:
        pytest.skip("only the extension has a release flavour of its own")
    with open_cluster(release, settings=PROBED) as cluster:
        walk(Client(cluster, without_instruments(SHARED)), tally, share=0.25)
