"""Many backups expire at one moment, on the real clock: how soon core is released, and what others feel of it."""

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import Caller
from benchmarks.fleet import Fleet, before_and_meanwhile, work_until
from benchmarks.measurement import measured
from benchmarks.recorder import Recorder
from benchmarks.scale import Scale
from harness.schema.benchmarks import Benchmark

Keep = Callable[[Benchmark], None]
FEWEST_PAIRS = 10
AFTERWARDS = 0.2
"""Seconds that a caller goes on after core should be released."""


@pytest.fixture
def renewable(fleet: Fleet, scale: Scale, recorder: Recorder) -> Fleet:
    """The fleet, if its backups can be given a deadline."""
    if fleet.implementation.renew is None:
        pytest.skip(f"{fleet.implementation.name} cannot renew, so the deadlines cannot be brought together")
    return fleet


def test_expiry(renewable: Fleet, scale: Scale, benchmark: BenchmarkFixture, keep: Keep) -> None:
    released = benchmark.pedantic(expire, args=(renewable, scale.expiring), rounds=1)
    keep(
        measured(
            "expiry",
            "Backups that expire at one moment",
            parameters={"backups": scale.expiring},
            values={"seconds until core was released": released},
            notes=["as seen from outside: until core forces no full-page writes any more"],
        )
    )


def test_latency_during_expiry(renewable: Fleet, scale: Scale, benchmark: BenchmarkFixture, keep: Keep) -> None:
    number = scale.expiring_under_load
    released = expire(renewable, number)
    latencies: dict[str, dict[str, list[float]]] = {}

    def expire_once_more() -> None:
        for what, found in expire_under_load(renewable, number, released).items():
            for when, some in found.items():
                latencies.setdefault(what, {}).setdefault(when, []).extend(some)

    benchmark.pedantic(expire_once_more, rounds=scale.expiries_under_load)
    for what, samples in latencies.items():
        keep(during_expiry(what, samples, number, released))


def during_expiry(what: str, samples: dict[str, list[float]], number: int, released: float) -> Benchmark:
    """The measurement of one operation; with few pairs there is no ratio to judge."""
    enough = len(samples["before"]) >= FEWEST_PAIRS
    notes = [f"from the deadline on, for the {released * 1000:.1f} ms that it took until core was released"]
    return measured(
        f"{what}_during_expiry",
        f"Latency of a {what} while backups expire, beside just before",
        samples if samples["before"] else {},
        compare=[("meanwhile", "before")] if enough else [],
        parameters={"backups": number},
        values={"slowest meanwhile, ms": max(samples["meanwhile"])} if samples["meanwhile"] else {},
        notes=notes if enough else [*notes, f"only {len(samples['before'])} pairs: too few for a ratio"],
    )


def expire(fleet: Fleet, number: int) -> float:
    """Lets so many backups expire; returns the seconds from their deadline until core was released."""
    fleet.rise_to(number)
    return fleet.seconds_until_released(fleet.expire_together())


def expire_under_load(fleet: Fleet, number: int, released: float) -> dict[str, dict[str, list[float]]]:
    """Lets so many backups expire while a caller starts and stops others; returns the caller's latencies."""
    fleet.rise_to(number)
    deadline = fleet.expire_together()
    caller = Caller(fleet.cluster.connect(), fleet.implementation)
    work = work_until(caller, deadline + released + AFTERWARDS)
    caller.session.close()
    return before_and_meanwhile(work, deadline, deadline + released)
