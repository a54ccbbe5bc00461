"""What preallocated memory costs: starts and stops beside those in dynamic memory, and how much memory it is."""

from collections.abc import Callable
from contextlib import ExitStack
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
from harness.clients.implementation import Capability, Implementation
from harness.schema.benchmarks import Benchmark
from harness.server.shared_memory import main_shared_memory

Keep = Callable[[Benchmark], None]

ROOM = 1000
"""Backups, and as many results, that memory is preallocated for."""
FIXED = {
    "shared_backup.storage": "fixed",
    "shared_backup.max_backups": str(ROOM),
    "shared_backup.max_results": str(ROOM),
}


def test_start_and_stop_latency_in_preallocated_memory(
    release: Build,
    many_open: Implementation,
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Keep,
) -> None:
    if Capability.EXTENSION not in many_open.capabilities:
        pytest.skip(f"{many_open.name} has no setting that preallocates memory")
    with ExitStack() as stack:
        clusters = {
            name: stack.enter_context(server(release, many_open, settings))
            for name, settings in (("fixed", FIXED), ("shared", {}))
        }
        sessions = {name: cluster.connect() for name, cluster in clusters.items()}
        reserved = {name: main_shared_memory(session, "shared_backup%") for name, session in sessions.items()}
        turns = {name: partial(start_and_stop, Caller(session, many_open)) for name, session in sessions.items()}
        samples = take_turns(benchmark, turns, scale.pace, recorder.watch)
    for what in ("start", "stop"):
        keep(
            measured(
                f"fixed_{what}_latency",
                f"Latency of a {what} in preallocated memory, beside one in dynamic memory",
                samples[what],
                compare=[("fixed", "shared")],
                parameters={"room": ROOM},
                values={f"{name}: bytes reserved at start": size for name, size in reserved.items()},
                settings=FIXED,
            )
        )
