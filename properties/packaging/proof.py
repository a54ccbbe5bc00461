"""A package that is installed is worth what the backup is worth that is made with it.

The README's lines, a copy by tar, the server restarted in the middle of it, and the copy restored.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from random import Random

from harness.building.build import Build
from harness.machine.scratch import temporary_folder
from harness.restore.restore import BackupFiles, RestoreRefused, restored
from harness.restore.snapshot import EMPTY, Snapshot
from harness.restore.soundness import flaws
from harness.restore.workload import archive_all, open_with_workload, transfers
from harness.server import durable
from harness.server.cluster import Cluster
from harness.server.session import Session
from properties.support.hooks import hooks, preloaded, run_in_shell, statements

LEFT_OUT = ("./postmaster.pid", "./postmaster.opts", *(f"./{folder}/*" for folder in EMPTY))
"""What the server's manual says to leave out of a copy."""
FIRST = ("./base",)
"""What of the data directory is copied before the restart."""
FILES_CHANGED = 1
"""tar's status if files have changed while it read them, which they may."""
ROLE = "my_backup_role"
"""As the README calls it."""
STOPPED = "SELECT stop_lsn::text FROM shared_backups WHERE state = 'stopped'"
AVAILABLE = "SELECT name::text FROM pg_available_extensions WHERE name LIKE 'shared%' ORDER BY 1"


class ProofError(Exception):
    """What the README tells people to do failed; the message says what."""


def backup_flaws(build: Build) -> list[str]:
    """What is wrong with a backup that is made with an installed extension, in sentences; none: nothing is.

    Raises ProofError if it comes to none.
    """
    settings = {**preloaded(), **durable.SETTINGS}
    with temporary_folder() as folder, open_with_workload(build, settings) as server:
        session = server.connect()
        if (found := session.execute(AVAILABLE)) != [("shared_backup",)]:
            return [f"The server finds these extensions: {found}."]
        session.execute(f"CREATE ROLE {ROLE} LOGIN")
        shell(server, f"psql -X -v ON_ERROR_STOP=1 <<'END'\n{statements()}END", folder)
        shell(server, hooks().before, folder, ROLE)
        copy = folder / "copy"
        session = copied(server, session, copy)
        shell(server, hooks().after, folder, ROLE, COPY=str(copy))
        ((stop_lsn,),) = session.execute(STOPPED)
        transfers(session, Random(3))  # which the copy must not have
        archive_all(server, session)
        session.close()
        return restore_flaws(server, copy, stop_lsn)


def copied(server: Cluster, session: Session, copy: Path) -> Session:
    """Has tar copy the data directory while the server works, and restarts it in between; returns a new session."""
    archive = copy.with_suffix(".tar")
    rest = sorted(f"./{path.name}" for path in server.data_dir.iterdir() if f"./{path.name}" not in FIRST)
    pack(server, session, ["-cf", archive, *FIRST])
    session.close()
    session = durable.restart(server, "fast")
    pack(server, session, ["-rf", archive, *rest])
    copy.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", copy], check=True, capture_output=True)
    return session


def pack(server: Cluster, session: Session, arguments: Iterable[str | Path]) -> None:
    """Runs tar in the data directory, and makes the server work meanwhile; raises ProofError."""
    command = ["tar", *(f"--exclude={name}" for name in LEFT_OUT), *arguments]
    chance = Random(1)
    with subprocess.Popen(command, cwd=server.data_dir, stderr=subprocess.PIPE, text=True) as tar:
        transfers(session, chance)
        while tar.poll() is None:
            transfers(session, chance)
        said = tar.stderr.read() if tar.stderr else ""
    if tar.returncode not in (0, FILES_CHANGED):
        raise ProofError(f"tar ends with {tar.returncode}: {said}")


def shell(server: Cluster, script: str, folder: Path, user: str = "postgres", **more: str) -> None:
    """Runs lines that must do without an error; raises ProofError."""
    done = run_in_shell(server, script, folder, {"PGUSER": user, **more})
    if done.returncode != 0:
        raise ProofError(f"These lines of the README end with {done.returncode}:\n{script}\n{done.stderr}")


def restore_flaws(server: Cluster, copy: Path, stop_lsn: str) -> list[str]:
    """What is wrong with what the copy restores to, with the files that are in it."""
    try:
        with restored(server, Snapshot(copy), BackupFiles(stop_lsn, None)) as cluster:
            return flaws(server, cluster, stop_lsn)
    except RestoreRefused as refused:
        return [refused.reason]
