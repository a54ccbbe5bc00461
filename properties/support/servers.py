"""The server under test, its builds and its clients, as fixtures; and what a test asks of the design under test."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from harness.building.build import Build, Flavour, Special, build
from harness.clients.client import Client
from harness.clients.implementation import (
    DURABLE,
    STOCK,
    THREAD,
    Capability,
    Implementation,
    find_implementation,
    install,
    with_room,
)
from harness.machine.postgres import Postgres, SetupError, find_postgres
from harness.machine.project import cache_folder
from harness.machine.scratch import temporary_folder
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session
from model.design import OnRestart

PROBED = {"full_page_writes": "off"}
"""Settings under which core's hidden counter can be read from outside."""


FEW = 1
"""Backups that memory is preallocated for, where walks are to meet that limit."""


def server_settings(implementation: Implementation) -> dict[str, str]:
    """The settings of the server that most properties share, beside the bench's own."""
    return {**PROBED, "shared_preload_libraries": implementation.preload or "", **implementation.server_settings}


@contextmanager
def setting_up() -> Iterator[None]:
    """Without its set-up nothing here can run: the one sentence that says why ends the session."""
    try:
        yield
    except SetupError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
@setting_up()
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """The PostgreSQL under test."""
    return find_postgres(request.config.getoption("--pg-config"))


@pytest.fixture(scope="session")
@setting_up()
def implementation(request: pytest.FixtureRequest) -> Implementation:
    """The implementation under test."""
    return find_implementation(request.config.getoption("--implementation"))


@pytest.fixture(scope="session")
def workdir() -> Path:
    """Where builds go."""
    return cache_folder()


@pytest.fixture(scope="session")
def special(request: pytest.FixtureRequest) -> Special | None:
    """What the extension has in it beside."""
    asked = {"--sanitize": Special.SANITIZERS, "--gcov": Special.COUNTERS}
    return next((special for option, special in asked.items() if request.config.getoption(option)), None)


@pytest.fixture(scope="session")
@setting_up()
def instrumented(postgres: Postgres, workdir: Path, special: Special | None) -> Build:
    """The extension with the clock that a test can move."""
    return build(postgres, Flavour.INSTRUMENTED, workdir, special=special)


@pytest.fixture(scope="session")
@setting_up()
def release(postgres: Postgres, workdir: Path, special: Special | None) -> Build:
    """The extension as its users have it."""
    return build(postgres, Flavour.RELEASE, workdir, special=special)


@contextmanager
def installed_server(
    build: Build, implementation: Implementation, more_settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Cluster]:
    """A server with the implementation, on which core's hidden counter can be read."""
    with open_cluster(build, settings={**server_settings(implementation), **more_settings}) as cluster:
        session = cluster.connect()
        install(implementation, session)
        session.close()
        yield cluster


@pytest.fixture(scope="session")
def cluster(instrumented: Build, implementation: Implementation) -> Iterator[Cluster]:
    """A server with the implementation under test."""
    with setting_up(), installed_server(instrumented, implementation) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def client(cluster: Cluster, implementation: Implementation) -> Client:
    """A client of the implementation under test."""
    return Client(cluster, implementation)


@pytest.fixture
def clean_session(cluster: Cluster, client: Client) -> Iterator[Session]:
    """A session on the server, with settings as they come, while nobody else has a backup there; it leaves none."""
    client.afresh()
    session = cluster.connect()
    yield session
    session.close()
    client.clear()


@pytest.fixture(scope="session")
def stock(instrumented: Build) -> Iterator[Client]:
    """A client of core's own functions, on a server of its own."""
    with open_cluster(instrumented, settings=PROBED) as cluster:
        yield Client(cluster, STOCK)


@pytest.fixture(scope="module")
def durable(instrumented: Build, durable_backups: None, forgetful: None) -> Iterator[Client]:
    """A client of the extension whose backups survive restarts, on a server of its own."""
    with installed_server(instrumented, DURABLE) as cluster:
        yield Client(cluster, DURABLE)


@pytest.fixture(scope="module")
def fixed(instrumented: Build, only_the_extension: None, forgetful: None) -> Iterator[Client]:
    """A client of the extension whose backups are in preallocated memory, for few, on a server of its own."""
    implementation = with_room(FEW)
    with installed_server(instrumented, implementation) as cluster:
        yield Client(cluster, implementation)


@pytest.fixture(scope="module")
def thread(instrumented: Build, only_the_extension: None, forgetful: None) -> Iterator[Client]:
    """A client of the extension without what the thread's proposal lacks, on a server of its own."""
    with installed_server(instrumented, THREAD) as cluster:
        yield Client(cluster, THREAD)


@pytest.fixture
def copies() -> Iterator[Path]:
    """A folder for copies of servers."""
    with temporary_folder() as folder:
        yield folder


# What a test asks of the implementation: others skip it, for the reason given


def need(implementation: Implementation, capability: Capability, reason: str) -> None:
    """Skips what cannot be tested without this."""
    if capability not in implementation.capabilities:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def only_the_extension(implementation: Implementation) -> None:
    """For what the extension says, how it is packaged, and what it does by itself."""
    need(implementation, Capability.EXTENSION, "it is about the extension, and this is not it")


@pytest.fixture(scope="session")
def tokens(implementation: Implementation) -> None:
    """For what is known of a start by its token."""
    need(implementation, Capability.TOKENS, "starts have no token, nor do stops say whether they are repeated")


@pytest.fixture(scope="session")
def durable_backups(implementation: Implementation) -> None:
    """For what durable backups promise, whether or not they are the ones under test."""
    need(implementation, Capability.DURABLE_BACKUPS, "no setting makes backups survive a restart of the server")


@pytest.fixture(scope="session")
def result_limits(implementation: Implementation) -> None:
    """For what becomes of results beyond a limit."""
    need(implementation, Capability.RESULT_LIMITS, "no setting bounds the results that are remembered")


@pytest.fixture(scope="session")
def starters(implementation: Implementation, postgres: Postgres) -> None:
    """For the background workers that start backups."""
    need(implementation, Capability.STARTERS, "no background workers start the backups")
    if postgres.detaches_backups:
        pytest.skip("this PostgreSQL has our patch, and starts need no background workers")


@pytest.fixture(scope="session")
def instruments(implementation: Implementation) -> None:
    """For what is held at an injection point, or runs out of memory, or has its state carried away."""
    need(implementation, Capability.INSTRUMENTS, "there are no injection points, nor other instruments")


@pytest.fixture(scope="session")
def observable(implementation: Implementation) -> None:
    """For what is compared in the view, and by times."""
    if implementation.view is None or not implementation.has_clock:
        pytest.skip("without a view, and a clock that tests can move, there is too little to compare")


@pytest.fixture(scope="session")
def expiring(implementation: Implementation) -> None:
    """For what only a design promises whose backups may have a time to live."""
    if not implementation.design.expiry:
        pytest.skip("the design knows no time to live")


@pytest.fixture(scope="session")
def multi_session(implementation: Implementation) -> None:
    """For what only a design promises whose backups outlive their session."""
    if implementation.design.session_bound:
        pytest.skip("the design is session-bound: a backup ends with its session, and no other can stop it")


@pytest.fixture(scope="session")
def forgetful(implementation: Implementation) -> None:
    """For what only a design promises whose backups end with the server."""
    if implementation.design.on_restart is not OnRestart.FORGET:
        pytest.skip("the design keeps its backups over a restart of the server")
