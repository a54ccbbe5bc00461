"""What open backups cost in memory: shared memory of the server, and the backends of sessions that must stay."""

from collections.abc import Sequence

import psutil

from harness.cluster import Cluster
from harness.session import Session

MANY = 1_000
"""Connections added to see what one connection's place in shared memory takes."""


def dynamic_shared_memory(cluster: Cluster) -> int:
    """Bytes of all segments of dynamic shared memory, which the bench's clusters keep as files (mmap)."""
    return sum(path.stat().st_size for path in (cluster.data_dir / "pg_dynshmem").glob("mmap.*"))


def main_shared_memory(session: Session, name: str = "%") -> int:
    """Bytes of the server's main shared memory that are allocated under names like this one."""
    rows = session.execute(
        "SELECT coalesce(sum(allocated_size), 0) FROM pg_shmem_allocations WHERE coalesce(name, '') LIKE %s", (name,)
    )
    return int(rows[0][0])


def slot(cluster: Cluster) -> float:
    """Bytes of shared memory that one more connection takes, whether it is used or not: its PGPROC, its part of the
    lock table and of whatever else grows with max_connections.

    Seen by restarting the server with many more connections allowed.
    """
    few = int(cluster.settings["max_connections"])
    sizes = []
    for number in (few, few + MANY):
        cluster.configure({"max_connections": str(number)})
        cluster.restart()
        session = cluster.connect()
        sizes.append(main_shared_memory(session))
        session.close()
    cluster.configure({"max_connections": str(few)})
    return (sizes[1] - sizes[0]) / MANY


def proportional_set_sizes(sessions: Sequence[Session]) -> list[float]:
    """Of each session's backend, the bytes of its own memory and its share of what it has in common with others."""
    return [float(psutil.Process(session.pid).memory_full_info().pss) for session in sessions]


def private_sizes(sessions: Sequence[Session]) -> list[float]:
    """Of each session's backend, the bytes that nobody else has."""
    return [float(psutil.Process(session.pid).memory_full_info().uss) for session in sessions]
