"""Whatever is done to a server that is down, and whatever lives it has in between, in any order: no wrong yes.

Programs that come with PostgreSQL, starts that fail or are killed, lives with the extension and without. Sequences that
developers thought of are in ``test_offline_tools.py``.
"""

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.faults.foreign import NOT_DURABLE, WITHOUT, single_user_life
from harness.faults.offline import force_reset, remove_wal
from harness.restore.snapshot import Pace
from harness.restore.workload import transfers
from harness.server.checksums import set_checksums, toggle_checksums
from harness.server.cluster import Cluster, ClusterError
from harness.server.durable import configured, resumed
from harness.server.session import SqlError
from properties.durable.judged import check_no_wrong_yes
from properties.durable.lockstep import (
    LONG_GAP,
    DurableServer,
    Fall,
    archive_by_hand,
    change,
    durable_server,
    read_reserve,
)
from properties.durable.troubles import fail_to_start
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK, examples
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

REWRITE = ("UPDATE reserve SET ballast = repeat('f', 100) WHERE part % 2 = 1", "CHECKPOINT")
REFUSED = re.compile(r"pg_\w+ (refused|did not switch)")
"""By a program, which says what to do first."""
PROTECTED = {"full_page_writes": "on"}
Work = Callable[[Cluster], object]


def live(server: Cluster, values: dict[str, str], *, kind: str, await_backups: bool = False) -> None:
    """A life with these settings, in which pages are written, and that ends so."""
    with configured(server, values):
        server.start()
        session = resumed(server) if await_backups else server.connect()
        for statement in REWRITE:
            session.execute(statement)
        session.close()
        server.go_down(kind)


def remove_archived_wal(server: Cluster) -> None:
    """WAL that was not archived before is for ``test_unarchived_wal.py``."""
    archive_by_hand(server)
    remove_wal(server)


def fail_to_add_checksums(server: Cluster) -> None:
    """pg_checksums comes to a file that it cannot read, and has written others; or there are checksums already."""
    unreadable = max(file for file in (server.data_dir / "base" / "1").iterdir() if file.name.isdigit())
    unreadable.chmod(0)
    try:
        with pytest.raises(ClusterError, match=REFUSED):
            set_checksums(server, on=True)
    finally:
        unreadable.chmod(0o600)


WORKS: dict[str, Work] = {
    "pg_resetwal -f": force_reset,
    "pg_resetwal -f -e 1": partial(force_reset, options=("-e", "1")),
    "pg_checksums": toggle_checksums,
    "pg_checksums that fails": fail_to_add_checksums,
    "pg_archivecleanup in pg_wal": remove_archived_wal,
    "a start that fails": fail_to_start,
    "a life": partial(live, values={}, kind="fast", await_backups=True),
    "a life, killed at once": partial(live, values={}, kind="crash"),
    "a life, shut down at once": partial(live, values={}, kind="fast"),
    "a life without the extension": partial(live, values=WITHOUT, kind="fast"),
    "a life without the extension, killed": partial(live, values=WITHOUT | PROTECTED, kind="crash"),
    "a life with durable off, killed": partial(live, values=NOT_DURABLE, kind="crash"),
    "single-user mode": partial(single_user_life, statements=REWRITE, killed=False, settings={}),
    "single-user mode without the extension": partial(single_user_life, statements=REWRITE, killed=False),
    "single-user mode without the extension, killed": partial(single_user_life, statements=REWRITE, killed=True),
}
HARMLESS = {
    *("pg_checksums that fails", "a start that fails", "a life", "a life, killed at once", "a life, shut down at once"),
}
"""After these alone, a backup is never refused."""


def go_through(here: DurableServer, fall: Fall, works: list[str]) -> None:
    """The server goes down, that is done, and it starts again."""
    here.session.close()
    here.origin.go_down(fall.kind)
    for name in works:
        try:
            WORKS[name](here.origin)
        except ClusterError as error:
            if not REFUSED.match(str(error)):
                raise
            note(f"{name} is refused")
    here.origin.start()
    here.backups.session = resumed(here.origin)


def go_without_checksums(here: DurableServer) -> None:
    """From here on, pages have none."""
    here.session.close()
    here.origin.stop()
    set_checksums(here.origin, on=False)
    here.origin.start()
    here.backups.session = resumed(here.origin)


def carry_out(here: DurableServer, fall: Fall, works: list[str], tally: Tally, counts: Counter[str]) -> None:
    """Takes a backup meanwhile, and asks for its files."""
    read_reserve(here.session)
    here.backups.start("a")
    turns: list[Callable[[], object]] = [
        *here.backups.does(transfers, change(0), chance=Random(1)),
        partial(go_through, here, fall, works),
        lambda: None,
    ]
    what = ", ".join(works)
    try:
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
    except (ClusterError, SqlError):  # WAL was thrown away that pages needed: then there is nobody who could say yes
        assert any("pg_resetwal" in name for name in works), what
        counts["beyond use"] += 1
        return
    reason = check_no_wrong_yes(here, tally, "a", snapshot, what)
    assert reason is None or not HARMLESS.issuperset(works), f"after {what} it is refused: {reason}"
    counts["whole" if reason is None else "refused"] += 1


def test_no_work_on_a_server_that_is_down_makes_a_wrong_yes(instrumented: Build, tally: Tally) -> None:
    counts: Counter[str] = Counter()
    falls = st.sampled_from([Fall.FAST, Fall.FAST, Fall.IMMEDIATE, Fall.POSTMASTER])

    # what takes many seconds each is not made smaller: it is small
    @settings(max_examples=examples(1 / 100, at_least=1, at_most=200), phases=UNSHRUNK)
    @given(falls, st.lists(st.sampled_from(sorted(WORKS)), min_size=2, max_size=4), st.booleans())
    def take_and_restore(fall: Fall, works: list[str], checksums: bool) -> None:
        note(f"{fall}: {works}, {checksums=}")
        with durable_server(instrumented, tally, LONG_GAP) as here:
            if not checksums:
                go_without_checksums(here)
            carry_out(here, fall, works, tally, counts)

    take_and_restore()
    tally.notes.append(f"durable, any work while down: {', '.join(f'{what}: {n}' for what, n in counts.items())}")
