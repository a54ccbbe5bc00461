"""A start that fails before the server is up has written nothing, and loses no backup."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random

import pytest

from harness.build import Build
from harness.cluster import Cluster, ClusterError
from harness.durable import configured
from harness.foreign import postmaster_life, single_user_life
from harness.snapshot import Pace
from harness.workload import checkpoint, transfers
from model.operations import Hazard
from properties.beside import copy_while
from properties.durable import Fall, Scene, change, read_reserve, scene
from properties.judged import check_lost_or_whole
from properties.losses import ABSENCE
from properties.restoring import check_restore
from properties.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

FALLS = (Fall.FAST, Fall.IMMEDIATE, Fall.POSTMASTER)
NOWHERE = "192.0.2.1"
"""An address of no machine (RFC 5737)."""
REWRITE = ("UPDATE reserve SET ballast = repeat('f', 100) WHERE part % 2 = 1", "CHECKPOINT")

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
}


def fail_to_start(server: Cluster, trouble: str) -> None:
    """Starts the server in vain."""
    with TROUBLES[trouble](server), pytest.raises(ClusterError, match="did not start"):
        server.start()


def check_survives(build: Build, tally: Tally, between: Sequence[tuple[Fall, tuple[str, ...]]], scenario: str) -> None:
    """A backup goes on over falls, each followed by starts that fail, and its copy is restored whole."""
    with scene(build, tally) as here:
        backups, chance = here.backups, Random(1)
        read_reserve(here.session)
        backups.start("a")
        turns: list[Callable[[], object]] = [*backups.does(transfers, change(0), chance=chance)]
        for number, (fall, troubles) in enumerate(between, 1):
            turns += [crossing(here, fall, *troubles), *backups.does(transfers, change(number), chance=chance)]
        turns += backups.does(checkpoint, transfers, chance=chance)
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        stopped = backups.stop("a")
        backups.archive()
        taken, passage = (here.origin, snapshot, stopped.files), backups.passages["a"]
        check_restore(tally, scenario, *taken, restorable=stopped.restorable, passage=passage)


def crossing(here: Scene, fall: Fall, *troubles: str) -> Callable[[], None]:
    """The server falls, fails to start for each of these reasons, and starts."""

    def fail() -> None:
        for trouble in troubles:
            fail_to_start(here.origin, trouble)

    return lambda: here.backups.fall(fall, while_down=fail)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_start_that_fails_loses_no_backup(instrumented: Build, tally: Tally, trouble: str) -> None:
    """... after each kind of fall."""
    between = [(fall, (trouble,)) for fall in FALLS]
    check_survives(instrumented, tally, between, f"durable, after a start that failed ({trouble})")


def test_one_start_after_the_other_may_fail(instrumented: Build, tally: Tally) -> None:
    """Two of each kind in a row, after each kind of fall."""
    names = list(TROUBLES)
    pairs = [(FALLS[number % 3], (name, names[number - 3])) for number, name in enumerate(names)]
    for number in range(0, len(pairs), 3):
        check_survives(instrumented, tally, pairs[number : number + 3], "durable, after two starts that failed")


FOREIGN = {
    "without the extension": lambda server: postmaster_life(server, REWRITE),
    "in single-user mode": lambda server: single_user_life(server, REWRITE, killed=True),
}


@pytest.mark.parametrize("life", FOREIGN)
@pytest.mark.parametrize("fall", FALLS)
@pytest.mark.parametrize("trouble", ["a typo in pg_hba.conf", "a recovery that fails"])
def test_a_start_that_failed_does_not_hide_a_foreign_one(
    instrumented: Build, tally: Tally, trouble: str, fall: Fall, life: str
) -> None:
    check_not_hidden(instrumented, tally, trouble, fall, life, FOREIGN[life])


def test_a_start_that_failed_does_not_hide_a_foreign_one_that_took_no_checkpoint(
    instrumented: Build, tally: Tally
) -> None:
    """It was killed, and has only noted that it was in production."""
    life = lambda server: postmaster_life(server, REWRITE[:1])  # noqa: E731
    name = "without the extension, killed before its first checkpoint"
    check_not_hidden(instrumented, tally, "a typo in pg_hba.conf", Fall.FAST, name, life)


def check_not_hidden(
    build: Build, tally: Tally, trouble: str, fall: Fall, name: str, life: Callable[[Cluster], object]
) -> None:
    """A start fails, then the server lives that life: backups are lost, and for that reason."""
    with scene(build, tally) as here:

        def fail_and_live() -> None:
            fail_to_start(here.origin, trouble)
            life(here.origin)

        read_reserve(here.session)
        here.backups.start("a")
        but = f"a start that failed, and then a life {name}"
        cross = lambda: here.backups.fall(fall, Hazard.ABSENCE, but=but, while_down=fail_and_live, compare=False)  # noqa: E731
        snapshot = copy_while(here.origin, here.copies / "copy", [lambda: None, cross], Pace(rounds=1))
        check_lost_or_whole(here, tally, "a", snapshot, ABSENCE)
