"""Switching data checksums on and off while a server is down, by PostgreSQL's own pg_checksums."""

from harness.server.cluster import Cluster, ClusterError
from harness.server.controldata import has_checksums
from harness.server.programs import run_program


def set_checksums(cluster: Cluster, on: bool) -> None:
    """Switches them in a server that has been shut down; raises ClusterError if that is refused."""
    said = run_program(cluster, "pg_checksums", "--enable" if on else "--disable", "--no-sync", "-D", cluster.data_dir)
    if said.returncode != 0:
        raise ClusterError(f"pg_checksums did not switch data checksums: {said.stderr}")


def toggle_checksums(cluster: Cluster) -> None:
    """On if they are off, and off if they are on."""
    set_checksums(cluster, on=not has_checksums(cluster))
