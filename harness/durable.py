"""Durable backups from outside: when they are back after a restart, and the files that they are in."""

import time
from pathlib import Path

from harness.cluster import Cluster, ClusterError
from harness.session import Session, SqlError

SETTINGS = {"shared_backup.durable": "on"}

STATE_DIR = "pg_shared_backup"
"""Within the data directory."""

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


def state_files(cluster: Cluster) -> list[Path]:
    """The state files of the backups, oldest first."""
    return sorted((Path(cluster.node.data_dir) / STATE_DIR).glob("*.backup"))
