"""A stop that waits until its WAL is archived, by an archiver that takes 5 ms for each file."""

from collections.abc import Callable
from functools import partial

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

ARCHIVER = {"archive_mode": "on", "archive_command": "sleep 0.005"}


def test_stop_waiting_for_archive(
    release: Build,
    measured_implementation: Implementation,
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Callable[[Benchmark], None],
) -> None:
    with server(release, measured_implementation, ARCHIVER) as cluster:
        candidates = {"shared": measured_implementation, "stock": STOCK}
        turns = {
            name: partial(start_and_stop, Caller(cluster.connect(), by, wait_for_archive=True))
            for name, by in candidates.items()
        }
        samples = take_turns(benchmark, turns, scale.pace, recorder.watch)
    keep(
        measured(
            "stop_waiting_for_archive",
            "Latency of a stop that waits until its WAL is archived",
            samples["stop"],
            compare=[("shared", "stock")],
            parameters={"archiver ms": 5},
            settings=ARCHIVER,
        )
    )
