"""No leaks: however many backups come and go, memory, file descriptors and processes are where they were."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.building.build import Build
from harness.machine.processes import descendants
from harness.server.cluster import open_cluster
from harness.server.durable import SETTINGS, fill, state_files
from harness.server.injection_points import InjectionPoints
from harness.server.session import SqlError
from harness.server.tablespaces import add_tablespace
from properties.faults.trials import COUNTS, FaultTrials
from properties.recording.tally import Tally
from properties.support.servers import PROBED

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("instruments")]

PATIENCE = 30.0
CYCLES = {"dev": 100, "gate": 200, "nightly": 10_000}
WARM_UP = 50
"""Cycles after which every process has all that it keeps."""
REMEMBERED = 20
"""Cycles after which results are forgotten."""

LABEL = "x" * 1000
AT_ONCE = 20
"""Times that two take one label."""
TABLESPACES = 20
FOLDERS = ("x" * 200,) * 4
"""Long, as are the tablespace maps: what some dozens of backups leave behind does not fit into memory that is there."""
START = "SELECT shared_backup_start(%s, true, '10 s')"
STOP = "SELECT shared_backup_stop(%s, false)"
ABORT = "SELECT shared_backup_abort(%s)"
EXPIRE = "SELECT shared_backup_clock_advance('20 s')"
FORGET = "SELECT shared_backup_clock_advance('1 h')"
USED = re.compile(r"Grand total: .*; (\d+) used")


class Footprint(NamedTuple):
    """What a server has."""

    shared_memory: tuple[int, int]
    """Bytes: main and dynamic."""
    postmaster_files: int
    reaper_files: int
    processes: int


def footprint(trials: FaultTrials) -> Footprint:
    """While no backup is open or remembered."""
    trials.clear()
    trials.at_full_strength()
    trials.nobody_left()
    postmaster = trials.cluster.pid or 0
    reaper = trials.admin.execute("SELECT pid FROM shared_backup_reaper()")[0][0]
    return Footprint(trials.shared_memory(), open_files(postmaster), open_files(reaper), len(descendants(postmaster)))


def make_tablespaces(trials: FaultTrials) -> None:
    for number in range(TABLESPACES):
        add_tablespace(trials.cluster, trials.admin, f"t{number}", FOLDERS)


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def reaper_memory(trials: FaultTrials) -> int:
    """Bytes of its own, as it says itself when it is asked. Some are for a worker that it may be launching just now."""
    position = trials.cluster.log_position()
    trials.admin.execute("SELECT pg_log_backend_memory_contexts(pid) FROM shared_backup_reaper()")
    found: list[str] = []

    def answered() -> bool:
        found[:] = USED.findall(trials.cluster.log_since(position))
        return bool(found)

    trials.cluster.wait_until(answered, PATIENCE, "the reaper to tell of its memory")
    return int(found[-1])


@contextmanager
def no_space(file: Path) -> Iterator[None]:
    """What is written of a state file within the block meets a full disk: each of some times, if it is tried again."""
    fill(file)
    yield
    file.with_name(f"{file.name}.tmp").unlink(missing_ok=True)


def cycle(trials: FaultTrials, number: int) -> None:
    """A backup that is stopped, aborted, expires, or fails when its start point is taken already.

    Two have a label in turn: the second replaces the first's result, or puts it back.
    """
    label, end = (f"{number // 2} {LABEL}",), number % 4
    if end == 3:
        trials.points.attach("start-point-taken", action="error")
        with pytest.raises(SqlError, match="XX000"):
            trials.admin.execute(START, label)
    else:
        trials.admin.execute(START, label)
    if end == 2:
        with ExitStack() as stack:
            for file in state_files(trials.cluster)[-1:]:
                stack.enter_context(no_space(file))
            trials.admin.execute(EXPIRE)
        trials.admin.execute(EXPIRE)
    elif end < 2:
        trials.admin.execute((STOP, ABORT)[end], label)
    if number % REMEMBERED == 0:
        trials.admin.execute(FORGET)


def test_starts_that_reserve_one_label_at_once_leave_nothing(instrumented: Build, tally: Tally) -> None:
    """Each has found that it can be had, one has it, and the other has copied it for nothing."""
    with open_cluster(instrumented) as cluster, tally.example():
        admin, *sessions = [cluster.connect() for _ in range(3)]
        admin.execute("CREATE EXTENSION shared_backup")
        admin.execute("CREATE EXTENSION shared_backup_instruments")
        points = InjectionPoints(admin)
        for _ in range(AT_ONCE):
            points.attach("start-checked")
            calls = [session.submit(START, (LABEL,)) for session in sessions]
            cluster.wait_until(lambda: len(points.waiting("start-checked")) == 2, PATIENCE, "both to come")
            points.detach()
            refusals = [call.future.exception(PATIENCE) for call in calls]
            assert sorted(str(refusal)[:5] for refusal in refusals) == ["42710", "None"]
            admin.execute(ABORT, (LABEL,))
            left = admin.execute(COUNTS)[0]
            assert not any(left), f"of no backup there are still (as in {COUNTS}): {left}"
            tally.steps += 2
        for session in (admin, *sessions):
            session.close()


@pytest.mark.parametrize("kept", [{}, SETTINGS], ids=["in memory", "in files"])
def test_backups_come_and_go_and_leave_nothing(
    instrumented: Build, tally: Tally, profile: str, kept: Mapping[str, str]
) -> None:
    """... nor what of those in files cannot be written for want of space."""
    cycles = CYCLES[profile]
    with open_cluster(instrumented, settings={**PROBED, **kept}) as cluster, tally.example():
        trials = FaultTrials(cluster)
        make_tablespaces(trials)
        for number in range(WARM_UP):
            cycle(trials, number)
        before, memory = footprint(trials), reaper_memory(trials)
        for number in range(cycles):
            cycle(trials, number)
            tally.steps += 1
        after, grown = footprint(trials), reaper_memory(trials) - memory
    tally.notes.append(f"{cycles:,} cycles; before and after them: {before}")
    assert after == before, f"{cycles} cycles left {after}, before them there was {before}"
    assert grown < cycles, f"the reaper has {grown} bytes more than {cycles} cycles ago"
