"""What open backups cost in memory: shared memory of the server, and the backends of sessions that must stay."""

from collections.abc import Sequence

import psutil

from harness.server.cluster import Cluster
from harness.server.session import Session
from harness.server.shared_memory import main_shared_memory

MANY = 1_000
"""Connections added to see what one connection's place in shared memory takes."""


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
