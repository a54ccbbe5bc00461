"""What the benchmarks are held to: each target of the project in one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

KIB = 1024


class Verdict(StrEnum):
    """What became of a target."""

    MET = "met"
    MISSED = "missed"
    NONE = "none"
    """There is no target."""


@dataclass(frozen=True)
class Target:
    """A bound on a benchmark's ratio against another candidate, or on one of its values."""

    benchmark: str
    against: str = ""
    """The other candidate of the ratio whose median is bounded."""
    value: str = ""
    """The value that is bounded, if it is no ratio."""
    at_most: float | None = None
    at_least: float | None = None
    when: Mapping[str, object] = field(default_factory=dict)
    """The parameters for which it holds; all, unless told."""

    def holds_for(self, benchmark: str, parameters: Mapping[str, object]) -> bool:
        """Is it about this benchmark with these parameters?"""
        return self.benchmark == benchmark and all(parameters.get(name) == wanted for name, wanted in self.when.items())

    def verdict(self, measured: float) -> Verdict:
        """Does what was measured keep within the bounds?"""
        low = self.at_least is None or measured >= self.at_least
        high = self.at_most is None or measured <= self.at_most
        return Verdict.MET if low and high else Verdict.MISSED

    def bounds(self) -> dict[str, float]:
        """The bounds that there are."""
        return {
            name: bound for name, bound in (("at_most", self.at_most), ("at_least", self.at_least)) if bound is not None
        }


TARGETS = (
    Target("start_latency", against="stock", at_most=1.05, when={"fsync": True}),
    Target("start_latency", against="stock", at_most=1.15, when={"fsync": False}),
    Target("stop_latency", against="stock", at_most=1.00),
    Target("start_under_open_backups", against="none open", at_most=1.10, when={"open": 10_000}),
    Target("stop_under_open_backups", against="none open", at_most=1.10, when={"open": 10_000}),
    Target("backups_held", value="held", at_least=10_000, when={"asked for": 10_000}),
    Target("memory", value="shared: bytes per backup", at_most=2 * KIB),
    Target("memory", against="stock", at_most=1 / 1000),
    Target("concurrent_starts", against="stock", at_most=1.10),
    Target("stop_waiting_for_archive", against="stock", at_most=0.2),
    Target("start_with_tablespaces", against="stock", at_most=1.10),
    Target("expiry", value="seconds until core was released", at_most=1.0),
    Target("start_during_expiry", against="before", at_most=2.0),
    Target("renew_during_expiry", against="before", at_most=2.0),
    Target("stop_during_expiry", against="before", at_most=2.0),
)


def ratio_target(benchmark: str, parameters: Mapping[str, object], candidate: str, against: str) -> Target | None:
    """The target of a ratio, if it has one: targets are set for the implementation under test only."""
    if candidate not in ("shared", "meanwhile"):
        return None
    return next((one for one in TARGETS if one.against == against and one.holds_for(benchmark, parameters)), None)


def value_target(benchmark: str, parameters: Mapping[str, object], value: str) -> Target | None:
    """The target of a value, if it has one."""
    return next((one for one in TARGETS if one.value == value and one.holds_for(benchmark, parameters)), None)
