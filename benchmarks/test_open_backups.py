"""What open backups cost: latency while many are open, how many there can be, memory, and reading the view."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import Caller, start_and_stop, start_parameters, timed
from benchmarks.fleet import Fleet
from benchmarks.measurement import measured
from benchmarks.memory import private_sizes, proportional_set_sizes, slot
from benchmarks.recorder import Recorder
from benchmarks.scale import Scale
from benchmarks.servers import server
from benchmarks.turns import take_turns
from harness.building.build import Build
from harness.clients.implementation import STOCK
from harness.schema.benchmarks import Benchmark
from harness.server.cluster import Cluster
from harness.server.session import Session, SqlError
from harness.server.shared_memory import main_shared_memory

Keep = Callable[[Benchmark], None]
FEW_CONNECTIONS = {"max_connections": "20"}
MORE_THAN_FIT = 100
TWINS_NOTES = (
    "two servers differ by a few percent of themselves: by how much, the ratio with none open on either shows",
)
MEMORY_NOTES = (
    "shared: what the server's main shared memory has more than without the implementation, and by how much dynamic "
    "shared memory has grown since no backup was open; per backup: divided by the number of open backups",
    "stock: PSS of the backend that must stay, and its slot: by how much the server's shared memory grows for each "
    "connection more in max_connections; a sample for each backend",
    "stock: USS is the part of PSS that no other process has",
)


@pytest.fixture(scope="module")
def held_by_stock(release: Build) -> Iterator[tuple[Cluster, list[Session]]]:
    """A server without the implementation, on which every session that it admits holds a backup of core's."""
    with server(release, STOCK, FEW_CONNECTIONS) as cluster:
        yield cluster, open_while_admitted(cluster)


def open_while_admitted(cluster: Cluster) -> list[Session]:
    """Starts a backup in a new session each, until the server admits no more."""
    sessions: list[Session] = []
    for _ in range(MORE_THAN_FIT):
        try:
            session = cluster.connect()
        except SqlError:  # too many clients already; libpq keeps the SQLSTATE to itself
            break
        session.execute(STOCK.start, start_parameters("bench"))
        sessions.append(session)
    return sessions


def test_latency_under_open_backups(
    open_backups: int,
    fleet: Fleet,
    twin: Fleet,
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Keep,
) -> None:
    fleet.rise_to(open_backups)
    callers = {
        "shared": Caller(fleet.cluster.connect(), fleet.implementation),
        "none open": Caller(twin.cluster.connect(), fleet.implementation),
    }
    turns = {name: partial(start_and_stop, caller) for name, caller in callers.items()}
    samples = take_turns(benchmark, turns, scale.pace, recorder.watch)
    for caller in callers.values():
        caller.session.close()
    for what in ("start", "stop"):
        keep(
            measured(
                f"{what}_under_open_backups",
                f"Latency of a {what} while backups are open, beside a server on which none is",
                samples[what],
                compare=[("shared", "none open")],
                parameters={"open": open_backups},
                settings=FEW_CONNECTIONS,
                notes=TWINS_NOTES,
            )
        )


def test_backups_held(
    fleet: Fleet, held_by_stock: tuple[Cluster, list[Session]], scale: Scale, benchmark: BenchmarkFixture, keep: Keep
) -> None:
    benchmark.pedantic(fleet.rise_to, args=(scale.most_open,), rounds=1)
    keep(
        measured(
            "backups_held",
            "Open backups held by a server with max_connections = 20",
            {"shared": [fleet.open], "stock": [len(held_by_stock[1])]},
            unit="backups",
            parameters={"asked for": scale.most_open},
            values={"held": fleet.open},
            settings=FEW_CONNECTIONS,
        )
    )


def test_memory(
    fleet: Fleet, held_by_stock: tuple[Cluster, list[Session]], scale: Scale, benchmark: BenchmarkFixture, keep: Keep
) -> None:
    benchmark.pedantic(fleet.rise_to, args=(scale.most_open,), rounds=1)
    cluster, sessions = held_by_stock
    backends, private = proportional_set_sizes(sessions), private_sizes(sessions)
    reserved = main_shared_memory(fleet.session) - main_shared_memory(sessions[0])
    for session in sessions:
        session.close()
    place = slot(cluster)
    taken = {number: reserved + fleet.memory[number] - fleet.memory[0] for number in (1, scale.most_open)}
    each = taken[scale.most_open] / scale.most_open
    keep(
        measured(
            "memory",
            "What an open backup costs in memory",
            {"shared": [each], "stock": [backend + place for backend in backends]},
            compare=[("shared", "stock")],
            unit="bytes",
            parameters={"open": scale.most_open},
            values={
                "shared: bytes per backup": each,
                "shared: bytes in all": taken[scale.most_open],
                "shared: bytes with one backup open": taken[1],
                "shared: bytes reserved at start": reserved,
                "stock: PSS of a backend": sum(backends) / len(backends),
                "stock: USS of a backend": sum(private) / len(private),
                "stock: bytes of a slot": place,
            },
            settings=FEW_CONNECTIONS,
            notes=MEMORY_NOTES,
        )
    )


def test_reading_the_view(
    fleet: Fleet, scale: Scale, recorder: Recorder, benchmark: BenchmarkFixture, keep: Keep
) -> None:
    view = fleet.implementation.view
    if view is None:
        pytest.skip(f"{fleet.implementation.name} has no view")
    fleet.rise_to(scale.most_open)
    samples = take_turns(
        benchmark, {"shared": lambda: {"read": timed(fleet.session, view)}}, scale.pace, recorder.watch
    )
    keep(
        measured(
            "view",
            "Reading all rows of the view",
            samples["read"],
            parameters={"open": scale.most_open},
            settings=FEW_CONNECTIONS,
        )
    )
