"""What it costs that backups survive a restart: starts and stops, beside those that do not, and the server's start."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import MILLISECONDS, Caller, start_and_stop, start_parameters
from benchmarks.measurement import measured
from benchmarks.recorder import Recorder
from benchmarks.scale import Scale
from benchmarks.servers import disk, filesystem, server
from benchmarks.turns import take_turns
from harness.building.build import Build
from harness.clients.implementation import Capability, Implementation
from harness.schema.benchmarks import Benchmark
from harness.server import durable
from harness.server.cluster import Cluster

Keep = Callable[[Benchmark], None]

OPEN_OVER_A_RESTART = (1, 10, 100)


@pytest.fixture
def extension(many_open: Implementation) -> Implementation:
    """The implementation, if it has the setting."""
    if Capability.DURABLE_BACKUPS not in many_open.capabilities:
        pytest.skip(f"{many_open.name} has no setting that makes backups durable")
    return many_open


@contextmanager
def two_servers(
    build: Build, implementation: Implementation, settings: Mapping[str, str], on: Path | None
) -> Iterator[dict[str, Cluster]]:
    """One whose backups are durable, and one whose are not."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(server(build, implementation, {**settings, **more}, on=on))
            for name, more in (("durable", durable.SETTINGS), ("shared", {}))
        }


@pytest.mark.parametrize("fsync", [False, True], ids=["fsync off", "fsync on"])
def test_durable_start_and_stop_latency(
    fsync: bool,
    release: Build,
    extension: Implementation,
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Keep,
) -> None:
    folder = disk() if fsync else None
    if fsync and folder is None:
        pytest.skip("there is no disk to flush to: name a folder on one with the variable BENCH_SCRATCH")
    settings = {"fsync": "on" if fsync else "off"}
    with two_servers(release, extension, settings, folder) as clusters:
        on = f"the clusters lie on {filesystem(clusters['durable'].data_dir)}"
        turns = {
            name: partial(start_and_stop, Caller(cluster.connect(), extension)) for name, cluster in clusters.items()
        }
        samples = take_turns(benchmark, turns, scale.pace, recorder.watch)
    for what in ("start", "stop"):
        keep(
            measured(
                f"durable_{what}_latency",
                f"Latency of a {what} of a durable backup, beside one that a restart ends",
                samples[what],
                compare=[("durable", "shared")],
                parameters={"fsync": fsync},
                settings=settings,
                notes=[on, "two servers differ by a few percent of themselves"],
            )
        )


@pytest.mark.parametrize("number", OPEN_OVER_A_RESTART, ids=lambda number: f"{number} open")
def test_server_start_with_open_backups(
    number: int,
    release: Build,
    extension: Implementation,
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Keep,
) -> None:
    with two_servers(release, extension, {}, None) as clusters:
        for name, cluster in clusters.items():
            for backup in range(number if name == "durable" else 0):
                session = cluster.connect()
                session.execute(extension.start, start_parameters(f"bench {backup}"))
                session.close()
        turns = {name: partial(stop_and_start, cluster) for name, cluster in clusters.items()}
        samples = take_turns(benchmark, turns, scale.pace, recorder.watch)
        session = durable.resumed(clusters["durable"])
        still = session.execute("SELECT count(*) FROM shared_backups WHERE state = 'active'")[0][0]
        assert still == number, f"of {number} backups {still} are active after the restarts"
        session.close()
    keep(
        measured(
            "server_start_with_open_backups",
            "Start of a server until its backups are back, beside one without durable backups",
            {name.replace("shared", "not durable"): values for name, values in samples["server start"].items()},
            compare=[("durable", "not durable")],
            parameters={"open": number},
            notes=["after a clean shutdown; until a session can read the view"],
        )
    )


def stop_and_start(cluster: Cluster) -> Mapping[str, float]:
    """A turn: a clean shutdown, and a start, which is timed."""
    cluster.stop("fast")
    began = perf_counter()
    cluster.start()
    durable.resumed(cluster).close()
    return {"server start": (perf_counter() - began) * MILLISECONDS}
