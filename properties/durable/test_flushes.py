"""What a caller has been told of a durable backup survives a power cut: all of it has been flushed by then, in order.

Nothing that is not flushed may be relied on. So a state file has been flushed before it gets its name; and when an
operation has ended, so have the folders in which it made, renamed or removed anything.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, install
from harness.faults.traced import Call, has_strace, traced_start
from harness.machine.scratch import temporary_folder
from harness.server.cluster import Cluster, open_cluster
from harness.server.durable import resumed
from properties.recording.tally import Tally
from properties.support.servers import server_settings

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

FOLDER = "pg_shared_backup"
OPERATIONS = (
    "SELECT shared_backup_start('a', true, '1 hour')",
    "SELECT shared_backup_renew('a', '2 hours')",
    "SELECT shared_backup_stop('a', false)",
    "SELECT shared_backup_start('a', true, '1 hour')",
    "SELECT shared_backup_abort('a')",
    "SELECT shared_backup_start('b', true, '1 hour')",
    "SELECT shared_backup_clock_advance('90 minutes')",
    "SELECT shared_backup_clock_advance('1 day')",
)
"""A start, a renewal, a stop, a start that replaces its result, an abort, an expiry, and a result that is forgotten."""
MARKER = "this is where operation {} {}"
WRITES = ("write", "pwrite64", "pwritev", "ftruncate")
CHANGES = ("mkdir", "rename", "unlink")


@pytest.mark.skipif(not has_strace(), reason="strace is not installed")
def test_whatever_an_operation_does_to_state_files_is_flushed_when_it_has_ended(
    instrumented: Build, tally: Tally
) -> None:
    settings = {**server_settings(DURABLE), "fsync": "on", "log_min_messages": "log"}
    with open_cluster(instrumented, settings=settings) as server, temporary_folder() as folder:
        session = server.connect()
        install(DURABLE, session)
        session.close()
        server.stop()
        for path in (server.data_dir / FOLDER).iterdir():
            path.unlink()
        (server.data_dir / FOLDER).rmdir()
        calls = traced_start(server, folder, single=False, work=lambda: operate(server))
        for number, operation in enumerate(OPERATIONS):
            with tally.example():
                done = part(calls, number)
                assert any(FOLDER in call.rest for call in done), f"{operation} has touched no state file"
                # What a start replaces goes when its caller has been told: until then the newer file counts.
                replaces = operation.startswith("SELECT shared_backup_start")
                told = [call for call in done if not (replaces and call.name == "unlink")]
                for flaw in flaws(told, server.data_dir):
                    pytest.fail(f"{operation}: {flaw}")
                tally.steps += 1
        made = [call for call in calls if call.name == "mkdir" and FOLDER in call.rest]
        assert made
        assert not [*flaws(calls, server.data_dir)]
        server.start()


def operate(server: Cluster) -> None:
    """Carries out the operations, with a line in the log before and after each."""
    session = resumed(server)
    session.execute("SELECT shared_backup_clock_freeze()")
    for number, operation in enumerate(OPERATIONS):
        for when in ("begins", "ends"):
            session.execute(f"DO $$ BEGIN RAISE LOG '{MARKER.format(number, when)}'; END $$")
            if when == "begins":
                session.execute(operation)
    session.close()


def part(calls: list[Call], number: int) -> list[Call]:
    """What all processes did while an operation was carried out."""
    begins, ends = (
        next(place for place, call in enumerate(calls) if MARKER.format(number, when) in call.rest)
        for when in ("begins", "ends")
    )
    return calls[begins:ends]


def flaws(calls: list[Call], data_dir: Path) -> Iterator[str]:
    """What a power cut after the last of these calls could undo, or leave by half."""
    for place, call in enumerate(calls):
        if call.name not in CHANGES or FOLDER not in call.rest:
            continue
        names = [data_dir / name for name in re.findall(r'"([^"]*)"', call.rest)]
        if call.name == "unlink" and names[0].suffix != ".backup":
            continue  # a temporary file that is no use comes back, and is removed again
        if call.name == "rename" and not flushed(calls[:place], names[0]):
            yield f"{names[0].name} got its name before it was flushed"
        if not flushed(calls[place:], names[-1].parent):
            yield f"{call.name} of {names[-1].name}, and {names[-1].parent.name} was not flushed after it"


def flushed(calls: list[Call], path: Path) -> bool:
    """Was it flushed, and not written to after that?"""
    about = [call.name for call in calls if f"<{path}>" in call.rest]
    last_written = max((place for place, name in enumerate(about) if name in WRITES), default=-1)
    return "fsync" in about[last_written + 1 :]
