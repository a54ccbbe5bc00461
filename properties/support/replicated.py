"""A primary that has the workload, and its standby, which is backed up while the primary writes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from harness.building.build import Build
from harness.clients.implementation import Implementation
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import Step, open_with_workload
from harness.server.cluster import Cluster, open_standby
from harness.server.probes import prepare_probe
from harness.server.replay import await_restartpoint
from harness.server.session import Session
from properties.support.server_lockstep import copy_while

SETTINGS = {
    "full_page_writes": "on",  # core refuses to back up a standby without
    "shared_buffers": "1MB",  # so little that the server writes pages all the time
    "wal_keep_size": "256MB",  # for a standby that is down
}


@dataclass(frozen=True)
class Pair:
    """A primary that has the workload and archives its WAL, and its standby."""

    primary: Cluster
    standby: Cluster
    writer: Session
    """On the primary."""
    chance: Random
    """Of what the steps do."""

    def catch_up(self) -> None:
        """Waits until the standby has replayed what the primary wrote, and made its last checkpoint a restartpoint."""
        session = self.standby.connect()
        await_restartpoint(self.standby, self.writer, session)
        session.close()

    def copy(self, folder: Path, steps: Sequence[Step], seed: int = 0) -> Snapshot:
        """Copies the standby, while the primary is made to do these steps and the standby replays each."""
        done = [partial(step, self.writer, self.chance) for step in steps]
        turns = [turn for step in done for turn in (step, self.catch_up)]
        return copy_while(self.standby, folder, turns, Pace(seed))


@contextmanager
def replicated(
    build: Build, implementation: Implementation, settings: Mapping[str, str] | None = None
) -> Iterator[Pair]:
    """A fresh pair, with these settings, gone when the block ends."""
    server = {**SETTINGS, "shared_preload_libraries": implementation.preload or "", **(settings or {})}
    with open_with_workload(build, server, implementation) as primary:
        writer = primary.connect()
        prepare_probe(writer)
        with open_standby(primary) as standby:
            yield Pair(primary, standby, writer, Random(1))


def promote(standby: Cluster) -> None:
    """Makes a standby a primary, unless it is one."""
    session = standby.connect()
    if session.execute("SELECT pg_is_in_recovery()")[0][0]:
        session.execute("SELECT pg_promote(true, 60)")
    session.close()
