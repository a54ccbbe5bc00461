"""A restored server goes on: on a timeline of its own it is backed up again, and that backup is restored, and so on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from harness.building.build import Build
from harness.clients.implementation import Implementation, install
from harness.clients.labelfile import parse_label_file
from harness.machine.scratch import scratch_folder
from harness.restore.restore import restored
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import archive_all, big_update, checkpoint, prepare_workload, transfers
from harness.server.cluster import Cluster, open_cluster
from properties.recording.tally import Tally
from properties.support.restoring import check_restore
from properties.support.server_lockstep import ServerLockstep, Stopped, copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("multi_session")]
GENERATIONS = 3


@dataclass(frozen=True)
class Generation:
    """A backup of one generation, and the server to compare it with."""

    timeline: int
    origin: Cluster
    snapshot: Snapshot
    stopped: Stopped

    def restored(self) -> AbstractContextManager[Cluster]:
        """The next generation, which archives its WAL beside this one's."""
        return restored(self.origin, self.snapshot, self.stopped.files, archive=True)

    def check(self, tally: Tally, scenario: str, *, to_the_end: bool = False) -> None:
        """Restores it to its stop point or to the end, and compares that with the server."""
        check_restore(
            tally,
            scenario,
            self.origin,
            self.snapshot,
            self.stopped.files,
            restorable=self.stopped.restorable,
            to_the_end=to_the_end,
            timeline=self.timeline,
        )


@pytest.fixture
def copies() -> Iterator[Path]:
    """A folder for them."""
    with TemporaryDirectory(dir=scratch_folder()) as folder:
        yield Path(folder)


def take(origin: Cluster, implementation: Implementation, tally: Tally, folder: Path, timeline: int) -> Generation:
    """A backup of a server that writes before, meanwhile and afterwards; all its WAL is archived."""
    session, chance = origin.connect(), Random(timeline)
    transfers(session, chance)
    backups = ServerLockstep(origin, implementation, tally)
    start_point = backups.start("nightly")
    load = [partial(step, session, chance) for step in (big_update, transfers, checkpoint, big_update, transfers)]
    snapshot = copy_while(origin, folder, load, Pace(rounds=1))
    stopped = backups.stop("nightly")
    label_file = parse_label_file(stopped.files.labelfile or "")
    assert (label_file.timeline, label_file.start_lsn) == (timeline, start_point)
    transfers(session, chance)
    archive_all(origin, session)
    session.close()
    return Generation(timeline, origin, snapshot, stopped)


def new_origin(build: Build, implementation: Implementation, stack: ExitStack) -> Cluster:
    """The first generation: a server with the workload, which archives its WAL."""
    server = {"shared_preload_libraries": implementation.preload or "", "shared_buffers": "1MB"}
    origin = stack.enter_context(open_cluster(build, settings=server, archive=True))
    session = origin.connect()
    install(implementation, session)
    prepare_workload(session)
    session.close()
    return origin


def test_a_restored_server_is_backed_up_and_restored_again(
    instrumented: Build, implementation: Implementation, tally: Tally, copies: Path
) -> None:
    """Each generation has a timeline of its own, and all of them have one archive: the older backups stay good.

    Restored to the end of the archive, the oldest becomes what the youngest has become, not what its own went on to be.
    """
    taken: list[Generation] = []
    with tally.example(), ExitStack() as stack:
        origin = new_origin(instrumented, implementation, stack)
        for timeline in range(1, GENERATIONS + 1):
            if taken:
                origin = stack.enter_context(taken[-1].restored())
            taken.append(take(origin, implementation, tally, copies / str(timeline), timeline))
        for one in taken:
            one.check(tally, f"timelines: the backup of generation {one.timeline}")
        follower = replace(taken[0], origin=origin)
        follower.check(tally, f"timelines: from generation 1 along to generation {GENERATIONS}", to_the_end=True)
