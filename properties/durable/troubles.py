"""Starts of a server that fail."""

import pytest

from harness.server.cluster import Cluster, ClusterError


def fail_to_start(server: Cluster) -> None:
    """A typo in pg_hba.conf; the extension has looked at everything before that is found."""
    file = server.data_dir / "pg_hba.conf"
    before = file.read_text()
    file.write_text(f"{before}locl all all trust\n")
    with pytest.raises(ClusterError, match="did not start"):
        server.start()
    file.write_text(before)
