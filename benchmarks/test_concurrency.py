"""Many callers start a backup at once: how long until the last has its start point."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import all_at_once, connections, literal, rest, start_parameters, stop_parameters
from benchmarks.conftest import Core
from benchmarks.measurement import measured
from benchmarks.recorder import Recorder
from benchmarks.scale import Scale
from benchmarks.servers import server
from benchmarks.turns import take_turns
from harness.clients.implementation import STOCK, Implementation
from harness.schema.benchmarks import Benchmark

ROOM = {"max_connections": "150", "max_worker_processes": "100"}
"""The implementation may need a worker for each start that is under way."""


@dataclass(frozen=True)
class Crowd:
    """Connections, with the statement of each to start a backup and to stop it."""

    callers: list[psycopg.Connection]
    starts: list[bytes]
    stops: list[bytes]

    def start(self, number: int) -> Mapping[str, float]:
        """So many start a backup at once, and stop it at once."""
        callers = self.callers[:number]
        started = all_at_once(callers, self.starts[:number])
        rest()
        stopped = all_at_once(callers, self.stops[:number])
        return {"starts": started, "stops": stopped}


def crowd(callers: list[psycopg.Connection], by: Implementation) -> Crowd:
    """Those callers, with a label each."""
    labels = [f"caller {number}" for number in range(len(callers))]
    one = callers[0]
    starts = [literal(one, by.start, start_parameters(label)) for label in labels]
    return Crowd(callers, starts, [literal(one, by.stop, stop_parameters(label)) for label in labels])


@pytest.fixture(scope="module")
def crowds(core: Core, measured_implementation: Implementation, scale: Scale) -> Iterator[dict[str, Crowd]]:
    """Enough callers for each candidate, on one server; the sessions are the same for both."""
    with server(core.build, measured_implementation, ROOM) as cluster:
        callers = connections(cluster, max(scale.callers))
        yield {"shared": crowd(callers, measured_implementation), "stock": crowd(callers, STOCK)}
        for caller in callers:
            caller.close()


def test_concurrent_starts(
    callers: int,
    core: Core,
    crowds: dict[str, Crowd],
    scale: Scale,
    recorder: Recorder,
    benchmark: BenchmarkFixture,
    keep: Callable[[Benchmark], None],
) -> None:
    turns = {name: lambda crowd=crowd: crowd.start(callers) for name, crowd in crowds.items()}
    samples = take_turns(benchmark, turns, scale.pace, recorder.watch)
    for what in ("starts", "stops"):
        keep(
            measured(
                f"{core.prefix}concurrent_{what}",
                f"Time until the last of many {what} at once is done{core.words}",
                samples[what],
                compare=[("shared", "stock")],
                parameters={"callers": callers},
                settings=ROOM,
            )
        )
