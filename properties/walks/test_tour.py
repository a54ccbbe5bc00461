"""Every class of transitions that the design can reach, taken at least once on the cluster.

A random walk may miss a rare class; the tour may not. Coverage is 100 %, or the property fails and names the rest.
"""

import pytest

from harness.clients.client import Client
from model.operations import Advance, Hazard
from model.tour import walk_plan
from properties.recording.tally import Tally
from properties.support.counterexamples import tried
from properties.support.minimal import minimal
from properties.support.tours import shared_tour

pytestmark = pytest.mark.server


def take(client: Client, tally: Tally, hazards: tuple[Hazard, ...] = ()) -> None:
    """Walks every path of the plan, each on a cluster made fresh; raises Violation with the history to try by hand."""
    design = client.implementation.design
    classes = shared_tour(design, hazards)
    if not client.implementation.has_clock:
        classes = {seen: path for seen, path in classes.items() if not any(isinstance(op, Advance) for op in path)}
    tally.reachable |= set(classes)
    for path in walk_plan(design, classes):
        with tally.example():
            if found := tried(client, path, tally):
                tally.keep(client.history, failed=True)
                raise minimal(found, client, tally)
    missing = tally.missing()
    assert not missing, "the tour did not see " + ", ".join(" | ".join(one) for one in sorted(missing))


def test_every_reachable_transition_class_is_seen_on_the_cluster(client: Client, tally: Tally) -> None:
    take(client, tally)


def test_every_reachable_transition_class_of_durable_backups_is_seen_on_the_cluster(
    durable: Client, tally: Tally
) -> None:
    """... with everything on the way of a restart that makes a server lose them."""
    take(durable, tally, tuple(Hazard))


def test_every_reachable_transition_class_of_preallocated_memory_is_seen_on_the_cluster(
    fixed: Client, tally: Tally
) -> None:
    take(fixed, tally)


def test_every_reachable_transition_class_of_the_thread_s_proposal_is_seen_on_the_cluster(
    thread: Client, tally: Tally
) -> None:
    take(thread, tally)


def test_every_reachable_transition_class_of_core_is_seen_on_the_cluster(stock: Client, tally: Tally) -> None:
    take(stock, tally)
