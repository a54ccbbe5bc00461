"""What pytest takes from here: the profiles, the servers, the tally of each property, and an eye on every server."""

from collections.abc import Callable, Generator, Iterator

import pytest

from harness.server import logs
from harness.server.alarms import raised
from harness.server.changes import put_back
from harness.server.cluster import servers
from properties.recording.at_once import faults_in_words, histories_in_words, interleavings_in_words
from properties.recording.tally import Tally
from properties.support.hanging import watched
from properties.support.profiles import (  # noqa: F401
    exhaustive,
    profile,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    remember,
    silence,
)
from properties.support.servers import (  # noqa: F401
    clean_session,
    client,
    cluster,
    copies,
    durable,
    durable_backups,
    expiring,
    fixed,
    forgetful,
    implementation,
    instrumented,
    instruments,
    multi_session,
    observable,
    only_the_extension,
    postgres,
    release,
    result_limits,
    special,
    starters,
    stock,
    thread,
    tokens,
    workdir,
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    remember(item)
    logs.mark()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A server that crashed is a finding, whether or not the property noticed; what it noticed is told beside it."""
    tally = getattr(item, "funcargs", {}).get("tally")
    try:
        with watched(tally, silence(item.config)):
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what its servers have logged, which goes when they go."""
    report = yield
    if report.failed:
        report.sections += [(f"The end of the log of server {name}", tail) for name, tail in logs.tails()]
    return report


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
