"""The implementation does what the model says, step by step: outcomes, view, label files, and core's hidden counter."""

import pytest

from harness.building.build import Build
from harness.clients.client import Client
from harness.clients.implementation import SHARED, without_instruments
from properties.recording.tally import Tally
from properties.support.servers import installed_server
from properties.walks.conformance import walk

pytestmark = pytest.mark.server


def test_the_implementation_conforms_to_its_design(client: Client, tally: Tally) -> None:
    walk(client, tally)


def test_durable_backups_conform_over_restarts(durable: Client, tally: Tally) -> None:
    """... what the server can vouch for is carried over, what it cannot is said to be lost."""
    walk(durable, tally, share=0.25)


def test_backups_in_preallocated_memory_conform(fixed: Client, tally: Tally) -> None:
    """... to a limit that is no higher than what there is memory for, whatever is set, until the next restart."""
    walk(fixed, tally, share=0.25)


def test_what_the_thread_proposes_conforms(thread: Client, tally: Tally) -> None:
    """... without times to live, fences, renewals, or a result that is remembered."""
    walk(thread, tally, share=0.25)


def test_core_conforms_to_the_session_bound_design(stock: Client, tally: Tally) -> None:
    walk(stock, tally, share=0.25)


@pytest.mark.usefixtures("only_the_extension", "forgetful")
def test_the_release_flavour_conforms_without_a_clock(release: Build, tally: Tally) -> None:
    implementation = without_instruments(SHARED)
    with installed_server(release, implementation) as cluster:
        walk(Client(cluster, implementation), tally, share=0.25)
