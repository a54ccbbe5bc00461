"""full_page_writes may be turned off while crash recovery is ending, and then no WAL tells: the pages do.

What the WAL says of the setting is not enough to know that the gap was protected. Each record of it is looked at: who
changed a page that the WAL does not have as a whole since the gap began?
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from random import Random
from types import MappingProxyType

import pytest

from harness.building.build import Build
from harness.faults.halted import TooLateError, start_with_reload_at_the_end_of_recovery
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import transfers
from harness.server.checksums import set_checksums
from harness.server.cluster import Cluster
from harness.server.controldata import CHECKPOINT, control_data
from harness.server.durable import resumed
from harness.server.injection_points import InjectionPoints
from harness.server.programs import run_program
from harness.server.session import Session
from model.operations import Hazard
from properties.durable.every_kind import EVERYTHING, kinds_flaws, prepare_kinds
from properties.durable.handmade import control_file_of_another
from properties.durable.judged import check_lost_or_whole
from properties.durable.lockstep import LONG_GAP, DurableServer, Fall, durable_server, read_reserve
from properties.durable.losses import FULL_PAGE_WRITES, PageWrites
from properties.recording.tally import Tally
from properties.support.restoring import TORN, check_refusal, check_restore, label_file_by_hand
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

FALLS = (Fall.IMMEDIATE, Fall.POSTMASTER)
TRIES = 8
"""Of holding the end of recovery: a start can be faster than who would hold it."""
PATIENCE = 30.0
CHANGE = "UPDATE reserve SET ballast = repeat('g', 100) WHERE part % 2 = 1"
"""Of pages that no WAL of the backup has."""
LONG_RECOVERY = "UPDATE reserve SET ballast = repeat('{0}', 100) WHERE part % 2 = 0"
WAL_SINCE = (
    "SELECT upto::text, pg_walfile_name(%s::pg_lsn), pg_walfile_name(upto - 1::numeric)"
    " FROM pg_current_wal_flush_lsn() upto"
)
"""Where WAL ends, and the segments from the first to the last; unless told, pg_waldump takes any for the first."""
FLUSH = "SELECT pg_logical_emit_message(true, 'gap', '')"
PARAMETER = "SELECT setting FROM pg_settings WHERE name = 'full_page_writes'"


class Hints(StrEnum):
    """What becomes of hints, which are in the WAL only if the server cannot do without."""

    CHECKSUMS = "with checksums"
    LOGGED = "without checksums, with wal_log_hints"
    UNLOGGED = "without checksums"

    @property
    def settings(self) -> dict[str, str]:
        """Those of such a server."""
        return {**LONG_GAP, "wal_log_hints": "on" if self is Hints.LOGGED else "off"}


def unlogged(setting: PageWrites) -> str:
    """What is wrong if it is read at the end of recovery, in the words of the report."""
    return "" if setting is PageWrites.ON else f"full_page_writes {setting} at the end of recovery, not logged"


def told_in_wal(server: Cluster, session: Session, since: str) -> bool:
    """Does the WAL since then tell of a change of full_page_writes?"""
    session.execute(FLUSH)
    end, *segments = session.execute(WAL_SINCE, (since,))[0]
    where = ["--path", server.data_dir / "pg_wal", "--start", since, "--end", end, *segments]
    said = run_program(server, "pg_waldump", "--rmgr", "XLOG", *where)
    assert said.stdout, said.stderr
    return "FPW_CHANGE" in said.stdout


def fall(
    here: DurableServer, fall: Fall, setting: PageWrites, in_the_gap: Callable[[Session], object], at_its_end: str
) -> None:
    """The server falls, and comes up with that setting at the end of recovery; this is done in the gap, unnoticed.
    Then the setting may be on again, and a statement is executed.

    Raises TooLateError if it did not come about.
    """
    server, backups = here.origin, here.backups
    InjectionPoints(backups.session).attach("resume-begun")
    backups.session.execute("SELECT shared_backup_injection_points_keep()")
    backups.session.close()
    server.go_down(fall.kind)
    value = "on" if setting is PageWrites.ON else "off"
    start_with_reload_at_the_end_of_recovery(server, lambda: server.configure({"full_page_writes": value}))
    since = control_data(server)[CHECKPOINT]
    points = InjectionPoints(server.connect())
    assert points.arrived("resume-begun")
    session = points.session
    assert session.execute(PARAMETER) == [(value,)]
    if told_in_wal(server, session, since):
        raise TooLateError("the checkpointer has read the setting when recovery was over")
    in_the_gap(session)
    if setting is PageWrites.OFF_AND_ON:
        server.configure({"full_page_writes": "on"})
        server.reload(sessions=[session])
        server.wait_until(lambda: told_in_wal(server, session, since), PATIENCE, "full_page_writes to be on")
    session.execute(at_its_end)
    points.detach()
    session.close()
    hazard = None if setting is PageWrites.ON else Hazard.PAGE_WRITES_OFF
    backups.crossed(fall, hazard, unlogged(setting), compare=setting is PageWrites.ON)


@contextmanager
def crossed(
    build: Build,
    tally: Tally,
    setting: PageWrites,
    how: Fall,
    in_the_gap: Callable[[Session], object],
    hints: Hints,
    settings: Mapping[str, str] = MappingProxyType({}),
    at_its_end: str = FLUSH,
) -> Iterator[tuple[DurableServer, Snapshot, str]]:
    """A server whose backup has crossed that, the copy, half of which was made before and half after, and a label file
    made by hand. Tried until it comes about."""
    for _ in range(TRIES):
        try:
            with durable_server(build, tally, {**hints.settings, **settings}) as here:
                if hints is not Hints.CHECKSUMS:
                    without_checksums(here)
                prepare_kinds(here.session)
                read_reserve(here.session)
                here.backups.start("a")
                labelfile = label_file_by_hand(here.session, "standby")
                turns: list[Callable[[], object]] = [
                    lambda: None,
                    lambda: long_recovery(here),
                    lambda: fall(here, how, setting, in_the_gap, at_its_end),
                    lambda: None,
                ]
                snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
                yield here, snapshot, labelfile
                return
        except TooLateError as error:
            tally.notes.append(f"durable: tried again: {error}")
    pytest.fail(f"the end of recovery could not be held in {TRIES} tries")


def without_checksums(here: DurableServer) -> None:
    """The server has none from now on."""
    here.session.close()
    here.origin.stop()
    set_checksums(here.origin, on=False)
    here.origin.start()
    here.backups.session = resumed(here.origin)


def long_recovery(here: DurableServer) -> None:
    """Much is written that no checkpoint has seen."""
    transfers(here.session, Random(0))
    for letter in "abcdefgh":
        here.session.execute(LONG_RECOVERY.format(letter))


@pytest.mark.parametrize("how", FALLS)
@pytest.mark.parametrize(
    ("setting", "at_its_end"),
    [(PageWrites.OFF, FLUSH), (PageWrites.OFF_AND_ON, FLUSH), (PageWrites.OFF_AND_ON, "CHECKPOINT")],
    ids=["off", "off and on again", "off and on again, and a checkpoint"],
)
def test_pages_that_are_written_without_an_image_in_the_gap_lose_the_backup(
    instrumented: Build, tally: Tally, setting: PageWrites, at_its_end: str, how: Fall
) -> None:
    """... whether or not the WAL tells of the setting. The same copy, handed out nevertheless, is torn."""
    write = lambda session: session.execute(CHANGE)  # noqa: E731
    crossing = crossed(instrumented, tally, setting, how, write, Hints.CHECKSUMS, at_its_end=at_its_end)
    with crossing as (here, snapshot, labelfile):
        here.origin.configure({"full_page_writes": "on"})
        here.origin.reload(sessions=[here.session])
        check_lost_or_whole(here, tally, "a", snapshot, FULL_PAGE_WRITES)
        files, survival_case = control_file_of_another(here, labelfile), here.backups.survival_cases["a"]
        scenario = f"control: durable, {unlogged(setting)}, with files made by hand"
        check_refusal(tally, scenario, here.origin, snapshot, files, TORN, survival_case=survival_case)


def test_images_that_are_only_to_be_compared_protect_no_page(instrumented: Build, tally: Tally) -> None:
    """Those that wal_consistency_checking adds: recovery does not apply them."""
    write = lambda session: session.execute(CHANGE)  # noqa: E731
    how, settings = (PageWrites.OFF, Fall.IMMEDIATE), {"wal_consistency_checking": "all"}
    with crossed(instrumented, tally, *how, write, hints=Hints.UNLOGGED, settings=settings) as (here, snapshot, _):
        here.origin.configure({"full_page_writes": "on"})
        here.origin.reload(sessions=[here.session])
        check_lost_or_whole(here, tally, "a", snapshot, FULL_PAGE_WRITES)


@pytest.mark.parametrize("hints", Hints)
def test_whatever_is_written_in_a_protected_gap_loses_nothing(
    instrumented: Build, tally: Tally, hints: Hints, exhaustive: bool
) -> None:
    """The same start, with the setting on: not every record that changes a page has an image of it, or needs one."""
    for how in FALLS if exhaustive else [FALLS[[*Hints].index(hints) % 2]]:
        check_protected(instrumented, tally, hints, how, exhaustive)


def check_protected(build: Build, tally: Tally, hints: Hints, how: Fall, to_the_end: bool) -> None:
    """After much has been written in such a gap, the copy is restored whole, with the WAL after the stop if so told."""

    def write(session: Session) -> None:
        chance = Random(3)
        for step in EVERYTHING:
            step(session, chance)

    with crossed(build, tally, PageWrites.ON, how, write, hints) as (here, snapshot, _):
        stopped = here.backups.stop("a")
        here.backups.archive()
        scenario = f"durable, much written in the gap, {hints}"
        taken, survival_case = (here.origin, snapshot, stopped.files), here.backups.survival_cases["a"]
        look = lambda copy: kinds_flaws(here.origin, copy)  # noqa: E731
        for end in (False, True) if to_the_end else (False,):
            check_restore(
                *(tally, scenario, *taken),
                restorable=stopped.restorable,
                to_the_end=end,
                look=look,
                survival_case=survival_case,
            )
