"""How long to look: what Hypothesis is told for each profile, and the options that choose it and the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, core, is_hypothesis_test, settings
from hypothesis.statistics import collector

from properties.support.examples import database

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
LONG = {"durable", "limits", "restores", "hooks", "findings", "test_tour.py", "test_free_running.py", "test_nemesis.py"}
"""Of these, which restart and restore servers and take long ways, it has the first property of each file."""

PROFILES = ("short", "dev", "gate", "nightly")
SILENCE = dict.fromkeys(PROFILES, 15 * 60.0) | {"nightly": 6 * 3600.0}
"""Seconds in which a property counts no example and no step, by profile, before it is said to hang."""

NIGHTLY: dict[str, Any] = {
    "max_examples": 20_000,
    "stateful_step_count": 60,
    "database": database("nightly"),  # and one for each test: see remember
    "derandomize": False,  # also where Hypothesis sees that it runs in CI, and would explore nothing
}

PARTS = {"nightly": 16}
"""In how many parts a campaign draws the examples of each property, by profile, so that many workers can share them."""
_parts = 1
"""In how many this process does; it runs one at a time."""

settings.register_profile("short", max_examples=5, stateful_step_count=20, derandomize=True, database=None, **COMMON)
settings.register_profile("dev", max_examples=30, stateful_step_count=30, derandomize=False, database=None, **COMMON)
settings.register_profile("gate", max_examples=200, stateful_step_count=40, derandomize=True, database=None, **COMMON)
settings.register_profile("nightly", **NIGHTLY, **COMMON)
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
    group.addoption("--examples", metavar="ADDRESS", help="a Redis that keeps examples which failed, beside the folder")
    group.addoption("--parts", type=int, default=1, metavar="N", help="draw only an N-th of the examples")
    named = "shared, shared_fixed, thread, durable, stock, or a TOML file of one"
    group.addoption("--implementation", default="shared", help=named)


def silence(config: pytest.Config) -> float:
    """Seconds after which a property hangs that has counted nothing meanwhile."""
    return config.getoption("--silence") or SILENCE[config.getoption("--profile")]


def pytest_configure(config: pytest.Config) -> None:
    global _parts
    profile, _parts = config.getoption("--profile"), config.getoption("--parts")
    known = settings.get_profile(profile)
    settings.register_profile(profile, known, max_examples=share_of(known.max_examples))
    settings.load_profile(profile)


def share_of(number: int) -> int:
    """What one part draws of so many examples."""
    return -(-number // _parts)


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
    return number if at_most is None else min(number, share_of(at_most))


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> str:
    """How long to look: "dev" (the short pass, too), "gate" or "nightly"."""
    chosen = str(request.config.getoption("--profile"))
    return "dev" if chosen == "short" else chosen


@pytest.fixture(scope="session")
def exhaustive(profile: str) -> bool:
    """Is there time for everything?"""
    return profile == "nightly"


def remember(item: pytest.Item) -> None:
    """From here on, a profile that remembers what it has found keeps it for this test."""
    profile, address = item.config.getoption("--profile"), item.config.getoption("--examples")
    known = settings.get_profile(profile)
    if known.database is not None:
        settings.register_profile(profile, known, database=database(item.nodeid, address))
        settings.load_profile(profile)


def force_seed(seed: int | None) -> None:
    """From here on, Hypothesis draws with this seed, unless the profile's examples are always the same."""
    # Not core.global_force_seed, as Hypothesis' option --hypothesis-seed has it: then nothing is remembered.
    core.threadlocal._hypothesis_global_random = None if seed is None else Random(seed)


@contextmanager
def drawing(item: pytest.Item) -> Iterator[list[object]]:
    """In the list there is something in the end if Hypothesis has drawn examples for the test."""
    drawn: list[object] = [item] if is_hypothesis_test(getattr(item, "obj", None)) else []
    with collector.with_value(drawn.append):  # type: ignore[arg-type]
        yield drawn
