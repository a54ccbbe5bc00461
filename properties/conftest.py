"""What the properties share: a server, the profiles, and the tally of what each property did."""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from harness import logs
from harness.alarms import raised
from harness.build import Build, Flavour, build
from harness.changes import put_back
from harness.client import Client
from harness.cluster import Cluster, open_cluster, servers
from harness.implementation import DURABLE, SHARED, STOCK, Implementation, find_implementation
from harness.postgres import Postgres, SetupError, find_postgres
from harness.session import Session
from properties.at_once import faults_in_words, histories_in_words, interleavings_in_words
from properties.profiles import remember
from properties.tally import Tally

settings.load_profile("dev")

PROBED = {"full_page_writes": "off"}
"""Settings under which core's hidden counter can be read from outside."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption("--pg-config", help="the PostgreSQL to test on (default: $PG_CONFIG, else the bundled one)")
    group.addoption("--profile", choices=["dev", "gate", "nightly"], default="dev", help="how long to look")
    group.addoption("--sanitize", action="store_true", help="build the extension with sanitizers")
    group.addoption("--implementation", default="shared", help="shared, durable, stock, or a TOML file of one")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile(config.getoption("--profile"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    remember(item.config.getoption("--profile"), item.nodeid)
    logs.mark()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """A server that crashed is a finding, whether or not the property noticed; what it noticed is told beside it."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        if alarms := raised():
            raise BaseExceptionGroup("a server crashed", [*map(pytest.fail.Exception, alarms), error]) from None
        raise
    fail_if_alarmed()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """The same for servers that crashed after the property had ended, at the latest when they were discarded."""
    yield
    fail_if_alarmed()


def fail_if_alarmed() -> None:
    """Fails if a server has raised an alarm since somebody last asked."""
    if alarms := raised():
        pytest.fail("\n\n".join(alarms), pytrace=False)


def cache_folder() -> Path:
    """Where what was built is kept."""
    return Path(os.environ.get("BENCH_CACHE", Path(__file__).parent.parent / ".cache"))


def server_settings(implementation: Implementation) -> dict[str, str]:
    """The settings of the server that most properties share, beside the bench's own."""
    return {**PROBED, "shared_preload_libraries": implementation.preload or "", **implementation.server_settings}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what its servers have logged, which goes when they go."""
    report = yield
    if report.failed:
        report.sections += [(f"The end of the log of server {name}", tail) for name, tail in logs.tails()]
    return report


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
def profile(request: pytest.FixtureRequest) -> str:
    """How long to look: "dev", "gate" or "nightly"."""
    return str(request.config.getoption("--profile"))


@pytest.fixture(scope="session")
def patient(profile: str) -> bool:
    """Is there time for everything?"""
    return profile == "nightly"


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


@pytest.fixture(autouse=True)
def settings_are_put_back() -> Iterator[None]:
    """Whoever changes settings of a server that others use, too, puts them back, or fails, and they are put back."""
    before = {server: dict(server.settings) for server in servers()}
    yield
    left: set[str] = set()
    for server in set(servers()) & before.keys():
        changed = {name for name, _ in server.settings.items() ^ before[server].items()} - server.varied
        if changed:
            put_back(server, {name: before[server].get(name) for name in changed})
        left |= changed
    assert not left, f"these settings of a shared server were not put back: {', '.join(sorted(left))}"


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
def durable(instrumented: Build, implementation: Implementation) -> Iterator[Client]:
    """A client of the extension whose backups survive restarts, on a server of its own."""
    if implementation != SHARED:
        pytest.skip("only the extension has durable backups to test beside those that are not")
    with open_cluster(instrumented, settings=server_settings(DURABLE)) as cluster:
        yield Client(cluster, DURABLE)


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


@pytest.fixture
def tally(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[Tally]:
    """Counts what the property does; the counts go into the report of the test."""
    tally = Tally()
    yield tally
    record_property("examples", tally.examples)
    record_property("steps", tally.steps)
    record_property("seconds stepping", round(tally.stepping, 3))
    record_property("classes", sorted(" | ".join(seen) for seen in tally.classes))
    record_property("missing", sorted(" | ".join(seen) for seen in tally.missing()))
    for note in (*tally.notes, *words_of(tally)):
        record_property("note", note)


def words_of(tally: Tally) -> Iterator[str]:
    """What was done at once, in words."""
    yield from (f"faults: {words}" for words in faults_in_words(tally.faults))
    yield from (f"interleavings: {words}" for words in interleavings_in_words(tally.interleavings))
    yield from (f"histories: {words}" for words in histories_in_words(tally.linearized))


def hear_signals() -> None:
    """For a new process: undoes what nohup, and a shell without job control, do to programs in the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
