"""What the benchmarks share: the server and implementation to measure, how much to measure, and where it is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.fleet import Fleet
from benchmarks.recorder import Recorder
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.servers import server
from harness.building.build import Build, Flavour, build
from harness.building.source_build import source_build
from harness.clients.implementation import Implementation, without_instruments
from harness.machine.postgres import find_postgres
from harness.schema.benchmarks import Benchmark
from properties.support import profiles
from properties.support.profiles import pytest_configure  # noqa: F401
from properties.support.servers import (  # noqa: F401
    PROBED,
    client,
    cluster,
    implementation,
    instrumented,
    postgres,
    release,
    setting_up,
    workdir,
)

VARIED = ("callers", "tablespaces", "open_backups", "operations")
"""Parameters whose values depend on how much is measured."""


def pytest_addoption(parser: pytest.Parser) -> None:
    profiles.pytest_addoption(parser)
    group = parser.getgroup("bench")
    group.addoption("--full", action="store_true", help="measure all, not only the quick set")
    group.addoption("--source", type=Path, help="measure starts on a patched PostgreSQL, too, built from this source")


def scale_of(config: pytest.Config) -> Scale:
    """How much is measured."""
    return FULL if config.getoption("--full") else QUICK


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in VARIED:
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, getattr(scale_of(metafunc.config), name))
    if "core" in metafunc.fixturenames:
        cores = ["stock", *["patched"] * (metafunc.config.getoption("--source") is not None)]
        metafunc.parametrize("core", cores, indirect=True, scope="session")


@dataclass(frozen=True)
class Core:
    """The PostgreSQL that the implementation runs in: the one that was chosen, or one with our patches."""

    prefix: str
    """Of the names of what is measured on it."""
    words: str
    build: Build


@pytest.fixture(scope="session")
def core(request: pytest.FixtureRequest, release: Build, workdir: Path) -> Core:  # noqa: F811
    """One of them; the patched one is built from the source that was named."""
    if request.param == "stock":
        return Core("", "", release)
    with setting_up():
        pg_config = source_build(request.config.getoption("--source"), workdir, assertions=False, patched=True)
        patched = build(find_postgres(pg_config), Flavour.RELEASE, workdir)
    return Core("patched_", " on a patched PostgreSQL", patched)


@pytest.fixture(scope="session")
def special() -> None:
    """What is measured is built as users build it."""


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    """How much is measured."""
    return scale_of(request.config)


@pytest.fixture(scope="session")
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """Where measurements are kept, and told how far they are."""
    plugins = request.config.pluginmanager.get_plugins()
    return next((plugin for plugin in plugins if isinstance(plugin, Recorder)), Recorder())


@pytest.fixture
def keep(recorder: Recorder, request: pytest.FixtureRequest) -> Callable[[Benchmark], None]:
    """Keeps a measurement, in the run's results and with pytest-benchmark's own."""

    def keep(measurement: Benchmark) -> None:
        recorder.add(measurement)
        if "benchmark" in request.fixturenames:
            info = request.getfixturevalue("benchmark").extra_info
            for ratio in measurement.ratios:
                info[f"{measurement.name}: {ratio.candidate} / {ratio.against}"] = ratio.median
            info.update(measurement.values)

    return keep


@pytest.fixture(scope="session")
def measured_implementation(implementation: Implementation) -> Implementation:  # noqa: F811
    """The implementation as its users have it, without instruments."""
    return replace(without_instruments(implementation), name=implementation.name)


@pytest.fixture(scope="session")
def many_open(measured_implementation: Implementation) -> Implementation:
    """The implementation, if it can keep backups open that no session holds."""
    if measured_implementation.design.session_bound:
        pytest.skip(f"with {measured_implementation.name} a backup is open only as long as its session")
    return measured_implementation


@pytest.fixture(scope="session")
def fleet(release: Build, many_open: Implementation, recorder: Recorder) -> Iterator[Fleet]:  # noqa: F811
    """A server with few connections, on which ever more backups are open."""
    with setting_up(), server(release, many_open, {**PROBED, "max_connections": "20"}) as cluster:  # noqa: F811
        yield Fleet(cluster, many_open, recorder.watch)


@pytest.fixture(scope="session")
def twin(release: Build, many_open: Implementation, recorder: Recorder) -> Iterator[Fleet]:  # noqa: F811
    """A server set up as the fleet's is, on which no backup stays open."""
    with setting_up(), server(release, many_open, {**PROBED, "max_connections": "20"}) as cluster:  # noqa: F811
        yield Fleet(cluster, many_open, recorder.watch)
