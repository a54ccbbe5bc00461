"""A restart of the server ends every running backup, and keeping its state elsewhere does not help by itself.

Question Q3 of the thread: does the state belong in a catalogue table, because a restart purges shared memory? The
design ``catalog`` of the model is that table. Here its backups are taken on a real server, by carrying the state of the
extension's over the restart; their stop succeeds, and the copy does not recover.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.build import Build
from harness.client import Client
from harness.cluster import Cluster, open_cluster
from harness.implementation import SHARED, STOCK, UNFENCED, Implementation
from harness.nemesis import DYING
from harness.probes import set_full_page_writes
from harness.restore import BackupFiles
from harness.scratch import scratch_folder
from harness.session import SqlError
from harness.snapshot import Pace, Snapshot, copying
from harness.workload import archive_all, big_update, checkpoint, prepare_workload, switch_wal, transfers, truncate
from model.design import CATALOG, OnRestart
from model.numbers import StartPoint
from model.operations import Connect, Hazard, Restart, RestartKind, Start, Stop
from model.outcomes import Failed, Ok, SqlState, StopRow
from properties.comparison import Comparison
from properties.conftest import server_settings
from properties.durable import Fall, archiving, bring_down_and_up
from properties.passages import Passage
from properties.restoring import check_restore
from properties.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("multi_session", "forgetful")]

LABEL = "nightly"
STARTER, STOPPER = 0, 1
LOAD = (transfers, big_update, checkpoint, truncate, switch_wal)
LOAD_EVERY = 500
"""Pieces of a copy."""
HALFWAY, LAST = 5000, 9000
"""Pieces; a small cluster has more than LAST."""

CATALOGUE = replace(SHARED, name="catalogue", design=CATALOG, prepare=(), freeze_clock=None, advance_clock=None)
"""The extension, where somebody keeps what it knows of running backups. Its clock stays as it is: a restart sets it."""

CARRY_OUT = "SELECT label, owner, shared_backup_carry_out(label) FROM shared_backups WHERE state = 'active'"
CARRY_IN = "SELECT shared_backup_carry_in(%(label)s, %(state)s)"


class FallingClient(Client):
    """A client of a server that goes down in one of several ways."""

    fall = Fall.FAST

    def restart(self, kind: str, hazard: Hazard | None = None) -> None:
        """Restarts the server that way; its sessions are gone, and so is its clock's position."""
        self.note(f"-- the server is restarted ({self.fall})")
        self.close_all()
        bring_down_and_up(self.cluster, self.fall)
        self.admin = self.cluster.connect()
        self.freeze()


class CatalogueClient(FallingClient):
    """A client of a server that knows its running backups again after a restart."""

    def restart(self, kind: str, hazard: Hazard | None = None) -> None:
        """Restarts the server; their state is carried over."""
        kept = self.admin.execute(CARRY_OUT)
        super().restart(kind, hazard)
        self.carry_in(kept)

    def carry_without_a_restart(self) -> None:
        """The same, while the server stays up: it is only made to forget them."""
        kept = self.admin.execute(CARRY_OUT)
        for label, _owner, _state in kept:
            self.admin.execute(str(self.implementation.abort), {"label": label, **UNFENCED})
        self.carry_in(kept)

    def carry_in(self, kept: list[Any]) -> None:
        """Each is started anew, so that core counts it and forces full-page writes, and made the one that it was."""
        for label, owner, state in kept:
            session = self.cluster.connect(owner)
            session.execute(self.implementation.start, {"label": label, "fast": True, "ttl": None})
            session.close()
            self.note(f"-- the state of {label} is carried in: {len(state)} bytes")
            self.admin.execute(CARRY_IN, {"label": label, "state": state})


@pytest.fixture(scope="module")
def server(instrumented: Build, implementation: Implementation) -> Iterator[Cluster]:
    """A server with the workload, its WAL archived; it has so little memory that it writes pages all the time."""
    memory = {"shared_buffers": "1MB"}
    with open_cluster(instrumented, settings=server_settings(implementation) | memory, archive=True) as server:
        session = server.connect()
        for statement in implementation.prepare:
            session.execute(statement)
        prepare_workload(session)
        session.close()
        yield server


@pytest.fixture
def only_the_extension(implementation: Implementation) -> None:
    if implementation.start != SHARED.start:
        pytest.skip("only the extension has instruments that carry its state")


@contextmanager
def in_step(client: Client, tally: Tally) -> Iterator[Comparison]:
    """One example."""
    with tally.example():
        comparison = Comparison(client, tally)
        failed = True
        try:
            yield comparison
            failed = False
        finally:
            comparison.finish(failed)
            tally.keep(client.history, failed)


# Shared memory


@pytest.mark.parametrize("fall", Fall)
def test_a_restart_forgets_a_running_backup(
    server: Cluster, implementation: Implementation, tally: Tally, fall: Fall
) -> None:
    """... of whatever kind it is: there is nothing to stop, nothing in the view, and core does not count it."""
    if implementation.design.on_restart is not OnRestart.FORGET:
        pytest.skip("the design keeps its backups over a restart")
    client = FallingClient(server, replace(implementation, prepare=()))
    client.fall = fall
    with in_step(client, tally) as comparison:
        start_and_restart(comparison, fall.kind)
        comparison.probe()
        assert comparison.step(Stop(STOPPER, LABEL)) == Failed(SqlState.UNDEFINED_OBJECT)
        assert client.rows() == (), "nothing of a backup should be left after a restart"
        refused = refusal_of(client, implementation.stop, {"label": LABEL, "wait": False, **UNFENCED})
        tally.refused(Passage(implementation.name, (fall,)), refused)


def refusal_of(client: Client, stop: str, parameters: dict[str, Any]) -> SqlError:
    """How a stop is refused."""
    with pytest.raises(SqlError) as refusal:
        client.run(STOPPER, stop, parameters)
    return refusal.value


@pytest.mark.parametrize("fall", Fall)
def test_a_restart_ends_a_backup_of_core_s_own(
    server: Cluster, only_the_extension: None, tally: Tally, fall: Fall
) -> None:
    """The control: it ends with its session, as all sessions do."""
    with tally.example():
        session = server.connect()
        session.execute(STOCK.start, {"label": LABEL, "fast": True})
        bring_down_and_up(server, fall)
        with pytest.raises(SqlError) as ended:
            session.execute(STOCK.stop, {"wait": False})
        assert ended.value.sqlstate in DYING, f"its session is still there: {ended.value}"
        session.close()
        session = server.connect()
        with pytest.raises(SqlError) as refusal:
            session.execute(STOCK.stop, {"wait": False})
        session.close()
        assert refusal.value.sqlstate == SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE
        tally.refused(Passage(STOCK.name, (fall,)), refusal.value)
        tally.steps += 3


@pytest.mark.parametrize("kind", RestartKind)
def test_the_hint_tells_since_when_the_server_is_up(
    server: Cluster, implementation: Implementation, only_the_extension: None, tally: Tally, kind: RestartKind
) -> None:
    client = Client(server, replace(implementation, prepare=()))
    with in_step(client, tally) as comparison:
        before = start_and_restart(comparison, kind)
        refused = refusal_of(client, implementation.stop, {"label": LABEL, "wait": False, **UNFENCED})
        hint = refused.hint or ""
        assert hint.startswith("The server has been up since "), hint
        since = hint.removeprefix("The server has been up since ").partition(";")[0]
        query = "SELECT %s < %s::timestamptz AND %s::timestamptz <= pg_postmaster_start_time()"
        assert client.admin.execute(query, (before, since, since))[0][0], f"{hint} It went down after {before}."


def start_and_restart(comparison: Comparison, kind: RestartKind) -> datetime:
    """A backup is started, the server works and restarts, another session is there; returns a time before that."""
    comparison.step(Connect(STARTER, "root"))
    comparison.step(Start(STARTER, LABEL))
    transfers(comparison.client.admin, Random(0))
    comparison.probe()
    before: datetime = comparison.client.admin.execute("SELECT clock_timestamp()")[0][0]
    comparison.step(Restart(kind))
    comparison.step(Connect(STOPPER, "alice"))
    return before


# A catalogue table


@pytest.mark.parametrize("fall", Fall)
def test_keeping_the_state_over_a_restart_is_not_enough(
    server: Cluster, only_the_extension: None, tally: Tally, fall: Fall
) -> None:
    """The stop succeeds, with the original start point, and the copy's recovery PANICs at the restart's checkpoint."""

    def restart(comparison: Comparison) -> None:
        assert isinstance(comparison.client, CatalogueClient)
        comparison.client.fall = fall
        comparison.step(Restart(fall.kind))

    take_and_restore(server, tally, f"catalogue, across {fall}", Passage(CATALOGUE.name, (fall,)), restart)
    for restore in tally.restores:
        assert "online backup was canceled" in restore.said, "it was refused, and for another reason"


def test_keeping_the_state_does_no_harm_by_itself(server: Cluster, only_the_extension: None, tally: Tally) -> None:
    """The negative control: the same without a restart, and the copy is restored whole."""

    def carry(comparison: Comparison) -> None:
        assert isinstance(comparison.client, CatalogueClient)
        comparison.client.carry_without_a_restart()
        comparison.compare_view()

    take_and_restore(server, tally, "catalogue, carried without a restart", Passage(CATALOGUE.name), carry)


def take_and_restore(
    server: Cluster, tally: Tally, scenario: str, passage: Passage, interruption: Callable[[Comparison], object]
) -> None:
    """Backups of the design ``catalog`` with an interruption; what comes of them is for its model to say."""
    moments = st.just(HALFWAY) | st.integers(0, LAST)
    examples = max(1, settings.default.max_examples // 600)  # type: ignore[union-attr]

    # what takes a second each is not made smaller: it is small
    @settings(max_examples=examples, phases=(Phase.reuse, Phase.generate))
    @given(moment=moments, pace=st.builds(Pace, seed=st.integers(0, 999)), seed=st.integers(0, 999))
    def check(moment: int, pace: Pace, seed: int) -> None:
        client = CatalogueClient(server, CATALOGUE)
        with TemporaryDirectory(dir=scratch_folder()) as folder, in_step(client, tally) as comparison:
            with full_page_writes(client):
                comparison.step(Connect(STARTER, "root"))
                comparison.step(Start(STARTER, LABEL))
                copy = copying(server.data_dir, Path(folder), pace)
                snapshot = under_load(client, copy, Random(seed), moment, lambda: interruption(comparison))
                comparison.step(Connect(STOPPER, "root"))
                outcome = comparison.step(Stop(STOPPER, LABEL, start_point=StartPoint(1)))
            assert isinstance(outcome, Ok)
            assert isinstance(outcome.value, StopRow)
            with archiving(server):
                archive_all(server, client.admin)
            taken = server, snapshot, BackupFiles(*client.handed_out)
            check_restore(tally, scenario, *taken, restorable=outcome.value.restorable, passage=passage)

    check()


def under_load(
    client: Client, copy: Iterator[Snapshot], chance: Random, moment: int, interrupt: Callable[[], object]
) -> Snapshot:
    """Has the copy made while the server works; at a moment (a number of pieces), something happens."""
    for number, snapshot in enumerate(copy):  # noqa: B007
        if number % LOAD_EVERY == 0:
            chance.choice(LOAD)(client.admin, chance)
        if number == moment:
            interrupt()
    assert number > moment, f"the copy was whole after {number} pieces"
    return snapshot


@contextmanager
def full_page_writes(client: Client) -> Iterator[None]:
    """Full-page writes are on, so that they are without a gap whatever core counts."""
    set_full_page_writes(client.cluster, client.admin, on=True)
    yield
    set_full_page_writes(client.cluster, client.admin, on=False)


# The instruments


def test_only_who_may_do_anything_may_carry_a_state(server: Cluster, only_the_extension: None) -> None:
    session = server.connect()
    query = "SELECT proname, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc WHERE proname ~ '_carry_'"
    assert sorted(session.execute(query)) == [("shared_backup_carry_in", False), ("shared_backup_carry_out", False)]
    session.close()


def test_only_a_carried_state_is_carried_in(server: Cluster, only_the_extension: None) -> None:
    session = server.connect()
    session.execute("SELECT shared_backup_start('one', true), shared_backup_start('two', true)")
    state = bytes(session.execute("SELECT shared_backup_carry_out('one')")[0][0])
    refused = {
        "nothing": (CARRY_IN, {"label": "two", "state": b""}, "22023"),
        "something else": (CARRY_IN, {"label": "two", "state": bytes(len(state))}, "22023"),
        "a part": (CARRY_IN, {"label": "two", "state": state[:-1]}, "22023"),
        "too much": (CARRY_IN, {"label": "two", "state": state + b"\n"}, "22023"),
        "under no label": (CARRY_IN, {"label": "three", "state": state}, "42704"),
    }
    for what, (statement, parameters, sqlstate) in refused.items():
        with pytest.raises(SqlError) as refusal:
            session.execute(statement, parameters)
        assert refusal.value.sqlstate == sqlstate, f"{what}: {refusal.value}"
    session.execute(CARRY_IN, {"label": "two", "state": state})
    points = session.execute("SELECT count(DISTINCT start_lsn), count(*) FROM shared_backups WHERE state = 'active'")
    assert points == [(1, 2)], "the two should be the same by now"
    session.execute("SELECT shared_backup_abort('one'), shared_backup_abort('two')")
    session.close()
