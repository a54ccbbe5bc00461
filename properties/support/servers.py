"""The server under test, its builds and its clients, as fixtures; and what a test asks of the design under test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.building.build import Build, Flavour, build
from harness.clients.client import Client
from harness.clients.implementation import DURABLE, SHARED, STOCK, Implementation, find_implementation
from harness.machine.postgres import Postgres, SetupError, find_postgres
from harness.machine.project import cache_folder
from harness.machine.scratch import temporary_folder
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session

PROBED = {"full_page_writes": "off"}
"""Settings under which core's hidden counter can be read from outside."""


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
def sanitize(request: pytest.FixtureRequest) -> bool:
    """Whether the extension is built with sanitizers."""
    return bool(request.config.getoption("--sanitize"))


@pytest.fixture(scope="session")
@setting_up()
def instrumented(postgres: Postgres, workdir: Path, sanitize: bool) -> Build:
    """The extension with the clock that a test can move."""
    return build(postgres, Flavour.INSTRUMENTED, workdir, sanitize=sanitize)


@pytest.fixture(scope="session")
@setting_up()
def release(postgres: Postgres, workdir: Path, sanitize: bool) -> Build:
    """The extension as its users have it."""
    return build(postgres, Flavour.RELEASE, workdir, sanitize=sanitize)


@pytest.fixture(scope="session")
def cluster(instrumented: Build, implementation: Implementation) -> Iterator[Cluster]:
    """A server with the implementation, on which core's hidden counter can be read."""
    with setting_up(), open_cluster(instrumented, settings=server_settings(implementation)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def client(cluster: Cluster, implementation: Implementation) -> Client:
    """A client of the implementation under test."""
    return Client(cluster, implementation)


@pytest.fixture
def clean_session(cluster: Cluster, client: Client) -> Iterator[Session]:
    """A session on the server while nobody else has a backup there; none is left behind."""
    client.clear()
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
def durable(instrumented: Build, implementation: Implementation) -> Iterator[Client]:
    """A client of the extension whose backups survive restarts, on a server of its own."""
    if implementation != SHARED:
        pytest.skip("only the extension has durable backups to test beside those that are not")
    with open_cluster(instrumented, settings=server_settings(DURABLE)) as cluster:
        yield Client(cluster, DURABLE)


@pytest.fixture
def copies() -> Iterator[Path]:
    """A folder for copies of servers."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def durable_backups(implementation: Implementation) -> None:
    """For what only the extension promises, whichever of its designs is chosen; others skip it."""
    if implementation.start != SHARED.start:
        pytest.skip("only the extension has durable backups")


@pytest.fixture
def multi_session(implementation: Implementation) -> None:
    """For what only a design promises whose backups outlive their session; others skip it."""
    if implementation.design.session_bound:
        pytest.skip("the design is session-bound: a backup ends with its session, and no other can stop it")


@pytest.fixture
def forgetful(implementation: Implementation) -> None:
    """For what only a design promises whose backups end with the server; others skip it."""
    if implementation.durable:
        pytest.skip("the design is durable: backups survive a restart of the server")
