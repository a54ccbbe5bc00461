"""Whatever a power cut leaves, at any moment: what a caller was told holds, and nothing is believed that must not be.

A server is traced while it works, and what it did to its files is done again, up to each moment; of what had not been
flushed by then, POSIX allows any part to be missing. Each state that comes of that is started.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.faults.crash_states import Tree
from harness.faults.journal import Event, MakeFolder
from harness.faults.power_cut import copy_files
from harness.faults.traced import has_strace
from harness.machine.scratch import temporary_folder
from harness.restore.snapshot import Snapshot, take
from harness.restore.workload import big_update, checkpoint, transfers
from harness.server.cluster import Cluster, ClusterError
from harness.server.durable import STATE_DIR, state_files
from harness.server.injection_points import InjectionPoints
from harness.server.node import give
from harness.server.session import Session, SqlError
from properties.durable.after_a_cut import Copied, check, check_copies, goes_on
from properties.durable.journeys import DECIDED, Journey, Operation, begun
from properties.durable.left_over import CrashState, Found, crash_states, laid_out, listing, nearest_first, unlike
from properties.durable.lockstep import open_durable
from properties.recording.tally import Tally

pytestmark = [
    pytest.mark.server,
    pytest.mark.usefixtures("durable_backups"),
    pytest.mark.skipif(not has_strace(), reason="strace is not installed"),
]

TRACED = {
    "fsync": "on",
    "shared_backup.result_retention": "1d",
    "wal_init_zero": "off",  # it would be in the journal
    "wal_buffers": "1MB",  # so that WAL is written in few pieces
}
TRIED = {"fsync": "off", "full_page_writes": "on", "archive_command": ""}
NUMBER = {"dev": 16, "gate": 40}
"""How many states are tried; at night, all."""
FEW = {"dev": 8, "gate": 15}
"""How many where the server does little."""
RESTORED = {"dev": 1, "gate": 1, "nightly": 20}
"""From how many copies are restored."""
LOG = 4000
"""Characters of the server's log that are shown."""


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
)
CUT = (
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


def load(session: Session) -> None:
    """Pages are changed, and written."""
    for step in (transfers, big_update, checkpoint, transfers):
        step(session, Random(1))


def test_whatever_a_power_cut_leaves_is_taken_up_rightly(instrumented: Build, tally: Tally, profile: str) -> None:
    with journey_of(instrumented) as journey, temporary_folder() as folder:
        copies: list[Snapshot] = []

        def copy(_: Session) -> None:
            copies.append(take(journey.server.data_dir, folder / "copy"))

        journey.live(folder, *BEFORE, load, copy, load, *CUT)
        journey.live(folder, load, *AFTER, killed=False)
        copied = Copied(copies[0], carried="c", stopped="s")
        found = all_states(journey, folder)
        chosen = {state.key: state for state in nearest_first(journey, found)[: NUMBER.get(profile)]}
        going_on = [
            state for state in found.states.values() if state.number >= journey.lives[1] and goes_on(state, "c")
        ]
        restored = {state.key: state for state in going_on[:: len(going_on) // RESTORED[profile] + 1]}

        def trial(state: CrashState) -> None:
            if state.key in restored:
                check_copies(journey.server, state, copied, tally)
            else:
                check(journey.server, state)

        try_states(journey, (chosen | restored).values(), trial, tally)
        tally.notes.append(summary(found, len(chosen | restored)) + f"; {len(restored)} were restored from")


def test_a_folder_that_a_killed_server_has_made_does_not_go(instrumented: Build, tally: Tally, profile: str) -> None:
    """It was killed before it could flush that; the next server finds the folder, and backups are started in it."""
    with journey_of(instrumented) as journey, temporary_folder() as folder:
        made = journey.server.data_dir / STATE_DIR
        made.mkdir(0o700)
        give(made, journey.server.user)
        journey.events.append(Event(pid=0, began=-2, ended=-1, action=MakeFolder(STATE_DIR)))
        journey.live(folder, start("a"))
        try_few(journey, folder, tally, profile)


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
        try_few(journey, folder, tally, profile, journey.lives[1])


def wait_at_the_next_start(session: Session) -> None:
    """The reaper will wait where it has decided what becomes of the backups."""
    InjectionPoints(session).attach(DECIDED)
    session.execute("SELECT shared_backup_injection_points_keep()")


@contextmanager
def journey_of(build: Build) -> Iterator[Journey]:
    """A server that has never had durable backups, and is down. It does not archive its WAL, but keeps it."""
    with open_durable(build, TRACED) as server:
        server.stop()
        shutil.rmtree(server.data_dir / STATE_DIR)
        server.configure({"archive_command": ""})
        yield begun(server)


def all_states(journey: Journey, folder: Path) -> Found:
    """What a power cut may leave of a server that is down now."""
    end = folder / "end"
    copy_files(journey.mirror, end)
    found = crash_states(journey, end)
    assert not (odd := unlike(journey.server, end, found.last)), f"the journal does not lead to what is there: {odd}"
    return found


def try_few(journey: Journey, folder: Path, tally: Tally, profile: str, since: int = 0) -> None:
    """Starts the server from some of the states that it may be left in from then on."""
    found = all_states(journey, folder)
    chosen = [state for state in nearest_first(journey, found) if state.number >= since][: FEW.get(profile)]
    try_states(journey, chosen, lambda state: check(journey.server, state), tally)
    tally.notes.append(summary(found, len(chosen)))


def try_states(
    journey: Journey, chosen: Iterable[CrashState], trial: Callable[[CrashState], None], tally: Tally
) -> None:
    """Tries these; fails if all is not well after one, and says what it was."""
    journey.server.configure(TRIED)
    for state, tree in laid_out(journey, chosen):
        with tally.example(), telling(state, tree, journey.server):
            trial(state)
        journey.server.configure(TRIED)
        tally.steps += len(state.promises)


@contextmanager
def telling(state: CrashState, tree: Tree, server: Cluster) -> Iterator[None]:
    """What fails is told with the state that the server was started from."""
    position = server.log_position()
    try:
        yield
    except (AssertionError, ClusterError, SqlError) as error:
        log = server.log_since(position)[-LOG:]
        pytest.fail(
            f"after a power cut at the {state.after}, which left\n{listing(tree)}\n{error}\nits log ends\n{log}"
        )


def summary(found: Found, tried: int) -> str:
    """What there was."""
    operations = Counter(state.promises[-1].operation.partition(",")[0] for state in found.states.values())
    return (
        f"durable: {len(found.states)} states that a power cut may leave, {tried} of them tried, and"
        f" {found.left_out} combinations not looked at; {', '.join(f'{name} ({n})' for name, n in operations.items())}"
    )
