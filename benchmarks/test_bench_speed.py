"""The bench itself: conformance steps and model transitions per second, and how long a cluster takes to come up."""

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import MILLISECONDS
from benchmarks.measurement import measured
from harness.building.build import Build
from harness.clients.client import Client
from harness.schema.benchmarks import Benchmark
from harness.server.cluster import open_cluster
from model.design import SHARED
from model.explore import explore
from model.scope import SCOPES
from properties.recording.tally import Tally
from properties.support.servers import PROBED
from properties.walks.conformance import walk

Keep = Callable[[Benchmark], None]
TITLE = "The bench itself"


def test_conformance_steps(client: Client, benchmark: BenchmarkFixture, keep: Keep) -> None:
    """The conformance walk, each step with its checks; examples are begun and ended in between."""
    tally = Tally()
    benchmark.pedantic(walk, args=(client, tally), rounds=3, warmup_rounds=1)
    keep(measured("bench_steps", TITLE, values={"steps per second": tally.steps / tally.stepping}))


def test_model_transitions(benchmark: BenchmarkFixture, keep: Keep) -> None:
    """The exhaustive exploration, promises checked, on one core."""
    found = benchmark.pedantic(explore, args=(SCOPES["labels"](SHARED),), rounds=1)
    keep(measured("bench_transitions", TITLE, values={"transitions per second": found.rate()}))


def test_cluster_start(instrumented: Build, benchmark: BenchmarkFixture, keep: Keep) -> None:
    """A cluster from its template, up and gone again."""

    def up_and_gone() -> None:
        with open_cluster(instrumented, settings=PROBED):
            pass

    benchmark.pedantic(up_and_gone, rounds=10, warmup_rounds=1)
    assert benchmark.stats is not None
    milliseconds = [seconds * MILLISECONDS for seconds in benchmark.stats.stats.data]
    keep(measured("cluster_start", "A cluster of the bench, up and gone again", {"bench": milliseconds}))
