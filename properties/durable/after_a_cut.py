"""A server that is started from what a power cut has left: what it says of its backups, and whether they are good."""

import shutil
from dataclasses import dataclass
from random import Random

import pytest

from harness.clients.implementation import DURABLE
from harness.clients.labelfile import parse_label_file
from harness.machine.scratch import temporary_folder
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace, Snapshot, take
from harness.restore.workload import archive_all, big_update, checkpoint, transfers
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster, archive_settings
from harness.server.controldata import CONTROL_FILE
from harness.server.durable import STATE_DIR, resumed, state_files
from harness.server.injection_points import InjectionPoints
from harness.server.node import give
from harness.server.probes import set_full_page_writes
from harness.server.session import Session, SqlError
from properties.durable.journeys import Row, view
from properties.durable.left_over import CrashState
from properties.durable.lockstep import archiving
from properties.recording.tally import Tally
from properties.support.restoring import check_restore

STOP = "SELECT lsn, labelfile, spcmapfile, controlfile FROM shared_backup_stop(%s, false)"

PIECE = Pace().piece
POWER_CUT = "power cut"
"""In the report, with the kinds of restarts."""
ACROSS = SurvivalCase(DURABLE.name, (POWER_CUT,))


def check(server: Cluster, state: CrashState) -> None:
    """The server starts; what it shows is allowed, and it acts accordingly. Raises AssertionError if not."""
    position = server.log_position()
    session = up(server)
    shown = check_shown(session, state)
    for label, row in shown.items():
        check_stop(session, label, row)
    session.execute("SELECT shared_backup_start('fresh', true, NULL)")
    check_stop(session, "fresh", view(session)["fresh"])
    log = server.log_since(position)
    assert "ignoring file" not in log, "a file that was being written was believed in"
    known = {"server", "clock", "points", *(file.name for file in state_files(server))}
    left = {path.name for path in (server.data_dir / STATE_DIR).iterdir() if path.suffix != ".bad"} - known
    assert not left, f"files are left over: {sorted(left)}"
    session.close()
    server.crash()


def check_shown(session: Session, state: CrashState) -> dict[str, Row]:
    """What is shown of each backup is allowed."""
    shown = view(session)
    for promise in state.promises:
        for label in sorted(promise.allowed.keys() | shown.keys()):
            allowed, row = promise.allowed.get(label, (None,)), shown.get(label)
            assert any(one == row if one is None else one.admits(row) for one in allowed), (
                f"{promise.operation}: the backup {label} is {row}, and should be {' or '.join(map(str, allowed))}"
            )
    return shown


def up(server: Cluster) -> Session:
    """Starts the server; returns a superuser's session once its backups are back."""
    server.start()
    session = server.connect()
    InjectionPoints(session).detach()  # where the traced server was told to wait at its next start
    session.close()
    return resumed(server)


def check_stop(session: Session, label: str, row: Row) -> None:
    """The stop of a backup does what the view says."""
    if row.state not in ("active", "stopped"):
        with pytest.raises(SqlError, match="55000"):
            session.execute(STOP, (label,))
        return
    lsn, labelfile, _, controlfile = session.execute(STOP, (label,))[0]
    assert row.stop_lsn in (None, lsn), f"the stop of {label} says {lsn}, and the view {row}"
    found = parse_label_file(labelfile)
    assert (found.label, found.start_lsn) == (label, row.start_lsn), f"the stop of {label} hands out {found}"
    assert (found.source == "standby") == (controlfile is not None), "label file and control file do not fit"


@dataclass(frozen=True)
class Copied:
    """A copy that was made before the power cut."""

    copy: Snapshot
    carried: str
    """The label of a backup for which it is half of the copy."""
    stopped: str
    """That of one which was stopped after it had been made."""


def check_copies(server: Cluster, state: CrashState, before: Copied, tally: Tally) -> None:
    """Two backups that were copied before the power cut are restored whole. The server is started, and killed.

    Of the one that goes on, half is copied afterwards, while core alone protects it.
    """
    assert server.archive_dir is not None
    server.configure(archive_settings(server.archive_dir))
    shutil.rmtree(server.archive_dir)
    server.archive_dir.mkdir()
    give(server.archive_dir, server.user)
    session, chance = up(server), Random(1)
    check_shown(session, state)
    set_full_page_writes(server, session, on=False)
    for step in (transfers, big_update, checkpoint, transfers):
        step(session, chance)
    with temporary_folder() as folder:
        after = take(server.data_dir, folder / "after")
        transfers(session, chance)
        files = {label: BackupFiles(*session.execute(STOP, (label,))[0]) for label in (before.carried, before.stopped)}
        transfers(session, chance)
        with archiving(server):
            archive_all(server, session)
        mix(before.copy, after, chance)
        carried, stopped = files[before.carried], files[before.stopped]
        whole = check_restore(tally, "durable, across a power cut", server, after, carried, survival_case=ACROSS)
        assert whole.torn_pages > 0, "no page of the copy is torn: nothing had to be protected"
        check_restore(tally, "durable, stopped before a power cut", server, before.copy, stopped)
    session.close()
    server.crash()


def mix(before: Snapshot, after: Snapshot, chance: Random) -> None:
    """Half of the pieces of a copy are replaced by those of an earlier one, and pages are torn by that."""
    for path in sorted(before.data.rglob("*")):
        newer = after.data / path.relative_to(before.data)
        if not (path.is_file() and newer.is_file()) or newer.match(CONTROL_FILE):
            continue
        old, mixed = path.read_bytes(), bytearray(newer.read_bytes())
        for place in range(0, min(len(old), len(mixed)), PIECE):
            end = min(place + PIECE, len(old), len(mixed))
            if chance.random() < 0.5:
                mixed[place:end] = old[place:end]
        newer.write_bytes(mixed)


def goes_on(state: CrashState, label: str) -> bool:
    """Is the backup active in any case?"""
    return all(
        row is not None and row.state == "active"
        for promise in state.promises
        for row in promise.allowed.get(label, (None,))
    )
