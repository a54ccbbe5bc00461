"""The clusters that benchmarks run on: with the implementation loaded, and on a real disk where that matters."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.building.build import Build
from harness.clients.implementation import Implementation, install
from harness.server.cluster import Cluster, open_cluster

IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
"""Filesystems that have nothing to flush."""


@contextmanager
def server(
    build: Build, implementation: Implementation, settings: Mapping[str, str] | None = None, *, on: Path | None = None
) -> Iterator[Cluster]:
    """A cluster with the implementation ready to be used; ``on``: in that folder instead of the scratch folder."""
    everything = {"shared_preload_libraries": implementation.preload or "", **(settings or {})}
    with pytest.MonkeyPatch.context() as patch:
        if on is not None:
            patch.setenv("BENCH_SCRATCH", str(on))
        with open_cluster(build, settings=everything) as cluster:
            session = cluster.connect()
            install(implementation, session)
            session.close()
            yield cluster


def disk() -> Path | None:
    """A folder for scratch clusters on a filesystem that is not in memory; None if there is none."""
    folders = [os.environ.get("BENCH_SCRATCH"), tempfile.gettempdir(), "/var/tmp"]
    return next((Path(folder) for folder in folders if folder and filesystem(Path(folder)) not in IN_MEMORY), None)


def filesystem(path: Path) -> str:
    """The type of the filesystem that a path is on, such as ext4."""
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    resolved = path.resolve()
    return next((mounts[folder] for folder in [resolved, *resolved.parents] if folder in mounts), "unknown")
