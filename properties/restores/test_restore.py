"""A stop that returns is worth nothing if the copy does not recover: backups are restored, and compared row by row.

Beside the promise stand its negative controls: the same copy, treated wrongly, is refused by the server or
found not to be whole. A restore oracle that has never said no proves nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from shutil import copyfile

import pytest
from hypothesis import given, note, settings

from harness.building.build import Build
from harness.clients.client import Client
from harness.clients.implementation import STOCK, UNFENCED, Implementation
from harness.machine.scratch import temporary_folder
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace, Snapshot, copying
from harness.restore.workload import (
    archive_all,
    big_update,
    checkpoint,
    open_with_workload,
    pgbench,
    transfers,
)
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster
from harness.server.probes import set_full_page_writes
from harness.server.session import Row, Session
from harness.server.wal import lsn_to_int
from properties.recording.tally import Tally
from properties.restores.backups import BackupsPlan, Kind, plans, take_backups
from properties.support.lockstep import Lockstep
from properties.support.profiles import examples
from properties.support.restoring import NO_CHECKPOINT, TORN, check_refusal, check_restore, label_file_by_hand

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("multi_session")]

WRITES_OFTEN = {"shared_buffers": "1MB"}
"""So little that the server writes pages all the time, beside the checkpoints."""

HALF = 11_000_000
"""Bytes, about half of a small cluster."""


@dataclass(frozen=True)
class RestoreServer:
    """A server with the workload, its WAL archived, and a folder for copies."""

    client: Client
    copies: Path

    @property
    def origin(self) -> Cluster:
        """The server."""
        return self.client.cluster

    @property
    def session(self) -> Session:
        """A superuser's."""
        return self.client.admin

    def start(self, label: str) -> None:
        """Starts a backup in a session that ends."""
        starter = self.origin.connect()
        starter.execute(self.client.implementation.start, {"label": label, "fast": True, "ttl": None})
        starter.close()

    def stop(self, label: str) -> BackupFiles:
        """Stops a backup in another session."""
        parameters = {"label": label, "wait": True, **UNFENCED}
        return BackupFiles(*self.session.execute(self.client.implementation.stop, parameters)[0][:3])

    def change_everything(self) -> None:
        """Changes pages all over, and has them written to their files."""
        chance = Random(1)
        for step in (checkpoint, big_update, transfers, checkpoint, big_update, transfers, checkpoint):
            step(self.session, chance)


@contextmanager
def restore_server(
    build: Build, implementation: Implementation, *, full_page_writes: bool, tablespace: bool = False
) -> Iterator[RestoreServer]:
    """A fresh one; all is gone when the block ends."""
    server = {"shared_preload_libraries": implementation.preload or "", **WRITES_OFTEN}
    server["full_page_writes"] = "on" if full_page_writes else "off"
    with (
        temporary_folder() as copies,
        open_with_workload(build, server, implementation, tablespace=tablespace) as origin,
    ):
        yield RestoreServer(Client(origin, implementation), copies)


def test_a_backup_is_restored_as_it_was_at_its_stop(
    instrumented: Build, implementation: Implementation, tally: Tally
) -> None:
    """Several at once, by ours, by core's functions and by pg_basebackup, in any order, under load: each is whole."""

    @settings(max_examples=examples(1 / 40, at_least=2))
    @given(plans())
    def take_and_restore(plan: BackupsPlan) -> None:
        with (
            tally.example(),
            restore_server(
                instrumented, implementation, full_page_writes=plan.full_page_writes, tablespace=plan.tablespace
            ) as here,
        ):
            restore_all(here, plan, tally)

    take_and_restore()


def restore_all(here: RestoreServer, plan: BackupsPlan, tally: Tally) -> None:
    """One example."""
    lockstep = Lockstep(here.client, tally)
    with pgbench(here.origin) if plan.pgbench else nullcontext():
        taken = take_backups(lockstep, plan, here.copies)
    note(lockstep.client.history.script())
    archive_all(here.origin, here.session)
    for backup in taken:
        scenario = plan.scenario(backup.kind)
        to_the_end = plan.to_the_end or backup.files.stop_lsn is None
        check_restore(
            tally,
            scenario,
            here.origin,
            backup.snapshot,
            backup.files,
            restorable=backup.restorable,
            to_the_end=to_the_end,
            survival_case=SurvivalCase(here.client.implementation.name if backup.kind is Kind.SHARED else STOCK.name),
        )
        if backup.files.labelfile is not None:
            bare = replace(backup.files, labelfile=None)
            control = f"control: {scenario}, without its label file"
            check_refusal(tally, control, here.origin, backup.snapshot, bare, NO_CHECKPOINT)
    set_full_page_writes(here.origin, here.session, on=False)  # with it on, nobody sees whether core forces them
    lockstep.finish(failed=False)


# Negative controls


def copy_around(here: RestoreServer, between: Callable[[], object]) -> Snapshot:
    """Copies the data directory; what happens half-way tears every page that it changes."""
    done = False
    for snapshot in copying(here.origin.data_dir, here.copies / "copy", Pace(seed=1, rounds=1)):
        if snapshot.bytes > HALF and not done:
            between()
            done = True
    return snapshot


def test_without_its_label_file_a_copy_is_not_restored(
    instrumented: Build, implementation: Implementation, tally: Tally
) -> None:
    with tally.example(), restore_server(instrumented, implementation, full_page_writes=True) as here:
        here.start("a")
        snapshot = copy_around(here, here.change_everything)
        files = here.stop("a")
        archive_all(here.origin, here.session)
        taken = here.origin, snapshot, files
        bare = here.origin, snapshot, replace(files, labelfile=None)
        whole = check_restore(tally, "control: the same copy with its label file", *taken)
        assert whole.torn_pages > 0, "no page of the copy is torn: the load does not test what the backup is for"
        check_refusal(tally, "control: without the label file", *bare, NO_CHECKPOINT)
        add_wal(here.origin, snapshot)
        check_refusal(tally, "control: without the label file, with WAL copied", *bare, TORN, to_the_end=True)
        tally.steps += 2


def add_wal(origin: Cluster, snapshot: Snapshot) -> None:
    """Puts the archived WAL where the server looks for it by itself."""
    assert origin.archive_dir is not None
    for path in origin.archive_dir.iterdir():
        copyfile(path, snapshot.data / "pg_wal" / path.name)


def test_with_the_label_file_of_another_backup_a_copy_is_not_restored(
    instrumented: Build, implementation: Implementation, tally: Tally
) -> None:
    with tally.example(), restore_server(instrumented, implementation, full_page_writes=True) as here:
        here.start("a")

        def change_and_start() -> None:
            here.change_everything()
            here.start("b")

        snapshot = copy_around(here, change_and_start)
        right, wrong = here.stop("a"), here.stop("b")
        archive_all(here.origin, here.session)
        check_restore(tally, "control: overlapping, with its own label file", here.origin, snapshot, right)
        check_refusal(tally, "control: with another backup's label file", here.origin, snapshot, wrong, TORN)
        tally.steps += 4


def test_a_copy_made_after_core_was_released_is_not_restored(
    instrumented: Build, implementation: Implementation, tally: Tally
) -> None:
    """Stopped too early, or aborted: without full_page_writes, nothing mends a page torn when no backup runs."""
    if implementation.abort is None:
        pytest.skip("the implementation has no abort")
    with tally.example(), restore_server(instrumented, implementation, full_page_writes=False) as here:
        here.start("early")
        early = here.stop("early")
        here.start("aborted")
        aborted = BackupFiles(None, label_file_by_hand(here.session, "primary"))
        here.session.execute(implementation.abort, {"label": "aborted", **UNFENCED})
        snapshot = copy_around(here, here.change_everything)
        archive_all(here.origin, here.session)
        for scenario, files in (("stopped before it was copied", early), ("aborted before it was copied", aborted)):
            control = f"control: full_page_writes off, {scenario}"
            check_refusal(tally, control, here.origin, snapshot, files, TORN, to_the_end=True)
        tally.steps += 4


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("stray", [False, True], ids=["by its owner", "by somebody in mid-copy, then by its owner"])
def test_a_stop_tells_whether_the_copy_is_covered(
    instrumented: Build, implementation: Implementation, tally: Tally, stray: bool
) -> None:
    """Stopped in mid-copy, by a role that may, with the right token: the owner's stop returns the same files, and says
    that it is a repeated one, with a stop point before the end of the copy. And that copy is not restored."""
    with tally.example(), restore_server(instrumented, implementation, full_page_writes=False) as here:

        def stop(token: str) -> Row:
            parameters = {"label": "nightly", "wait": True, "token": token, "start_lsn": None}
            return here.session.execute(implementation.stop, parameters)[0]

        def half_way() -> None:
            if stray:
                assert stop(token)[5] is False
            here.change_everything()

        given = {"label": "nightly", "fast": True, "ttl": None}
        token = str(here.session.execute(implementation.start, given)[0][1])
        snapshot = copy_around(here, half_way)
        copied = here.session.execute("SELECT pg_current_wal_insert_lsn()::text")[0][0]
        lsn, labelfile, spcmapfile, _, _, repeated = stop(token)
        transfers(here.session, Random(2))
        archive_all(here.origin, here.session)
        taken = here.origin, snapshot, BackupFiles(lsn, labelfile, spcmapfile)
        assert repeated is stray
        assert (lsn_to_int(lsn) > lsn_to_int(copied)) is not stray
        if stray:
            check_refusal(tally, "control: stopped in mid-copy", *taken, f"{TORN}|ledger")
        else:
            check_restore(tally, "control: the same, stopped when it was copied", *taken)
        tally.steps += 2
