"""How long a start and a stop take: the implementation, core's functions, and what nobody can avoid."""

from collections.abc import Callable
from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import Caller, Floor, Starts, start_and_stop
from benchmarks.conftest import Core
from benchmarks.measurement import measured
from benchmarks.recorder import Recorder
from benchmarks.scale import Scale
from benchmarks.servers import disk, filesystem, server
from benchmarks.turns import take_turns
from harness.clients.implementation import STOCK, Implementation
from harness.schema.benchmarks import Benchmark
from harness.server.cluster import Cluster

COMPARED = (("shared", "stock"), ("shared", "floor"), ("stock", "floor"))


@pytest.mark.parametrize("fsync", [False, True], ids=["fsync off", "fsync on"])
def test_start_and_stop_latency(
    fsync: bool,
    core: Core,
    measured_implementation: Implementation,
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Callable[[Benchmark], None],
) -> None:
    folder = disk() if fsync else None
    if fsync and folder is None:
        pytest.skip("there is no disk to flush to: name a folder on one with the variable BENCH_SCRATCH")
    settings = {"fsync": "on" if fsync else "off"}
    with server(core.build, measured_implementation, settings, on=folder) as cluster:
        on = f"the cluster lies on {filesystem(cluster.data_dir)}"
        callers = candidates(cluster, measured_implementation)
        turns = {name: partial(start_and_stop, caller) for name, caller in callers.items()}
        samples = take_turns(benchmark, turns, scale.main_pace, recorder.watch)
    for what in ("start", "stop"):
        keep(
            measured(
                f"{core.prefix}{what}_latency",
                f"Latency of a {what}{core.words}",
                samples[what],
                compare=COMPARED,
                parameters={"fsync": fsync},
                settings=settings,
                notes=[on],
            )
        )


def candidates(cluster: Cluster, implementation: Implementation) -> dict[str, Starts]:
    """Somebody for each candidate, each in a session of their own."""
    return {
        "shared": Caller(cluster.connect(), implementation),
        "stock": Caller(cluster.connect(), STOCK),
        "floor": Floor(cluster.connect()),
    }
