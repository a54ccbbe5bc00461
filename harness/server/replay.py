"""What a standby has replayed."""

from harness.server.cluster import Cluster
from harness.server.session import Session

PATIENCE = 60.0  # seconds


def await_replay(server: Cluster, on_primary: Session, on_standby: Session) -> None:
    """Waits until the standby has replayed what the primary has written; raises ClusterError if it does not.

    ``server`` is one of the two: the error shows the end of its log.
    """
    written = on_primary.execute("SELECT pg_current_wal_flush_lsn()")[0]
    replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
    server.wait_until(lambda: on_standby.execute(replayed, written) == [(True,)], PATIENCE, "the standby to catch up")


def await_restartpoint(server: Cluster, on_primary: Session, on_standby: Session) -> None:
    """The same, and has the standby make the primary's last checkpoint a restartpoint."""
    await_replay(server, on_primary, on_standby)
    on_standby.execute("CHECKPOINT")
