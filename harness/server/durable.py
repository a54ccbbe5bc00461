"""Durable backups from outside: how a server with some is restarted, and the files that they are in."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.machine.postgres import as_user
from harness.server.checksums import toggle_checksums
from harness.server.cluster import Cluster, ClusterError
from harness.server.probes import set_full_page_writes
from harness.server.session import Session, SqlError
from model.operations import Hazard

SETTINGS = {"shared_backup.durable": "on"}

STATE_DIR = "pg_shared_backup"
"""Within the data directory."""

MEANWHILE: Mapping[Hazard | None, Mapping[str, str]] = {
    Hazard.WAL_LEVEL: {"wal_level": "minimal", "max_wal_senders": "0", "full_page_writes": "on"},
    Hazard.ABSENCE: {"shared_preload_libraries": "", "full_page_writes": "on"},
}
"""Settings of another start, between the end of the server and the start that backups are to survive. Nothing else is
wrong with it."""

BUSY = "55006"
PATIENCE = 60.0
PAUSE = 0.01


def resumed(cluster: Cluster) -> Session:
    """A superuser's session of a server that has been (re)started, once its backups are back: nobody sees them before.

    Raises ClusterError if they do not come back.
    """
    session = cluster.connect()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            session.execute("SELECT FROM shared_backups")
            return session
        except SqlError as error:
            if error.sqlstate != BUSY:
                raise
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the backups are not back {PATIENCE:.0f} s after the restart; its log: {cluster.log_since(0)}"
            )
        time.sleep(PAUSE)


def restart(cluster: Cluster, kind: str, hazard: Hazard | None = None) -> Session:
    """Restarts the server, and returns a superuser's session once the backups are back: see ``start``."""
    cluster.go_down(kind)
    if hazard is Hazard.COPY:
        replace_by_copy(cluster)
    if hazard is Hazard.CHECKSUMS:
        switch_checksums(cluster, clean=kind == "fast")
    if hazard in MEANWHILE:
        with configured(cluster, MEANWHILE[hazard]):
            cluster.start()
        cluster.stop()
    return start(cluster, full_page_writes=hazard is not Hazard.PAGE_WRITES_OFF)


def start(cluster: Cluster, *, full_page_writes: bool = True) -> Session:
    """Starts the server, and returns a superuser's session once the backups are back.

    It starts with full_page_writes on, without which no backup survives; later on that may be off, as it was.
    """
    was = cluster.settings.get("full_page_writes")  # None: on
    with configured(cluster, {"full_page_writes": "on" if full_page_writes else "off"}):
        cluster.start()
    session = resumed(cluster)
    set_full_page_writes(cluster, session, on=was != "off")
    cluster.configure({"full_page_writes": was})
    return session


@contextmanager
def configured(cluster: Cluster, settings: Mapping[str, str]) -> Iterator[None]:
    """These settings are in the configuration file for a while, to be read by what starts meanwhile."""
    before = {name: cluster.settings.get(name) for name in settings}
    cluster.configure(settings)
    try:
        yield
    finally:
        cluster.configure(before)


def switch_checksums(cluster: Cluster, *, clean: bool) -> None:
    """Switches data checksums in a server that is down; if it was not shut down, a start and a shutdown come first."""
    if not clean:
        start(cluster).close()
        cluster.stop()
    toggle_checksums(cluster)


def replace_by_copy(cluster: Cluster) -> None:
    """In place of the data directory, a copy of it, as a tool for the files of servers that are down would make it."""
    original = cluster.data_dir.with_name("original")
    cluster.data_dir.rename(original)
    subprocess.run(as_user(cluster.user, "cp", "-a", original, cluster.data_dir), check=True, cwd="/")
    subprocess.run(["rm", "-r", original], check=True, cwd="/")


def forget(cluster: Cluster) -> None:
    """Removes what is kept of backups, while the server is down."""
    for file in state_files(cluster):
        file.unlink()


def state_files(cluster: Cluster) -> list[Path]:
    """The state files of the backups, oldest first."""
    return sorted((Path(cluster.node.data_dir) / STATE_DIR).glob("*.backup"))


def fill(file: Path) -> None:
    """The next write of a state file meets a full disk: its temporary file is one."""
    file.with_name(f"{file.name}.tmp").symlink_to("/dev/full")
