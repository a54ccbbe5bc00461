"""Tablespaces of a server, in folders beside its data directory."""

from collections.abc import Iterable

from harness.server.cluster import Cluster
from harness.server.node import give
from harness.server.session import Session


def add_tablespace(cluster: Cluster, session: Session, name: str, below: Iterable[str] = ()) -> None:
    """Makes a tablespace in an empty folder of that name, or in folders ``below`` it, one in the other."""
    folder = cluster.folder
    for one in (name, *below):
        folder /= one
        folder.mkdir()
        give(folder, cluster.user)
    session.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
