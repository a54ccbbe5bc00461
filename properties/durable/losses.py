"""Durable backups that are lost: how a server comes to lose them, what it says of them, and that it goes on."""

from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE
from harness.machine.scratch import temporary_folder
from harness.restore.snapshot import Pace
from harness.restore.workload import checkpoint, transfers
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster
from harness.server.durable import configured
from harness.server.probes import forced_full_page_writes, set_full_page_writes
from harness.server.session import Session, SqlError
from properties.durable.lockstep import REFUSED, DurableLockstep, Fall, open_durable
from properties.recording.tally import Tally
from properties.support.restoring import check_restore
from properties.support.server_lockstep import copy_while

LABEL = "a"
START = "SELECT shared_backup_start('a', true, %s::interval)"
CALLS = {
    "stop": "SELECT shared_backup_stop('a', false)",
    "abort": "SELECT shared_backup_abort('a')",
    "renew": "SELECT shared_backup_renew('a', '1 hour')",
}
MARK = "pg_replslot/shared-backup.tmp"
"""A folder. Core removes it at each start, for good, and the extension leaves it."""
SLOTS = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'shared_backup_resume'"

ABSENCE = (
    'The server has run without shared_backup, its background workers, its files, or "shared_backup.durable" since the'
    " backup was started."
)
CHECKSUMS = "Data checksums have been switched on or off since the backup was started."
FULL_PAGE_WRITES = '"full_page_writes" was off for a while when the server had been restarted.'
WAL_RESET = "The WAL has been reset since the backup was started."
COPY = "The data directory is a copy of the one in which the backup was started."
RECOVERY = "The server was in recovery when it was restarted."
TIMELINE = "The server has changed to another timeline since the backup was started."


class PageWrites(StrEnum):
    """What becomes of full_page_writes after a restart, before anybody tells core again of the backups."""

    ON = "on"
    OFF = "off"
    OFF_AND_ON = "off and on again"


def open_server(build: Build, stack: ExitStack, **settings: str) -> Cluster:
    """A server with the workload and the probe, its WAL archived."""
    return stack.enter_context(open_durable(build, settings))


def with_settings(**settings: str) -> Callable[[Cluster], None]:
    """It is started with other settings, written to, and shut down again."""

    def happen(server: Cluster) -> None:
        with configured(server, settings):
            server.start()
            session = server.connect()
            transfers(session, Random(0))
            session.close()
            server.stop()

    return happen


def down_with_a_backup(server: Cluster, tally: Tally) -> DurableLockstep:
    """The backups of a server that was shut down while one was open."""
    backups = DurableLockstep(server, tally)
    backups.start(LABEL)
    backups.session.close()
    server.stop()
    return backups


# What is to be seen


def check_lost(
    session: Session, tally: Tally, case: str, detail: str, *falls: Fall, design: str = DURABLE.name
) -> None:
    """After these falls of the server, the view says so, and every call that needs the backup is refused with the
    reason."""
    survival_case = SurvivalCase(design, falls, case)
    assert session.execute("SELECT label, state FROM shared_backups") == [(LABEL, "lost")]
    for call, statement in CALLS.items():
        with pytest.raises(SqlError) as refusal:
            session.execute(statement)
        said = refusal.value.sqlstate, refusal.value.detail
        assert said == (REFUSED, detail), f"{call}: {refusal.value}"
        if call == "stop":
            tally.refused(survival_case, refusal.value)
        tally.steps += 1
    tally.notes.append(f"durable: {', '.join((case, *falls))}: {detail}")


def counted(server: Cluster, session: Session) -> bool:
    """Does core count a backup, and write full pages for it?"""
    set_full_page_writes(server, session, on=False)
    try:
        return forced_full_page_writes(session)
    finally:
        set_full_page_writes(server, session, on=True)


def check_released(server: Cluster, session: Session) -> None:
    """Core counts no backup, and nothing is left of the reading of WAL."""
    assert not counted(server, session), "core still counts a backup"
    assert session.execute(SLOTS) == [(0,)], "the slot that reserves WAL is still there"


def check_going_on(server: Cluster, tally: Tally, timeline: int = 1) -> None:
    """Another backup under the same label is taken across a restart, and restored."""
    backups, chance = DurableLockstep(server, tally), Random(1)
    backups.start(LABEL)
    with temporary_folder() as folder:
        turns = backups.does(transfers, checkpoint, chance=chance)
        turns += [lambda: backups.fall(Fall.IMMEDIATE), *backups.does(transfers, checkpoint, chance=chance)]
        snapshot = copy_while(server, folder / "copy", turns, Pace(rounds=1))
        stopped = backups.stop(LABEL)
        backups.archive()
        scenario = "durable, begun anew after a loss, across a restart"
        taken = server, snapshot, stopped.files
        survival_case = backups.survival_cases[LABEL]
        check_restore(
            tally, scenario, *taken, restorable=stopped.restorable, timeline=timeline, survival_case=survival_case
        )
