"""Whatever a power cut leaves, at any moment: what a caller was told holds, and nothing is believed that must not be.

A server is traced while it works, and what it did to its files is done again, up to each moment; of what had not been
flushed by then, POSIX allows any part to be missing. Each state that comes of that is started.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.faults.crash_states import Tree
from harness.faults.journal import Event, MakeFolder
from harness.faults.power_cut import copy_files
from harness.faults.traced import has_strace
from harness.machine.scratch import temporary_folder
from harness.server.cluster import Cluster, ClusterError
from harness.server.durable import STATE_DIR, state_files
from harness.server.injection_points import InjectionPoints
from harness.server.node import give
from harness.server.session import Session, SqlError
from properties.durable.lockstep import open_durable
from properties.durable.power_cuts import (
    DECIDED,
    CrashState,
    Journey,
    Operation,
    begun,
    check,
    crash_states,
    laid_out,
    listing,
    nearest_first,
    unlike,
)
from properties.recording.tally import Tally

pytestmark = [
    pytest.mark.server,
    pytest.mark.usefixtures("durable_backups"),
    pytest.mark.skipif(not has_strace(), reason="strace is not installed"),
]

TRACED = {
    "fsync": "on",
    "archive_command": "",
    "shared_backup.result_retention": "1d",
    "wal_init_zero": "off",
    "wal_buffers": "1MB",
}
TRIED = {"fsync": "off", "full_page_writes": "on"}
NUMBER = {"dev": 20, "gate": 60}
FEW = {"dev": 8, "gate": 16}
"""How many states are tried; at night, all."""


def start(label: str, ttl: str = "60 days") -> Operation:
    return Operation("start", f"SELECT shared_backup_start('{label}', true, '{ttl}')")


def stop(label: str, name: str = "stop", **more: object) -> Operation:
    return Operation(name, f"SELECT shared_backup_stop('{label}', false)", **more)  # type: ignore[arg-type]


def advance(name: str, by: str, **more: object) -> Operation:
    return Operation(name, f"SELECT shared_backup_clock_advance('{by}')", **more)  # type: ignore[arg-type]


BEFORE = (
    Operation("stopping the clock", "SELECT shared_backup_clock_freeze()"),
    start("a", "1 hour"),
    Operation("renewal", "SELECT shared_backup_renew('a', '60 days')"),
    stop("a", held_at=("stop-core-ended", "a")),
    Operation("start that replaces a result", "SELECT shared_backup_start('a', true, '60 days')"),
    Operation("abort", "SELECT shared_backup_abort('a')", held_at=("abort-released", "a")),
    start("e", "1 hour"),
    advance("expiry", "90 minutes", held_at=("reaper-expired", "e")),
    start("f"),
    stop("f"),
    advance("forgetting", "2 days"),
    *(start(label) for label in ("c", "g", "n", "d", "u", "s")),
    start("k", "1 hour"),
    stop("s"),
    stop("d", "stop that is cut", held_at=("stop-core-ended", "d"), cut=True),
    stop("u", "stop whose claim is cut", held_at=("file-renamed", "u"), cut=True, undecided=True),
)
AFTER = (
    Operation("renewal after a restart", "SELECT shared_backup_renew('n', '90 days')"),
    stop("c", "stop after a restart"),
    Operation("abort after a restart", "SELECT shared_backup_abort('g')", held_at=("abort-released", "g")),
    advance("expiry after a restart", "90 minutes"),
    start("h"),
    stop("h"),
)


def test_whatever_a_power_cut_leaves_is_taken_up_rightly(instrumented: Build, tally: Tally, profile: str) -> None:
    with journey_of(instrumented) as journey, temporary_folder() as folder:
        journey.live(folder, *BEFORE)
        journey.live(folder, *AFTER, killed=False)
        try_states(journey, folder, tally, NUMBER.get(profile))


@contextmanager
def journey_of(build: Build) -> Iterator[Journey]:
    """A server that has never had durable backups, and is down."""
    with open_durable(build, TRACED) as server:
        server.stop()
        shutil.rmtree(server.data_dir / STATE_DIR)
        yield begun(server)


def try_states(journey: Journey, folder: Path, tally: Tally, number: int | None) -> None:
    """Starts the server from so many states that a power cut may leave (None: from all)."""
    server, end = journey.server, folder / "end"
    copy_files(journey.mirror, end)
    found = crash_states(journey, end)
    assert not (odd := unlike(server, end, found.last)), f"the journal does not lead to what is there: {odd}"
    chosen = nearest_first(journey, found)[:number]
    server.configure(TRIED)
    for state, tree in laid_out(journey, chosen):
        with tally.example():
            survive(server, state, tree)
        tally.steps += len(state.promises)
    tally.notes.append(
        f"durable: {len(found.states)} states that a power cut may leave, {len(chosen)} of them tried;"
        f" {found.left_out} combinations were not looked at"
    )


def test_a_folder_that_a_killed_server_has_made_does_not_go(instrumented: Build, tally: Tally, profile: str) -> None:
    """It was killed before it could flush that; the next server finds the folder, and backups are started in it."""
    with journey_of(instrumented) as journey, temporary_folder() as folder:
        made = journey.server.data_dir / STATE_DIR
        made.mkdir(0o700)
        give(made, journey.server.user)
        journey.events.append(Event(pid=0, began=-2, ended=-1, action=MakeFolder(STATE_DIR)))
        journey.live(folder, start("a"))
        try_states(journey, folder, tally, FEW.get(profile))


def test_a_file_that_could_not_be_read_for_once_is_not_believed_later(
    instrumented: Build, tally: Tally, profile: str
) -> None:
    """It was set aside by a server that then ran without full_page_writes; a power cut must not put it back."""
    with journey_of(instrumented) as journey, temporary_folder() as folder:
        server = journey.server
        journey.live(folder, start("a"), wait_at_the_next_start, killed=False)
        told, [row] = len(journey.promises), journey.promises[-1].allowed["a"]
        assert row is not None
        [file] = state_files(server)
        file.chmod(0)
        server.configure({"full_page_writes": "off"})
        journey.live(folder)
        for promise in journey.promises[told:]:
            promise.allowed = {"a": (*promise.allowed.get("a", (None,)), row._replace(state="lost"))}
        file.with_name(f"{file.name}.bad").chmod(0o600)
        try_states(journey, folder, tally, FEW.get(profile))


def wait_at_the_next_start(session: Session) -> None:
    """The reaper will wait where it has decided what becomes of the backups."""
    InjectionPoints(session).attach(DECIDED)
    session.execute("SELECT shared_backup_injection_points_keep()")


def survive(server: Cluster, state: CrashState, tree: Tree) -> None:
    """The server is started from that state; fails if all is not well, and says what the state was."""
    position = server.log_position()
    try:
        check(server, state)
    except (AssertionError, ClusterError, SqlError) as error:
        pytest.fail(
            f"a power cut at the {state.after}, when there was\n{listing(tree)}\n{error}\n{server.log_since(position)}"
        )
