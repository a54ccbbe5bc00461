"""What the benchmarks are held to: each target of the project in one table.

A start on stock PostgreSQL pays for a process of its own: its targets are what is possible so. Those called patched are
what is possible with the patch that the extension has for core, and what the project would be held to there.
"""

from collections.abc import Iterable, Mapping

from harness.schema.benchmarks import Bounds, Target
from harness.schema.run import Scalar

KIB = 1024

TARGETS = (
    Target("start_latency", against="stock", at_most=1.20, when={"fsync": True}),
    Target("start_latency", against="stock", at_most=1.50, when={"fsync": False}),
    Target("patched_start_latency", against="stock", at_most=1.10, when={"fsync": True}),
    Target("patched_start_latency", against="stock", at_most=1.20, when={"fsync": False}),
    Target("stop_latency", against="stock", at_most=1.00),
    Target("start_under_open_backups", against="none open", at_most=1.10, when={"open": 10_000}),
    Target("stop_under_open_backups", against="none open", at_most=1.10, when={"open": 10_000}),
    Target("backups_held", value="held", at_least=10_000, when={"asked for": 10_000}),
    Target("memory", value="shared: bytes per backup", at_most=2 * KIB),
    Target("memory", against="stock", at_most=1 / 1000),
    Target("concurrent_starts", against="stock", at_most=3.60),
    Target("patched_concurrent_starts", against="stock", at_most=1.20),
    Target("stop_waiting_for_archive", against="stock", at_most=0.2),
    Target("start_with_tablespaces", against="stock", at_most=1.50),
    Target("expiry", value="seconds until core was released", at_most=1.0),
    Target("start_during_expiry", against="before", at_most=2.0),
    Target("renew_during_expiry", against="before", at_most=2.0),
    Target("stop_during_expiry", against="before", at_most=2.0),
)


def ratio_target(benchmark: str, parameters: Mapping[str, Scalar], candidate: str, against: str) -> Bounds | None:
    """The target of a ratio, if it has one: targets are set for the implementation under test only."""
    if candidate not in ("shared", "meanwhile"):
        return None
    return first_of(one for one in TARGETS if one.against == against and holds_for(one, benchmark, parameters))


def value_target(benchmark: str, parameters: Mapping[str, Scalar], value: str) -> Bounds | None:
    """The target of a value, if it has one."""
    return first_of(one for one in TARGETS if one.value == value and holds_for(one, benchmark, parameters))


def holds_for(target: Target, benchmark: str, parameters: Mapping[str, Scalar]) -> bool:
    """Is it about this benchmark with these parameters?"""
    return target.benchmark == benchmark and all(parameters.get(name) == value for name, value in target.when.items())


def first_of(targets: Iterable[Target]) -> Bounds | None:
    """The bounds of the first of these targets, if there is one."""
    return next((Bounds(at_most=one.at_most, at_least=one.at_least) for one in targets), None)
