"""A durable backup that nobody can vouch for is lost: its stop says why, core is not held, and backups go on.

Beside what has to do with full_page_writes, which stands with the restores.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE
from harness.faults.foreign import single_user_life
from harness.machine.scratch import temporary_folder
from harness.restore.restore import await_promotion
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster, open_standby
from harness.server.durable import STATE_DIR, configured, replace_by_copy, resumed
from harness.server.node import give_all, leave_signal
from harness.server.programs import base_backup, run_program
from harness.server.session import Session, SqlError
from model.operations import Hazard, Restart, RestartKind
from properties.durable.lockstep import REFUSED, DurableLockstep, Fall
from properties.durable.losses import (
    ABSENCE,
    CALLS,
    COPY,
    LABEL,
    MARK,
    RECOVERY,
    START,
    WAL_RESET,
    check_going_on,
    check_lost,
    check_released,
    down_with_a_backup,
    open_server,
    with_settings,
)
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]


@pytest.fixture(scope="module")
def server(instrumented: Build, durable_backups: None) -> Iterator[Cluster]:
    """One that keeps its timeline."""
    with ExitStack() as stack:
        yield open_server(instrumented, stack)


# The server was another in between


@dataclass(frozen=True)
class Case:
    """Something that happens while the server is down."""

    name: str
    happen: Callable[[Cluster], None]
    detail: str
    hazard: Hazard = Hazard.ABSENCE


WRITE = ("UPDATE pgbench_accounts SET filler = 'single'",)


def reset_wal(server: Cluster) -> None:
    """Its WAL is thrown away."""
    said = run_program(server, "pg_resetwal", "-D", server.data_dir)
    assert said.returncode == 0, said.stderr


def remove_mark(server: Cluster) -> None:
    """Somebody cleans up after it."""
    shutil.rmtree(server.data_dir / MARK)


def run_without_its_files(server: Cluster) -> None:
    """Their folder is elsewhere while the server runs, and is put back."""
    folder, away = server.data_dir / STATE_DIR, server.folder / "away"
    folder.rename(away)
    with_settings()(server)
    shutil.rmtree(folder)
    away.rename(folder)


CASES = (
    Case(
        "wal_level minimal in between",
        with_settings(wal_level="minimal", max_wal_senders="0", archive_mode="off"),
        '"wal_level" was "minimal" when the server had been restarted.',
        Hazard.WAL_LEVEL,
    ),
    Case("without the extension in between", with_settings(shared_preload_libraries=""), ABSENCE),
    Case("mark of the last start removed", remove_mark, ABSENCE),
    Case("state files elsewhere in between", run_without_its_files, ABSENCE),
    Case("durable off in between", with_settings(**{"shared_backup.durable": "off"}), ABSENCE),
    Case(
        "single-user mode in between",
        lambda server: single_user_life(server, WRITE, killed=False, settings={}),
        "The server has run in single-user mode since the backup was started.",
    ),
    Case(
        "single-user mode without the extension in between",
        lambda server: single_user_life(server, WRITE, killed=False),
        ABSENCE,
    ),
    Case("cloned data directory", replace_by_copy, COPY, Hazard.COPY),
    Case("WAL reset", reset_wal, WAL_RESET),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_happened_while_the_server_was_down_is_found_out(server: Cluster, tally: Tally, case: Case) -> None:
    with tally.example():
        backups = down_with_a_backup(server, tally)
        position = server.log_position()
        case.happen(server)
        server.start()
        backups.back(Restart(RestartKind.FAST, case.hazard))
        check_lost(backups.session, tally, case.name, case.detail, Fall.FAST)
        assert f'shared backup "{LABEL}" was lost in a restart' in server.log_since(position), "the log says nothing"
        check_released(server, backups.session)
        check_going_on(server, tally)


def test_a_copy_that_is_restored_in_place_is_known_by_its_label_file(server: Cluster, tally: Tally) -> None:
    """Into the folders of the original, as some tools do it, so that nothing else tells."""
    with tally.example(), temporary_folder() as folder:
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        base_backup(server, folder / "copy")
        backups.session.close()
        server.stop()
        put_back(folder / "copy", server.data_dir)
        server.start()
        backups.back(Restart(RestartKind.FAST, Hazard.COPY))
        check_lost(backups.session, tally, "restored in place", COPY, Fall.FAST)
        check_released(server, backups.session)


def test_a_folder_that_is_a_copy_is_known_by_when_it_was_made(server: Cluster, tally: Tally) -> None:
    """Many file systems give it the same number on disk as the original, if that has been removed before."""
    with tally.example():
        backups = down_with_a_backup(server, tally)
        same = replace_folder_by_copy(server.data_dir / STATE_DIR, server)
        server.start()
        backups.back(Restart(RestartKind.FAST, Hazard.COPY))
        number = "the same number" if same else "another number"
        check_lost(backups.session, tally, f"state files copied to a folder of {number}", COPY, Fall.FAST)


FOLDERS = 2000
"""So many are made in search of one that has a number again: the first free one may be anywhere."""


def replace_folder_by_copy(folder: Path, server: Cluster) -> bool:
    """In place of a folder comes a copy of it, with the same number on disk, if the file system gives it again.

    Does it have that?
    """
    number = folder.stat().st_ino
    contents = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(folder)
    with TemporaryDirectory(dir=folder.parent) as aside:
        made = (Path(aside, str(count)) for count in range(FOLDERS))
        for fresh in made:
            fresh.mkdir(0o700)
            if fresh.stat().st_ino == number:
                break
        fresh.rename(folder)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    give_all(folder, server.user)
    return folder.stat().st_ino == number


def put_back(copy: Path, data_dir: Path) -> None:
    """Files are copied over those of the same name, and others removed; folders stay."""
    for path in data_dir.rglob("*"):
        if path.is_file():
            path.unlink()
    subprocess.run(["cp", "-a", f"{copy}/.", data_dir], check=True, cwd="/")


def test_a_loss_is_remembered_over_another_restart(server: Cluster, tally: Tally) -> None:
    """... whatever that one is like."""
    with tally.example():
        backups = down_with_a_backup(server, tally)
        with_settings(shared_preload_libraries="")(server)
        server.start()
        backups.back(Restart(RestartKind.FAST, Hazard.ABSENCE))
        for fall in Fall:
            backups.fall(fall)
            check_lost(backups.session, tally, "lost before: without the extension in between", ABSENCE, fall)
        check_released(server, backups.session)


# Timelines


def test_a_server_that_becomes_a_standby_loses_its_backups(instrumented: Build, tally: Tally) -> None:
    """... and when it is promoted, it does not find them again."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        DurableLockstep(server, tally).start(LABEL)
        server.stop()
        leave_signal(server.data_dir, "standby.signal", server.user)
        server.start()
        session = resumed(server)
        check_lost(session, tally, "restarted into a standby", RECOVERY, Fall.FAST)
        promote(server, session)
        check_lost(session, tally, "restarted into a standby, and promoted", RECOVERY, Fall.FAST)
        check_released(server, session)
        session.close()
        check_going_on(server, tally, timeline=2)


def test_a_server_that_recovers_from_its_archive_loses_its_backups(instrumented: Build, tally: Tally) -> None:
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        DurableLockstep(server, tally).start(LABEL)
        server.stop()
        leave_signal(server.data_dir, "recovery.signal", server.user)
        with configured(server, {"restore_command": "false"}):
            server.start()
        await_promotion(server)
        session = resumed(server)
        check_lost(session, tally, "recovered from its archive", RECOVERY, Fall.FAST)
        check_released(server, session)
        session.close()
        check_going_on(server, tally, timeline=2)


def test_a_standby_has_lost_the_backups_of_its_primary(instrumented: Build, tally: Tally) -> None:
    """The primary goes on with its own."""
    with tally.example(), ExitStack() as stack:
        primary = open_server(instrumented, stack)
        backups = DurableLockstep(primary, tally)
        backups.start(LABEL)
        standby = stack.enter_context(open_standby(primary))
        session = resumed(standby)
        check_lost(session, tally, "a standby made of the server", COPY)
        promote(standby, session)
        check_lost(session, tally, "a standby made of the server, and promoted", COPY)
        check_released(standby, session)
        session.close()
        assert backups.stop(LABEL).restorable
        check_going_on(standby, tally, timeline=2)


def promote(standby: Cluster, session: Session) -> None:
    """Makes a standby a primary."""
    assert session.execute("SELECT pg_promote(true, 60)") == [(True,)]


# Time


@pytest.mark.parametrize("kind", [RestartKind.FAST, RestartKind.CRASH])
def test_a_backup_expires_while_the_server_is_down(server: Cluster, tally: Tally, kind: RestartKind) -> None:
    with tally.example():
        session = resumed(server)
        session.execute(START, ("1 second",))
        session.close()
        server.crash() if kind is RestartKind.CRASH else server.stop(kind)
        time.sleep(1.2)
        server.start()
        session = resumed(server)
        assert session.execute("SELECT label, state FROM shared_backups") == [(LABEL, "expired")]
        with pytest.raises(SqlError) as refusal:
            session.execute(CALLS["stop"])
        assert refusal.value.sqlstate == REFUSED, refusal.value
        assert "expired" in refusal.value.message, refusal.value
        fall = Fall.POSTMASTER if kind is RestartKind.CRASH else Fall.FAST
        tally.refused(
            SurvivalCase(DURABLE.name, (fall,), "time to live over before the server was up again"), refusal.value
        )
        check_released(server, session)
        session.close()
        check_going_on(server, tally)
