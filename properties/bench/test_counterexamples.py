"""A failure in its other forms: scripts for psql and for the isolation tester show it, and as data it is tried again.

The bug is a real one: the extension is built with it, and a walk finds it in a campaign.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from harness.building.build import Build, Flavour, build
from harness.clients.client import Client, Violation
from harness.clients.implementation import SHARED
from harness.clients.phases import PhaseController
from harness.machine.postgres import Postgres
from harness.machine.processes import stopped
from harness.schema.counterexample import Counterexample
from harness.server.cluster import Cluster
from harness.server.settings import STARTS_AT_ONCE
from model.design import SHARED as DESIGN
from model.numbers import StartPoint
from model.operations import (
    Abort,
    Advance,
    Connect,
    Disconnect,
    ListBackups,
    Operation,
    Restart,
    RestartKind,
    SetLimit,
    Start,
    Stop,
)
from properties.bench.made_campaigns import Ended, campaign
from properties.bench.planted import BEYOND_THE_LIMIT, PATIENCE, isolation_tester, made_up, plant, psql
from properties.concurrency.interleavings import ROLES, SESSION_ROLES, Scope, connections, scopes
from properties.concurrency.phase_by_phase import Replay
from properties.recording.counterexample_files import json_text, told
from properties.recording.isolation_spec import isolation_spec
from properties.recording.isolation_steps import UntellableError, loading
from properties.recording.psql_script import in_one_psql, psql_script
from properties.recording.tally import Tally
from properties.recording.verdict import Property
from properties.replay.__main__ import main
from properties.support.counterexamples import counterexample, operation_of, steps, tried
from properties.support.lockstep import ROLES as LOCKSTEP_ROLES
from properties.support.lockstep import Lockstep
from properties.support.minimal import minimal, without
from properties.support.servers import installed_server
from properties.walks.rehearsal import rehearse

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

PROPERTY = """
import hypothesis
from pathlib import Path
from harness.building.build import Flavour, build
from harness.clients.client import Client
from harness.clients.implementation import SHARED
from properties.support.profiles import UNSHRUNK
from properties.support.servers import installed_server
from properties.walks.rehearsal import rehearse
from properties.walks.conformance import walk

hypothesis.settings.register_profile("planted", hypothesis.settings.get_profile("gate"), phases=UNSHRUNK)

def test_no_start_exceeds_the_limit(postgres, workdir, tally):
    built = build(postgres, Flavour.INSTRUMENTED, workdir, sources=Path("SOURCES"))
    with installed_server(built, SHARED) as cluster:
        hypothesis.settings.load_profile("planted")
        walk(Client(cluster, SHARED), tally)
"""
SENTENCE = "no start exceeds the limit"
REFUSED = "too many shared backups"
"""What a sound extension says."""
WALKS = 5
EVERY = 8
"""Of so many schedules one is told to the isolation tester."""


class Servers(NamedTuple):
    """One with the bug, and one without."""

    broken: Cluster
    sound: Cluster


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(BEYOND_THE_LIMIT, tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def servers(postgres: Postgres, instrumented: Build, workdir: Path, sources: Path) -> Iterator[Servers]:
    planted = build(postgres, Flavour.INSTRUMENTED, workdir, sources=sources)
    with (
        installed_server(planted, SHARED, STARTS_AT_ONCE) as broken,
        installed_server(instrumented, SHARED, STARTS_AT_ONCE) as sound,
    ):
        yield Servers(broken, sound)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, servers: Servers, sources: Path) -> Ended:
    """A campaign in which a walk has found the bug; that the servers are there means that the extension is built."""
    walk = PROPERTY.replace("SOURCES", str(sources))
    return campaign(tmp_path_factory.mktemp("found"), f"--pg-config={postgres.pg_config}", test_walk=walk)


def file_of(found: Ended, suffix: str) -> Path:
    """One of the files of the failure."""
    name = str(found.one(SENTENCE)["counterexamples"][0])
    return (found.results / "latest" / name).with_suffix(suffix)


def counterexample_of(found: Ended) -> Counterexample:
    """The failure as data."""
    return msgspec.json.decode(file_of(found, ".json").read_bytes(), type=Counterexample)


def test_a_failure_is_written_down_in_every_form(found: Ended) -> None:
    assert found.one(SENTENCE)["verdict"] == "fails"
    text = file_of(found, ".txt").read_text().partition("===== All that pytest says")[0]
    assert f"nox -s replay -- {file_of(found, '.json').resolve()}\n" in found.output
    for suffix in (".json", ".sql", ".spec"):
        assert file_of(found, suffix).name in text
    for script in (file_of(found, ".sql"), file_of(found, ".spec")):
        assert SENTENCE in script.read_text().splitlines()[0]
        assert "expected: 53400 configuration_limit_exceeded" in script.read_text()


def test_it_is_minimal_and_says_what_was_expected_and_what_came(found: Ended) -> None:
    one = counterexample_of(found)
    assert one.promise == SENTENCE
    assert [step.operation for step in one.steps] == ["Connect", "SetLimit", "Start"]
    assert one.failed == 3
    assert (one.steps[2].expected, one.steps[2].came) == ("53400 configuration_limit_exceeded", "ok, 1")


def test_what_does_not_matter_is_left_out_of_a_history(servers: Servers) -> None:
    client = Client(servers.broken, SHARED)
    needed = (Connect(0, "root"), Connect(1, "alice"), Start(0, "b"), SetLimit(1), Start(1, "a"))
    idle = (Connect(2, "bob"), ListBackups(0), Start(0, "c"), Advance(5), Stop(2, "c"), Disconnect(2))
    whole = tried(client, [*needed[:3], *idle, *needed[3:]], Tally())
    assert whole is not None
    smallest = minimal(whole, client, Tally()).counterexample
    put_away(client)
    assert smallest is not None
    assert tuple(map(operation_of, smallest.steps)) == needed


def test_who_names_a_start_names_it_by_its_new_number() -> None:
    steps = made_up(
        Connect(0, "root"), Start(0, "a"), Start(0, "b"), Stop(0, "b", StartPoint(2)), Abort(0, "a", StartPoint(0))
    ).steps
    assert without(steps, 1, 2)[1:] == [Start(0, "b"), Stop(0, "b", StartPoint(1)), Abort(0, "a", StartPoint(0))]


def test_psql_shows_it(postgres: Postgres, servers: Servers, found: Ended) -> None:
    shown, said = psql(postgres, servers.broken, file_of(found, ".sql"))
    assert "53400" not in said
    assert " a     | active " in shown
    shown, said = psql(postgres, servers.sound, file_of(found, ".sql"))
    assert f"ERROR:  53400: {REFUSED}" in said
    assert "active" not in shown


def test_the_isolation_tester_shows_it(postgres: Postgres, servers: Servers, found: Ended) -> None:
    spec = file_of(found, ".spec").read_text()
    for _ in range(2):  # nothing is left of the first time
        said = isolation_tester(postgres, servers.broken, spec)
        assert "start_lsn|token" in said["step3_start"]
        assert "|active|" in said["view"]
    said = isolation_tester(postgres, servers.sound, spec)
    assert f"ERROR:  {REFUSED}" in said["step3_start"]
    assert "|active|" not in said["view"]


def replayed(
    capfd: pytest.CaptureFixture[str], file: Path, sources: Path | None, postgres: Postgres
) -> tuple[int, str]:
    """What ``nox -s replay`` comes to; without sources: with the extension as it is."""
    arguments = [str(file), f"--pg-config={postgres.pg_config}"]
    status = main(arguments, sources) if sources else main(arguments)
    return status, capfd.readouterr().out


def test_it_fails_again_until_it_is_mended(
    capfd: pytest.CaptureFixture[str], postgres: Postgres, sources: Path, found: Ended
) -> None:
    status, told = replayed(capfd, file_of(found, ".json"), sources, postgres)
    assert (status, told.splitlines()[-1]) == (1, "still fails at step 3")
    status, told = replayed(capfd, file_of(found, ".json"), None, postgres)
    assert (status, told.splitlines()[-1]) == (0, "mended: every step came as expected")


# Phase by phase


@pytest.fixture(scope="module")
def interleaved(servers: Servers) -> Counterexample:
    """Two starts at once, where one is allowed."""
    controller = PhaseController(servers.broken, SHARED)
    scope = Scope(("start", "start"), ("a", "b"), (("a", "absent"), ("b", "absent")), 1)
    schedule = (0, 1, 0, 0)
    begin(controller)
    with pytest.raises(Violation) as violation:
        Replay(controller, scope.case(DESIGN, schedule, scope.interleavings(DESIGN)[schedule])).play()
    controller.release_all()
    controller.client.recover()
    put_away(controller.client)
    assert violation.value.counterexample is not None
    return violation.value.counterexample


def begin(controller: PhaseController) -> None:
    """All sessions are connected."""
    controller.client.begin(ROLES, len(SESSION_ROLES), DESIGN.settings)
    for connection in connections():
        controller.client.perform(connection)


def test_of_an_interleaving_it_says_where_operations_are_held(interleaved: Counterexample) -> None:
    phases = [(step.given["session"], step.phase, step.until) for step in interleaved.steps if step.phase]
    assert phases[:2] == [(0, 1, "start-reserved"), (1, 1, None)]
    assert ("start-reserved", "b") in interleaved.points
    failed = interleaved.steps[interleaved.failed - 1]
    assert (failed.expected, failed.came) == ("53400 configuration_limit_exceeded", "waits at start-reserved")
    assert {step.came for step in interleaved.steps[interleaved.failed :]} == {""}


def test_the_isolation_tester_shows_an_interleaving(
    postgres: Postgres, servers: Servers, interleaved: Counterexample
) -> None:
    spec, name = isolation_spec(interleaved), f"step{interleaved.failed}_start"
    said = isolation_tester(postgres, servers.broken, spec)
    assert "<waiting ...>" in said[name]
    assert said["view"].count("|starting") == 2
    said = isolation_tester(postgres, servers.sound, spec)
    assert f"ERROR:  {REFUSED}" in said[name]
    assert said["view"].count("|starting") == 1


def test_an_interleaving_fails_again_until_it_is_mended(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, postgres: Postgres, sources: Path, interleaved: Counterexample
) -> None:
    file = tmp_path / "interleaved.json"
    file.write_text(json_text(interleaved))
    status, told = replayed(capfd, file, sources, postgres)
    assert (status, told.splitlines()[-1]) == (1, f"still fails at step {interleaved.failed}")
    status, told = replayed(capfd, file, None, postgres)
    assert (status, told.splitlines()[-1]) == (0, "mended: every step came as expected")


def test_what_comes_before_an_interleaving_is_compared_too(servers: Servers) -> None:
    controller = PhaseController(servers.broken, SHARED)
    scope = Scope(("stop",), ("a",), (("a", "active"),), 0)
    ((schedule, runs),) = scope.interleavings(DESIGN).items()
    begin(controller)
    with pytest.raises(Violation) as violation:
        Replay(controller, scope.case(DESIGN, schedule, runs)).play()
    put_away(controller.client)
    one = violation.value.counterexample
    assert one is not None
    failed = one.steps[one.failed - 1]
    assert (failed.operation, failed.phase, failed.came) == ("Start", 0, "ok, 1")
    assert failed.expected == "53400 configuration_limit_exceeded"


def test_the_isolation_tester_goes_on_when_every_session_has_been_told_of_new_settings(servers: Servers) -> None:
    """... which may take the server a while: here it is stopped."""
    administrator, other = servers.sound.connect(), servers.sound.connect()
    other.execute("SELECT 1")
    administrator.execute("ALTER SYSTEM SET shared_backup.max_backups = '7'")
    assert servers.sound.pid is not None
    with stopped(servers.sound.pid):
        waiting = administrator.submit(loading(SHARED.settings_loaded))
        time.sleep(0.3)
        assert not waiting.done()
    waiting.result(PATIENCE)
    assert other.execute("SHOW shared_backup.max_backups") == [("7",)]
    administrator.execute("ALTER SYSTEM RESET shared_backup.max_backups")
    administrator.execute(loading(SHARED.settings_loaded))
    administrator.close()
    other.close()


# Every kind of step, on a sound server: what the programs show is what came


def put_away(client: Client) -> None:
    """Leaves the server to the scripts: they make the roles."""
    client.end()
    client.afresh()
    client.drop_roles(LOCKSTEP_ROLES)
    client.roles = None


def until_a_restart(path: Sequence[Operation]) -> list[Operation]:
    """The beginning of a path."""
    return list(takewhile(lambda operation: not isinstance(operation, Restart), path))


def test_each_step_of_a_walk_comes_to_the_same_in_the_scripts(postgres: Postgres, servers: Servers) -> None:
    client, compared = Client(servers.sound, SHARED), 0
    for walk in rehearse(SHARED, WALKS):
        lockstep = Lockstep(client, Tally())
        for operation in until_a_restart([step.operation for step in walk]):
            lockstep.step(operation)
        one = counterexample(client, lockstep.first, tuple(steps(client)), "nothing")
        put_away(client)
        assert one is not None
        said = isolation_tester(postgres, servers.sound, isolation_spec(one))
        for number, step in enumerate(one.steps, start=1):
            shown = "".join(text for name, text in said.items() if name.startswith(f"step{number}_"))
            assert not step.sql or ("ERROR: " in shown) == (step.outcome != "ok"), (step, shown)
            compared += 1
        if in_one_psql(one):
            script = write(one, servers)
            refused = [
                step.outcome.replace("28000", "22023") for step in one.steps if step.sql and step.outcome != "ok"
            ]
            assert re.findall(r"ERROR:  (\w{5}):", psql(postgres, servers.sound, script)[1]) == refused
    assert compared > 100


def write(one: Counterexample, servers: Servers) -> Path:
    """Its script for psql."""
    file = servers.sound.folder / "script.sql"
    file.write_text(psql_script(one), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("kinds", "reaper_at"),
    [(("start", "stop"), None), (("stop", "raised limit"), None), (("stop", "expiry"), "reaper-expiring")],
    ids=["start / stop", "stop / raised limit", "stop / expiry"],
)
def test_each_phase_comes_to_the_same_in_the_isolation_tester(
    kinds: tuple[str, ...], reaper_at: str | None, postgres: Postgres, servers: Servers
) -> None:
    controller, compared = PhaseController(servers.sound, SHARED), 0
    for scope in scopes(kinds, ("active",)):
        for schedule, runs in list(scope.interleavings(DESIGN).items())[::EVERY]:
            begin(controller)
            replay = Replay(controller, scope.case(DESIGN, schedule, runs, reaper_at))
            replay.play()
            one = counterexample(
                controller.client, replay.case.first, (*replay.done(),), "nothing", replay.failed(), (*replay.places,)
            )
            put_away(controller.client)
            assert one is not None
            said = isolation_tester(postgres, servers.sound, isolation_spec(one))
            compared += len(list(compare_calls(one, said)))
    assert compared > 1


def compare_calls(one: Counterexample, said: Mapping[str, str]) -> Iterator[str]:
    """Fails unless each of the operations at once waited if it was held, and ended as it did."""
    phases = [(number, step) for number, step in enumerate(one.steps, start=1) if step.phase]
    for number, first in phases:
        if first.phase > 1:
            continue
        all_of_it = [step for _, step in phases if operation_of(step) == operation_of(first)]
        shown = said[f"step{number}_{first.operation.lower()}"]
        assert ("<waiting ...>" in shown) == any(step.until for step in all_of_it), shown
        assert ("ERROR: " in shown) == (all_of_it[-1].outcome != "ok"), shown
        yield shown


def test_what_is_wrong_may_be_something_else_than_the_outcome() -> None:
    one = replace(made_up(Connect(0, "root"), Start(0, "a")), found="the view shows\n  nothing")
    assert "--   ok, 1\n--   but then: the view shows nothing\n" in psql_script(one)
    assert "# came: ok, 1\n# but then: the view shows nothing\n" in isolation_spec(one)


def test_what_the_isolation_tester_cannot_be_told_is_said() -> None:
    with pytest.raises(UntellableError, match="the server is restarted, which ends the tester's connections"):
        isolation_spec(made_up(Connect(0, "root"), Restart(RestartKind.CRASH)))
    label = Start(0, "a}b")
    one = made_up(Connect(0, "root"), label)
    sent = replace(one.steps[1], sql=("SELECT shared_backup_start('a}b')",))
    with pytest.raises(UntellableError, match="a statement has a closing brace"):
        isolation_spec(replace(one, steps=(one.steps[0], sent)))
    failed = Property(
        "it lasts",
        "restarts",
        "test_it",
        report="all of it",
        counterexamples=[made_up(Connect(0, "root"), Restart(RestartKind.CRASH))],
    )
    assert "restarts-it-lasts.spec  missing: the server is restarted" in told(failed)
