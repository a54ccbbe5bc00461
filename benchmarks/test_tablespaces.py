"""Starts on a server with many tablespaces, all of which go into the tablespace map."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import Caller, start_and_stop
from benchmarks.measurement import measured
from benchmarks.recorder import Recorder
from benchmarks.scale import Scale
from benchmarks.servers import server
from benchmarks.turns import take_turns
from harness.building.build import Build
from harness.clients.implementation import STOCK, Implementation
from harness.schema.benchmarks import Benchmark
from harness.server.cluster import Cluster
from harness.server.tablespaces import add_tablespace


@dataclass
class Spaces:
    """A server to which tablespaces are added."""

    cluster: Cluster
    number: int = 0

    def rise_to(self, number: int) -> None:
        """Adds tablespaces until there are so many, each an empty folder beside the data directory."""
        session = self.cluster.connect()
        for one in range(self.number, number):
            add_tablespace(self.cluster, session, f"space_{one}")
        session.close()
        self.number = number


@pytest.fixture(scope="module")
def spaces(release: Build, measured_implementation: Implementation) -> Iterator[Spaces]:
    """A server without tablespaces of its own, yet."""
    with server(release, measured_implementation) as cluster:
        yield Spaces(cluster)


def test_tablespaces(
    tablespaces: int,
    spaces: Spaces,
    measured_implementation: Implementation,
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Callable[[Benchmark], None],
) -> None:
    spaces.rise_to(tablespaces)
    candidates = {"shared": measured_implementation, "stock": STOCK}
    callers = {name: Caller(spaces.cluster.connect(), by) for name, by in candidates.items()}
    turns = {name: partial(start_and_stop, caller) for name, caller in callers.items()}
    samples = take_turns(benchmark, turns, scale.pace, recorder.watch)
    for caller in callers.values():
        caller.session.close()
    for what in ("start", "stop"):
        keep(
            measured(
                f"{what}_with_tablespaces",
                f"Latency of a {what} on a server with tablespaces",
                samples[what],
                compare=[("shared", "stock")],
                parameters={"tablespaces": tablespaces},
            )
        )
