"""The mark that core removes at a start without the extension is gone for good before any WAL is written: a power cut
cannot bring it back together with what that start has written. Nor can one take away what a start with it has left."""

from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.faults.traced import Call, has_strace, traced_start
from harness.machine.processes import titled
from harness.machine.scratch import temporary_folder
from harness.restore.workload import transfers
from harness.server.durable import configured, resumed
from harness.server.node import leave_signal
from properties.durable.lockstep import Fall, durable_server
from properties.durable.losses import MARK, open_server
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

PATIENCE = 30.0  # seconds
FOREIGN = {"shared_preload_libraries": "", "fsync": "on"}


def first(calls: list[Call], what: str, *names: str, after: int = -1, pid: int | None = None) -> int:
    """The number of the first of these calls about such a file; fails if there is none."""
    for number, call in enumerate(calls):
        if number > after and call.name in names and what in call.rest and pid in (None, call.pid):
            return number
    pytest.fail(f"there was no {' or '.join(names)} of {what}")


@pytest.mark.skipif(not has_strace(), reason="strace is not installed")
@pytest.mark.parametrize("slots", ["10", "0"], ids=["slots", "no slots"])
@pytest.mark.parametrize("single", [False, True], ids=["postmaster", "single-user mode"])
@pytest.mark.parametrize("fall", [Fall.FAST, Fall.POSTMASTER])
def test_a_start_flushes_the_removal_of_the_mark_before_it_writes_wal(
    instrumented: Build, tally: Tally, fall: Fall, single: bool, slots: str
) -> None:
    with durable_server(instrumented, tally, {"max_replication_slots": slots}) as here:
        server, chance = here.origin, Random(1)
        here.backups.start("a")
        transfers(here.session, chance)
        here.session.close()
        server.go_down(fall.kind)
        assert (server.data_dir / MARK).is_dir(), "the extension has left no mark"
        with configured(server, FOREIGN), temporary_folder() as folder:
            calls = traced_start(server, folder, single=single)
        assert not (server.data_dir / MARK).exists(), "core has not removed the mark"
        removed = first(calls, f'"{MARK}"', "rmdir")
        remover = calls[removed].pid
        flushed = first(calls, f"{server.data_dir}/{Path(MARK).parent}>", "fsync", after=removed, pid=remover)
        writes = ("write", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate")
        written = first(calls, f"{server.data_dir}/pg_wal/", *writes)
        went_on = next(number for number, call in enumerate(calls) if number > flushed and call.pid == remover)
        assert removed < flushed < went_on <= written, f"{calls[written]} came before {calls[flushed]} had ended"
        server.start()
        resumed(server).close()
        tally.steps += 1


@pytest.mark.skipif(not has_strace(), reason="strace is not installed")
def test_a_start_with_the_extension_leaves_the_mark_anew_for_good_when_it_has_been_removed(
    instrumented: Build, tally: Tally
) -> None:
    """A process that waits for that does, and the reaper once more."""
    with durable_server(instrumented, tally, {"fsync": "on"}) as here:
        server = here.origin
        here.backups.start("a")
        transfers(here.session, Random(1))
        here.session.close()
        server.go_down(Fall.POSTMASTER.kind)
        with temporary_folder() as folder:
            calls = traced_start(server, folder, single=False)
        postmaster, removed = calls[0].pid, first(calls, f'"{MARK}"', "rmdir")
        made = [number for number, call in enumerate(calls) if call.name == "mkdir" and MARK in call.rest]
        for number in made:
            for flushed in (MARK, Path(MARK).parent):
                first(calls, f"{server.data_dir}/{flushed}>", "fsync", after=number, pid=calls[number].pid)
        by_others = [number for number in made if calls[number].pid != postmaster]
        assert len({calls[number].pid for number in by_others}) == 2, "not two processes have left the mark"
        assert removed < by_others[0], "one leaves the mark before core has removed it, and will not do so again"
        server.start()
        resumed(server).close()
        tally.steps += 1


def test_a_shutdown_does_not_wait_for_the_process_that_leaves_the_mark(instrumented: Build, tally: Tally) -> None:
    """It waits itself until core has removed the mark, which it has not while it waits for the archive."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        resumed(server).close()
        server.stop()
        hold = server.folder / "hold"
        hold.touch()
        leave_signal(server.data_dir, "standby.signal", server.user)
        waiting = lambda: bool(titled(server.pid or 0, "postgres: shared_backup mark"))  # noqa: E731
        with configured(server, {"restore_command": f"while [ -e {hold} ]; do sleep 0.05; done; false"}):
            server.launch()
            server.wait_until(waiting, PATIENCE, "the process that leaves the mark")
            assert (server.data_dir / MARK).is_dir()
            server.stop()
        hold.unlink()
        tally.steps += 1
