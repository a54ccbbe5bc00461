"""The bench itself: conformance steps and model transitions per second, and how long a cluster takes to come up.

pytest benchmarks/test_bench_speed.py --pg-config PATH
"""

from pytest_benchmark.fixture import BenchmarkFixture

from harness.build import Build
from harness.client import Client
from harness.cluster import open_cluster
from model.design import SHARED
from model.explore import SCOPES, explore
from properties.conftest import PROBED
from properties.tally import Tally
from properties.test_conformance import walk


def test_conformance_steps(client: Client, benchmark: BenchmarkFixture) -> None:
    """Steps per second of the conformance walk, each with its checks; examples are begun and ended in between."""
    tally = Tally()
    benchmark.pedantic(walk, args=(client, tally), rounds=3, warmup_rounds=1)
    benchmark.extra_info["steps per second"] = round(tally.steps / tally.stepping)


def test_model_transitions(benchmark: BenchmarkFixture) -> None:
    """Transitions per second of the exhaustive exploration, promises checked, on one core."""
    found = benchmark.pedantic(explore, args=(SCOPES["labels"](SHARED),), rounds=1)
    benchmark.extra_info["transitions per second"] = round(found.rate())


def test_cluster_start(instrumented: Build, benchmark: BenchmarkFixture) -> None:
    """A cluster from its template, up and gone again."""

    def up_and_gone() -> None:
        with open_cluster(instrumented, settings=PROBED):
            pass

    benchmark.pedantic(up_and_gone, rounds=10, warmup_rounds=1)
