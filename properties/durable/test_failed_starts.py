"""A start that fails before the server is up has written nothing, and loses no backup."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.faults.foreign import postmaster_life, single_user_life
from harness.restore.snapshot import Pace
from harness.restore.workload import SEGMENT, archive_all, checkpoint, transfers
from harness.server.cluster import Cluster, ClusterError
from harness.server.controldata import REDO_SEGMENT, control_data
from harness.server.durable import configured
from harness.server.injection_points import InjectionPoints
from harness.server.node import give
from model.operations import Hazard
from properties.durable.judged import check_lost_or_whole
from properties.durable.lockstep import LONG_GAP, DurableServer, Fall, change, durable_server, read_reserve
from properties.durable.losses import ABSENCE, FULL_PAGE_WRITES
from properties.recording.tally import Tally
from properties.support.restoring import check_restore
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

FALLS = (Fall.FAST, Fall.IMMEDIATE, Fall.POSTMASTER)
NOWHERE = "192.0.2.1"
"""An address of no machine (RFC 5737)."""
REWRITE = ("UPDATE reserve SET ballast = repeat('f', 100) WHERE part % 2 = 1", "CHECKPOINT")
FILLER = "SELECT pg_logical_emit_message(false, 'filler', repeat('f', 100000)) FROM generate_series(1, 50)"
"""Several segments of WAL."""
CROSSINGS = 6
"""Of one backup: there is a part of the reserve for each."""
PATIENCE = 30.0

Trouble = Callable[[Cluster], AbstractContextManager[object]]
"""While the block runs, the server cannot start."""


def settings(**values: str) -> Trouble:
    """These are in its configuration file."""
    return lambda server: configured(server, values)


@contextmanager
def bad_hba(server: Cluster) -> Iterator[None]:
    """There is a typo in pg_hba.conf."""
    file = server.data_dir / "pg_hba.conf"
    before = file.read_text()
    file.write_text(f"{before}locl all all trust\n")
    try:
        yield
    finally:
        file.write_text(before)


@contextmanager
def port_in_use(server: Cluster) -> Iterator[None]:
    """Somebody else listens where the server is to listen."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        with configured(server, {"listen_addresses": "127.0.0.1", "port": port}):
            yield


@contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """The server may not read that file."""
    mode = file.stat().st_mode
    file.chmod(0)
    try:
        yield
    finally:
        file.chmod(mode)


def failing_recovery(server: Cluster) -> AbstractContextManager[None]:
    """The startup process cannot read what became of transactions, and fails."""
    return unreadable(max((server.data_dir / "pg_xact").iterdir()))


def unprotected(**values: str) -> Trouble:
    """With these settings pages would not be protected; and there is a typo in pg_hba.conf, so that none is written."""

    @contextmanager
    def trouble(server: Cluster) -> Iterator[None]:
        with configured(server, values), bad_hba(server):
            yield

    return trouble


def no_control_file(server: Cluster) -> AbstractContextManager[None]:
    """The postmaster cannot read the control file."""
    return unreadable(server.data_dir / "global" / "pg_control")


TROUBLES: dict[str, Trouble] = {
    "a typo in pg_hba.conf": bad_hba,
    "an address that is none of the machine's": settings(listen_addresses=NOWHERE),
    "a port in use": port_in_use,
    "no certificate": settings(ssl="on"),
    "a missing library": settings(shared_preload_libraries="shared_backup, no_such_library"),
    "a missing library before ours": settings(shared_preload_libraries="no_such_library, shared_backup"),
    "an invalid setting": settings(max_connections="none"),
    "settings that contradict each other": settings(superuser_reserved_connections="1000"),
    "too much shared memory": settings(shared_buffers="8000GB", huge_pages="off"),
    "an unreadable control file": no_control_file,
    "a recovery that fails": failing_recovery,
    "full_page_writes off, and a typo": unprotected(full_page_writes="off"),
    "wal_level minimal, and a typo": unprotected(wal_level="minimal", max_wal_senders="0", archive_mode="off"),
}


def fail_to_start(server: Cluster, trouble: str) -> None:
    """Starts the server in vain."""
    with TROUBLES[trouble](server), pytest.raises(ClusterError, match="did not start"):
        server.start()


def kill_in_recovery(server: Cluster) -> None:
    """Recovery begins, comes to a segment of WAL that it cannot read on in, and is killed there."""
    redo = control_data(server)[REDO_SEGMENT]
    wal = server.data_dir / "pg_wal"
    segment = sorted(file for file in wal.iterdir() if SEGMENT.fullmatch(file.name) and file.name > redo)[2]
    aside, position = segment.rename(segment.with_name("aside")), server.log_position()
    os.mkfifo(segment)
    give(segment, server.user)
    server.launch()
    server.wait_until(lambda: "redo starts at" in server.log_since(position), PATIENCE, "recovery to begin")
    server.crash()
    assert "redo done at" not in server.log_since(position)
    aside.rename(segment)


Down = Callable[[Cluster], object]
"""Something that is done while the server is down."""


def failing(trouble: str) -> Down:
    return lambda server: fail_to_start(server, trouble)


def check_survives(build: Build, tally: Tally, between: Sequence[tuple[Fall, Sequence[Down]]], scenario: str) -> None:
    """A backup goes on over falls, with all this while the server is down, and its copy is restored whole."""
    with durable_server(build, tally) as here:
        backups, chance = here.backups, Random(1)
        read_reserve(here.session)
        backups.start("a")
        turns: list[Callable[[], object]] = [*backups.does(transfers, change(0), chance=chance)]
        for number, (fall, downs) in enumerate(between, 1):
            turns += [crossing(here, fall, downs), *backups.does(transfers, change(number), chance=chance)]
        turns += backups.does(checkpoint, transfers, chance=chance)
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        stopped = backups.stop("a")
        backups.archive()
        taken, survival_case = (here.origin, snapshot, stopped.files), backups.survival_cases["a"]
        check_restore(tally, scenario, *taken, restorable=stopped.restorable, survival_case=survival_case)


def crossing(here: DurableServer, fall: Fall, downs: Sequence[Down]) -> Callable[[], None]:
    """The server falls when there are several segments of WAL since its last checkpoint, all archived; this is done,
    and it starts. After a crash, the checkpoint that ends recovery removes them."""

    def down() -> None:
        for one in downs:
            one(here.origin)

    def cross() -> None:
        here.session.execute(FILLER)
        archive_all(here.origin, here.session)
        before = control_data(here.origin)[REDO_SEGMENT]
        here.backups.fall(fall, while_down=down)
        assert not (here.origin.data_dir / "pg_wal" / before).exists(), f"{before} is still there"

    return cross


def check_crossings(
    build: Build, tally: Tally, crossings: Sequence[tuple[Fall, Sequence[Down]]], scenario: str, at_most: int
) -> None:
    """Backups go on over all these, each over so many at most."""
    for number in range(0, len(crossings), at_most):
        check_survives(build, tally, crossings[number : number + at_most], scenario)


@pytest.mark.parametrize("troubles", [[*TROUBLES][n : n + 2] for n in range(0, len(TROUBLES), 2)], ids=" and ".join)
def test_a_start_that_fails_loses_no_backup(
    instrumented: Build, tally: Tally, troubles: list[str], exhaustive: bool
) -> None:
    """... after each kind of fall."""
    crossings = [(fall, [failing(trouble)]) for trouble in troubles for fall in FALLS]
    scenario = f"durable, after a start that failed ({', '.join(troubles)})"
    check_crossings(instrumented, tally, crossings, scenario, len(FALLS) if exhaustive else CROSSINGS)


def test_one_start_after_the_other_may_fail(instrumented: Build, tally: Tally, exhaustive: bool) -> None:
    """Two of each kind in a row, after each kind of fall."""
    names = list(TROUBLES)
    crossings = [(FALLS[number % 3], [failing(name), failing(names[number - 3])]) for number, name in enumerate(names)]
    scenario = "durable, after two starts that failed"
    check_crossings(instrumented, tally, crossings, scenario, len(FALLS) if exhaustive else CROSSINGS)


def test_a_recovery_that_is_killed_loses_no_backup(instrumented: Build, tally: Tally) -> None:
    """... killed once, and twice, also with a start between that fails for another reason."""
    typo = failing("a typo in pg_hba.conf")
    crossings: list[tuple[Fall, list[Down]]] = [
        (Fall.IMMEDIATE, [kill_in_recovery]),
        (Fall.POSTMASTER, [kill_in_recovery, kill_in_recovery]),
        (Fall.IMMEDIATE, [kill_in_recovery, typo, kill_in_recovery, typo]),
    ]
    check_survives(instrumented, tally, crossings, "durable, after a recovery that was killed")


FOREIGN: dict[str, Down] = {
    "without the extension": lambda server: postmaster_life(server, REWRITE),
    "in single-user mode": lambda server: single_user_life(server, REWRITE, killed=True),
}


@dataclass(frozen=True)
class Hiding:
    """A start that fails beside a foreign life, in whose place it might be taken."""

    trouble: str
    life: str
    first: bool
    """Does it fail before that life?"""

    def __str__(self) -> str:
        failed = f"a start that failed ({self.trouble})"
        return f"{failed}, and a life {self.life}" if self.first else f"a life {self.life}, and {failed}"

    def happen(self, server: Cluster) -> None:
        """Both, one after the other."""
        both = [failing(self.trouble), FOREIGN[self.life]]
        for one in both if self.first else reversed(both):
            one(server)


HIDINGS = [
    Hiding(trouble, life, first)
    for first, troubles in (
        (True, ("a typo in pg_hba.conf", "a recovery that fails")),
        (False, ("a recovery that fails", "full_page_writes off, and a typo")),
    )
    for trouble in troubles
    for life in FOREIGN
]


@pytest.mark.parametrize("hiding", HIDINGS, ids=str)
def test_a_start_that_failed_does_not_hide_a_foreign_one(
    instrumented: Build, tally: Tally, hiding: Hiding, exhaustive: bool
) -> None:
    """... that comes after it, or came before."""
    for fall in FALLS if exhaustive else [FALLS[HIDINGS.index(hiding) % len(FALLS)]]:
        with durable_server(instrumented, tally) as here:
            check_loss(here, tally, fall, Hazard.ABSENCE, ABSENCE, f"{hiding}", hiding.happen)


def test_a_start_that_failed_does_not_hide_a_foreign_one_that_took_no_checkpoint(
    instrumented: Build, tally: Tally
) -> None:
    """It was killed, and has only noted that it was in production."""
    with durable_server(instrumented, tally) as here:

        def down(server: Cluster) -> None:
            fail_to_start(server, "a typo in pg_hba.conf")
            postmaster_life(server, REWRITE[:1])

        but = "a start that failed, and a life without the extension, killed before its first checkpoint"
        check_loss(here, tally, Fall.FAST, Hazard.ABSENCE, ABSENCE, but, down)


def write_in_an_unprotected_gap(server: Cluster) -> None:
    """A server starts with full_page_writes off, and is killed before it has told core again of its backups."""
    with configured(server, {"full_page_writes": "off"}):
        server.start()
        session = server.connect()
        assert InjectionPoints(session).arrived("resume-begun")
        session.execute(REWRITE[0])
        session.close()
        server.crash()


@pytest.mark.parametrize("fall", FALLS)
def test_a_start_that_failed_does_not_hide_a_gap_of_the_one_before(
    instrumented: Build, tally: Tally, fall: Fall
) -> None:
    """... which had not looked at it when it was killed."""
    with durable_server(instrumented, tally, LONG_GAP) as here:

        def down(server: Cluster) -> None:
            write_in_an_unprotected_gap(server)
            fail_to_start(server, "a typo in pg_hba.conf")

        InjectionPoints(here.session).attach("resume-begun")
        here.session.execute("SELECT shared_backup_injection_points_keep()")
        but = "a gap without full_page_writes, cut short, and a start that failed"
        check_loss(here, tally, fall, Hazard.PAGE_WRITES_OFF, FULL_PAGE_WRITES, but, down)


def check_loss(
    here: DurableServer, tally: Tally, fall: Fall, hazard: Hazard, detail: str, but: str, down: Down
) -> None:
    """A backup is lost for that reason by what is done when the server has fallen, before it starts."""
    read_reserve(here.session)
    here.backups.start("a")
    while_down = lambda: down(here.origin)  # noqa: E731
    cross = lambda: here.backups.fall(fall, hazard, but=but, while_down=while_down, compare=False)  # noqa: E731
    snapshot = copy_while(here.origin, here.copies / "copy", [lambda: None, cross], Pace(rounds=1))
    check_lost_or_whole(here, tally, "a", snapshot, detail)
