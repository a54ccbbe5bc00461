"""How long to look: what Hypothesis is told for each profile, and the options that choose it and the server."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

COMMON: dict[str, Any] = {
    "deadline": None,  # a server's speed is a matter for the benchmarks
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    "print_blob": True,
}
settings.register_profile("dev", max_examples=30, stateful_step_count=30, database=None, **COMMON)
settings.register_profile("gate", max_examples=600, stateful_step_count=40, derandomize=True, database=None, **COMMON)
settings.register_profile("nightly", max_examples=20_000, stateful_step_count=60, **COMMON)
settings.load_profile("dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption("--pg-config", help="the PostgreSQL to test on (default: $PG_CONFIG, else the bundled one)")
    group.addoption("--profile", choices=["dev", "gate", "nightly"], default="dev", help="how long to look")
    group.addoption("--sanitize", action="store_true", help="build the extension with sanitizers")
    group.addoption("--implementation", default="shared", help="shared, durable, stock, or a TOML file of one")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile(config.getoption("--profile"))


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> str:
    """How long to look: "dev", "gate" or "nightly"."""
    return str(request.config.getoption("--profile"))


@pytest.fixture(scope="session")
def exhaustive(profile: str) -> bool:
    """Is there time for everything?"""
    return profile == "nightly"
