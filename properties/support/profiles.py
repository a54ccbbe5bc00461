"""How long to look: what Hypothesis is told for each profile, and the options that choose it and the server."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from harness.machine.project import ROOT

FOUND = Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY", ROOT / ".hypothesis")) / "examples"
"""Where the examples are kept that failed, until they do not fail any more."""

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""For examples that take seconds each, or that leave their server as no other example expects it: what failed before is
tried first, and what fails is not made smaller."""

COMMON: dict[str, Any] = {
    "deadline": None,  # a server's speed is a matter for the benchmarks
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    "print_blob": True,
}
WHOLE = {"bench"}
"""Of these folders the short pass has everything: nothing else runs them."""
LONG = {"durable", "limits", "restores", "findings", "test_tour.py", "test_free_running.py", "test_nemesis.py"}
"""Of these, which restart and restore servers and take long ways, it has the first property of each file."""

PROFILES = ("short", "dev", "gate", "nightly")
SILENCE = dict.fromkeys(PROFILES, 15 * 60.0) | {"nightly": 6 * 3600.0}
"""Seconds in which a property counts no example and no step, by profile, before it is said to hang."""

NIGHTLY: dict[str, Any] = {
    "max_examples": 20_000,
    "stateful_step_count": 60,
    "derandomize": False,  # also where Hypothesis sees that it runs in CI, and would explore nothing
}

settings.register_profile("short", max_examples=5, stateful_step_count=20, derandomize=True, database=None, **COMMON)
settings.register_profile("dev", max_examples=30, stateful_step_count=30, derandomize=False, database=None, **COMMON)
settings.register_profile("gate", max_examples=200, stateful_step_count=40, derandomize=True, database=None, **COMMON)
settings.register_profile("nightly", database=DirectoryBasedExampleDatabase(FOUND), **NIGHTLY, **COMMON)
settings.load_profile("dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption("--pg-config", help="the PostgreSQL to test on (default: $PG_CONFIG, else the bundled one)")
    group.addoption("--profile", choices=PROFILES, default="dev", help="how long to look")
    group.addoption("--sanitize", action="store_true", help="build the extension with sanitizers")
    group.addoption("--gcov", action="store_true", help="build the extension with counters of lines and branches")
    group.addoption(
        "--silence", type=float, metavar="SECONDS", help="what counts nothing for so long hangs (default: 900)"
    )
    named = "shared, shared_fixed, thread, durable, stock, or a TOML file of one"
    group.addoption("--implementation", default="shared", help=named)


def silence(config: pytest.Config) -> float:
    """Seconds after which a property hangs that has counted nothing meanwhile."""
    return config.getoption("--silence") or SILENCE[config.getoption("--profile")]


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile(config.getoption("--profile"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The short pass takes the first case of each property, or the first property of a file; of the bench, all."""
    if config.getoption("--profile") != "short":
        return
    kept: dict[tuple[Path, str], pytest.Item] = {}
    for item in items:
        kept.setdefault((item.path, kept_once(item)), item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept.values()])
    items[:] = kept.values()


def kept_once(item: pytest.Item) -> str:
    """What the short pass has only once in a file."""
    if WHOLE.intersection(item.path.parts):
        return item.name
    return "" if LONG.intersection(item.path.parts) else getattr(item, "originalname", item.name)


def examples(share: float, at_least: int = 1, at_most: int | None = None) -> int:
    """That share of the profile's number of examples, within limits: for examples that take longer than others."""
    chosen = settings.default
    assert chosen is not None
    number = max(at_least, int(chosen.max_examples * share))
    return number if at_most is None else min(number, at_most)


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> str:
    """How long to look: "dev" (the short pass, too), "gate" or "nightly"."""
    chosen = str(request.config.getoption("--profile"))
    return "dev" if chosen == "short" else chosen


@pytest.fixture(scope="session")
def exhaustive(profile: str) -> bool:
    """Is there time for everything?"""
    return profile == "nightly"


def remember(profile: str, test: str) -> None:
    """From here on, a profile that remembers what it has found keeps it for this test (pytest's name of it).

    Several tests share a function that Hypothesis calls, and would share what it has found: the next of them throws
    away what does not fail there.
    """
    known = settings.get_profile(profile)
    if known.database is not None:
        own = FOUND / sha256(test.encode()).hexdigest()[:16]
        settings.register_profile(profile, known, database=DirectoryBasedExampleDatabase(own))
        settings.load_profile(profile)
