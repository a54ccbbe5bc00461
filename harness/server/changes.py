"""Settings of a running server that are changed for a while, and put back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from harness.server.cluster import Cluster


@contextmanager
def changed(cluster: Cluster, settings: Mapping[str, str | None]) -> Iterator[None]:
    """The running server has these settings inside the block, and those of before after it."""
    before = {name: cluster.settings.get(name) for name in settings}
    cluster.configure(settings)
    cluster.reload()
    try:
        yield
    finally:
        put_back(cluster, before)


def put_back(cluster: Cluster, before: Mapping[str, str | None]) -> None:
    """Changes settings to what they were before, and loads them unless the server is down."""
    cluster.configure(before)
    if cluster.pid is not None:
        cluster.reload()
