"""A restart of the server ends every running backup, and keeping its state elsewhere does not help by itself.

Question Q3 of the thread: does the state belong in a catalogue table, because a restart purges shared memory? The
design ``catalog`` of the model is that table. Here its backups are taken on a real server, by carrying the state of the
extension's over the restart; their stop succeeds, and the copy does not recover.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.clients.client import Client, Restarter, restart_server
from harness.clients.implementation import STOCK, UNFENCED, Implementation
from harness.machine.scratch import temporary_folder
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace, Snapshot, copying
from harness.restore.workload import (
    archive_all,
    big_update,
    checkpoint,
    open_with_workload,
    switch_wal,
    transfers,
    truncate,
)
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster
from harness.server.probes import set_full_page_writes
from harness.server.session import SqlError
from model.numbers import StartPoint
from model.operations import Connect, Restart, RestartKind, Start, Stop
from model.outcomes import Failed, Ok, SqlState, StopRow
from properties.durable.catalogue import CARRY_IN, CATALOGUE, carry_without_a_restart, carrying, falling
from properties.durable.lockstep import Fall, archiving, bring_down_and_up
from properties.faults.expectations import DYING
from properties.recording.tally import Tally
from properties.support.lockstep import Lockstep
from properties.support.profiles import UNSHRUNK, examples
from properties.support.restoring import check_restore
from properties.support.servers import server_settings

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("multi_session", "forgetful")]

LABEL = "nightly"
STARTER, STOPPER = 0, 1
LOAD = (transfers, big_update, checkpoint, truncate, switch_wal)
LOAD_EVERY = 250
"""Pieces of a copy."""
HALFWAY, LAST = 2500, 4500
"""Pieces; a small cluster has more than LAST."""


@pytest.fixture(scope="module")
def server(instrumented: Build, implementation: Implementation) -> Iterator[Cluster]:
    """A server with the workload, its WAL archived; it has so little memory that it writes pages all the time."""
    memory = {"shared_buffers": "1MB"}
    settings = server_settings(implementation) | memory
    with open_with_workload(instrumented, settings, implementation) as server:
        yield server


@contextmanager
def in_step(client: Client, tally: Tally) -> Iterator[Lockstep]:
    """One example."""
    with tally.example():
        lockstep = Lockstep(client, tally)
        failed = True
        try:
            yield lockstep
            failed = False
        finally:
            lockstep.finish(failed)
            tally.keep(client.history, failed)


# Shared memory


@pytest.mark.parametrize("fall", Fall)
def test_a_restart_forgets_a_running_backup(
    server: Cluster, implementation: Implementation, tally: Tally, fall: Fall
) -> None:
    """... of whatever kind it is: there is nothing to stop, nothing in the view, and core does not count it."""
    client = Client(server, implementation, restarter=falling(fall))
    with in_step(client, tally) as lockstep:
        start_and_restart(lockstep, fall.kind)
        lockstep.probe()
        assert lockstep.step(Stop(STOPPER, LABEL)) == Failed(SqlState.UNDEFINED_OBJECT)
        assert client.rows() == (), "nothing of a backup should be left after a restart"
        refused = refusal_of(client, implementation.stop, {"label": LABEL, "wait": False, **UNFENCED})
        tally.refused(SurvivalCase(implementation.name, (fall,)), refused)


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
        tally.refused(SurvivalCase(STOCK.name, (fall,)), refusal.value)
        tally.steps += 3


@pytest.mark.parametrize("kind", RestartKind)
def test_the_hint_tells_since_when_the_server_is_up(
    server: Cluster, implementation: Implementation, only_the_extension: None, tally: Tally, kind: RestartKind
) -> None:
    client = Client(server, implementation)
    with in_step(client, tally) as lockstep:
        before = start_and_restart(lockstep, kind)
        refused = refusal_of(client, implementation.stop, {"label": LABEL, "wait": False, **UNFENCED})
        hint = refused.hint or ""
        assert hint.startswith("The server has been up since "), hint
        since = hint.removeprefix("The server has been up since ").partition(";")[0]
        query = "SELECT %s < %s::timestamptz AND %s::timestamptz <= pg_postmaster_start_time()"
        assert client.admin.execute(query, (before, since, since))[0][0], f"{hint} It went down after {before}."


def start_and_restart(lockstep: Lockstep, kind: RestartKind) -> datetime:
    """A backup is started, the server works and restarts, another session is there; returns a time before that."""
    lockstep.step(Connect(STARTER, "root"))
    lockstep.step(Start(STARTER, LABEL))
    transfers(lockstep.client.admin, Random(0))
    lockstep.probe()
    before: datetime = lockstep.client.admin.execute("SELECT clock_timestamp()")[0][0]
    lockstep.step(Restart(kind))
    lockstep.step(Connect(STOPPER, "alice"))
    return before


# A catalogue table


@pytest.mark.parametrize("fall", Fall)
def test_keeping_the_state_over_a_restart_is_not_enough(
    server: Cluster, instruments: None, tally: Tally, fall: Fall
) -> None:
    """The stop succeeds, with the original start point, and the copy's recovery PANICs at the restart's checkpoint."""
    take_and_restore(
        server,
        tally,
        f"catalogue, across {fall}",
        SurvivalCase(CATALOGUE.name, (fall,)),
        lambda lockstep: lockstep.step(Restart(fall.kind)),
        carrying(falling(fall)),
    )
    for restore in tally.restores:
        assert "online backup was canceled" in restore.said, "it was refused, and for another reason"


def test_keeping_the_state_does_no_harm_by_itself(server: Cluster, instruments: None, tally: Tally) -> None:
    """The negative control: the same without a restart, and the copy is restored whole."""

    def carry(lockstep: Lockstep) -> None:
        carry_without_a_restart(lockstep.client)
        lockstep.compare_view()

    take_and_restore(server, tally, "catalogue, carried without a restart", SurvivalCase(CATALOGUE.name), carry)


def take_and_restore(
    server: Cluster,
    tally: Tally,
    scenario: str,
    survival_case: SurvivalCase,
    interruption: Callable[[Lockstep], object],
    restarter: Restarter = restart_server,
) -> None:
    """Backups of the design ``catalog`` with an interruption; what comes of them is for its model to say."""
    moments = st.just(HALFWAY) | st.integers(0, LAST)

    # what takes a second each is not made smaller: it is small
    @settings(max_examples=examples(1 / 600), phases=UNSHRUNK)
    @given(moment=moments, pace=st.builds(Pace, seed=st.integers(0, 999)), seed=st.integers(0, 999))
    def check(moment: int, pace: Pace, seed: int) -> None:
        client = Client(server, CATALOGUE, restarter=restarter)
        with temporary_folder() as folder, in_step(client, tally) as lockstep:
            with full_page_writes(client):
                lockstep.step(Connect(STARTER, "root"))
                lockstep.step(Start(STARTER, LABEL))
                copy = copying(server.data_dir, folder, pace)
                snapshot = under_load(client, copy, Random(seed), moment, lambda: interruption(lockstep))
                lockstep.step(Connect(STOPPER, "root"))
                outcome = lockstep.step(Stop(STOPPER, LABEL, start_point=StartPoint(1)))
            assert isinstance(outcome, Ok)
            assert isinstance(outcome.value, StopRow)
            with archiving(server):
                archive_all(server, client.admin)
            taken = server, snapshot, BackupFiles(*client.handed_out)
            check_restore(tally, scenario, *taken, restorable=outcome.value.restorable, survival_case=survival_case)

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
    try:
        yield
    finally:
        set_full_page_writes(client.cluster, client.admin, on=False)


# The instruments


def test_only_who_may_do_anything_may_carry_a_state(server: Cluster, instruments: None) -> None:
    session = server.connect()
    query = "SELECT proname, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc WHERE proname ~ '_carry_'"
    assert sorted(session.execute(query)) == [("shared_backup_carry_in", False), ("shared_backup_carry_out", False)]
    session.close()


def test_only_a_carried_state_is_carried_in(server: Cluster, instruments: None) -> None:
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
