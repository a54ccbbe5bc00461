"""A durable backup of a standby that cannot be vouched for is not handed out, and its stop says why.

And what core does not notice on a standby: its own stop says yes, and the copy is torn.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, STOCK
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace
from harness.restore.workload import checkpoint, switch_wal, transfers
from harness.schema.campaign import SurvivalCase
from harness.server.cluster import Cluster, open_standby
from harness.server.durable import STATE_DIR, configured, resumed
from harness.server.injection_points import InjectionPoints
from harness.server.node import leave_signal
from harness.server.probes import set_full_page_writes
from harness.server.programs import run_program
from harness.server.replay import await_replay
from harness.server.session import SqlError
from properties.durable.lockstep import PARTS, REFUSED, DurableLockstep, Fall, change, read_reserve
from properties.durable.losses import ABSENCE, CALLS, LABEL, START, TIMELINE, check_lost
from properties.durable.standbys import DESIGN, PROMOTION, DurableStandby, durable_standby
from properties.recording.tally import Tally
from properties.support.counts import SETTLE
from properties.support.restoring import TORN, check_refusal
from properties.support.server_lockstep import copy_while, live

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

NO_IMAGES = '"full_page_writes" was off for a while on the primary.'
UNSEEN = "The WAL that this standby has replayed, which would show whether all pages were protected, could not be read."
NO_STANDBY = "backup_label contains data inconsistent with control file"
NOT_WHOLE = f"{TORN}|rows of the ledger"
PATIENCE = 30.0  # seconds


# The primary


def switched_off_for_a_while(here: DurableStandby) -> None:
    """By a reload, of which there is a record in the WAL, and no checkpoint."""
    primary, writer = here.pair.primary, here.pair.writer
    [(since,)] = writer.execute("SELECT pg_current_wal_flush_lsn()::text")
    for number, on in enumerate(("off", "on"), start=1):
        primary.configure({"full_page_writes": on})
        primary.reload(sessions=[writer])
        told = partial(changes_of_full_page_writes, primary, since)
        primary.wait_until(lambda: told() == number, PATIENCE, "full_page_writes to be changed")  # noqa: B023
        writer.execute("UPDATE reserve SET ballast = repeat('s', 100) WHERE part = 7")


def changes_of_full_page_writes(server: Cluster, since: str) -> int:
    """How many records there are of it, from that WAL location on."""
    waldump = run_program(server, "pg_waldump", "-p", server.data_dir / "pg_wal", "-s", since, "-r", "XLOG")
    return waldump.stdout.count("FPW_CHANGE")


def restarted_without(here: DurableStandby) -> None:
    """No record says so; the next checkpoint does."""
    with configured(here.pair.primary, {"full_page_writes": "off"}):
        reconnect(here)
        checkpoint(here.pair.writer, here.pair.chance)
        change(PARTS - 1)(here.pair.writer, here.pair.chance)
    reconnect(here)


def restarted_without_until_a_reload(here: DurableStandby) -> None:
    """No record and no checkpoint says so: only the pages do, also after a record that is about something else."""
    with configured(here.pair.primary, {"full_page_writes": "off"}):
        reconnect(here)
        here.pair.writer.execute("SELECT pg_create_restore_point('restarted')")
        here.pair.writer.execute(f"UPDATE reserve SET ballast = repeat('u', 100) WHERE part = {PARTS - 1}")
    here.pair.primary.reload(sessions=[here.pair.writer])
    set_full_page_writes(here.pair.primary, here.pair.writer, on=True)


def reconnect(here: DurableStandby) -> None:
    """Restarts the primary; the one who writes there comes back."""
    here.pair.writer.close()
    here.pair.primary.restart()
    here.pair = replace(here.pair, writer=here.pair.primary.connect())


CARELESS = (switched_off_for_a_while, restarted_without, restarted_without_until_a_reload)


UP, RESTARTED, DOWN = "while the standby is up", "before the standby is restarted", "while it is down"
CASES = (
    *((careless, UP) for careless in CARELESS),
    (restarted_without_until_a_reload, RESTARTED),
    (switched_off_for_a_while, DOWN),
)


@pytest.mark.parametrize(("careless", "when"), CASES)
def test_a_primary_that_wrote_without_full_pages_is_found_out(
    instrumented: Build, tally: Tally, careless: Callable[[DurableStandby], None], when: str
) -> None:
    """Whether or not the standby is restarted, and whether or not somebody looked."""
    with durable_standby(instrumented, tally) as here:
        here.backups.start(LABEL)
        here.write()
        here.pair.writer.execute("VACUUM")  # so that whoever connects finds no page to prune
        if when == DOWN:
            here.backups.session.close()
            here.pair.standby.stop()
            careless(here)
            here.pair.standby.start()
            here.backups.session = resumed(here.pair.standby)
        else:
            careless(here)
        here.write()
        if when == RESTARTED:
            here.backups.session.close()
            here.pair.standby.restart()
            here.backups.session = resumed(here.pair.standby)
            check_lost(here.backups.session, tally, name_of(careless), NO_IMAGES, Fall.FAST, design=DESIGN)
            return
        with pytest.raises(SqlError) as refusal:
            here.backups.session.execute(CALLS["stop"])
        assert (refusal.value.sqlstate, refusal.value.detail) == (REFUSED, NO_IMAGES), refusal.value
        assert live(here.pair.standby, DURABLE) == set(), "the backup is still there"
        # failed if the stop found it out, lost if the reaper was first
        assert here.backups.session.execute("SELECT aborted, failed + lost FROM shared_backup_stats") == [(0, 1)]
        going_on(here)


@pytest.mark.parametrize("careless", CARELESS[1:])
def test_core_hands_out_a_torn_copy_if_the_primary_was_restarted_without_full_pages(
    instrumented: Build, tally: Tally, careless: Callable[[DurableStandby], None]
) -> None:
    """The negative control: what the backup would have been that is refused."""
    with durable_standby(instrumented, tally) as here:
        here.pair.writer.execute("VACUUM")
        read_reserve(here.pair.writer)
        here.pair.catch_up()
        session = here.pair.standby.connect()
        session.execute("SELECT pg_backup_start('core', true)")
        turns = [lambda: None, lambda: careless(here), lambda: here.pair.catch_up()]
        snapshot = copy_while(here.pair.standby, here.copies / "copy", turns, Pace(rounds=1))
        lsn, labelfile, spcmapfile = session.execute("SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(false)")[0]
        session.close()
        here.archive()
        files = BackupFiles(str(lsn), str(labelfile), str(spcmapfile))
        scenario = f"control: core's own of a standby, {name_of(careless)}"
        case = SurvivalCase(STOCK.name, (), name_of(careless))
        check_refusal(tally, scenario, here.pair.primary, snapshot, files, NOT_WHOLE, survival_case=case)


def test_a_primary_may_be_restarted_as_long_as_it_writes_full_pages(instrumented: Build, tally: Tally) -> None:
    """Between its restart and its next checkpoint, the pages tell."""
    with durable_standby(instrumented, tally) as here:
        here.backups.start(LABEL)
        turns = [here.write, lambda: reconnect(here), here.write, lambda: here.happens(Fall.IMMEDIATE), here.write]
        snapshot = copy_while(here.pair.standby, here.copies / "copy", turns, Pace(rounds=1))
        stopped = here.backups.stop(LABEL)
        here.archive()
        assert here.check(LABEL, snapshot, stopped) > 0


# The WAL that has to be looked at


def without_the_record(here: DurableStandby) -> None:
    """What was looked at is not known any more."""
    (here.pair.standby.data_dir / STATE_DIR / "standby").unlink()


def without_the_wal(here: DurableStandby) -> None:
    """... and the WAL from the start is gone, but for what recovery begins with."""
    without_the_record(here)
    segments = sorted((here.pair.standby.data_dir / "pg_wal").glob("0000000100000000000000??"))
    for segment in segments[:2]:
        segment.unlink()


@pytest.mark.parametrize(("gone", "lost"), [(without_the_record, False), (without_the_wal, True)])
def test_wal_is_looked_at_again_if_nobody_knows_what_it_says(
    instrumented: Build, tally: Tally, gone: Callable[[DurableStandby], None], lost: bool
) -> None:
    with durable_standby(instrumented, tally) as here:
        here.backups.start(LABEL)
        for _ in range(4):
            here.write()
            switch_wal(here.pair.writer, here.pair.chance)
        here.pair.catch_up()
        here.backups.session.close()
        here.pair.standby.stop()
        gone(here)
        here.pair.standby.start()
        session = here.backups.session = resumed(here.pair.standby)
        if lost:
            check_lost(session, tally, "WAL of the standby removed", UNSEEN, Fall.FAST, design=DESIGN)
        else:
            assert here.backups.stop(LABEL).restorable


def test_wal_is_kept_only_until_it_has_been_looked_at(instrumented: Build, tally: Tally) -> None:
    """A standby that is restarted keeps what it has not looked at; and nothing when no backup is open."""
    with durable_standby(instrumented, tally, wal_keep_size="0") as here:
        here.backups.start(LABEL)
        session, slot = here.backups.session, "SELECT restart_lsn FROM pg_replication_slots"
        [(begun,)] = session.execute(slot)
        for _ in range(3):
            here.write()
            switch_wal(here.pair.writer, here.pair.chance)
        here.pair.catch_up()
        here.backups.fall(Fall.FAST)
        session = here.backups.session
        behind = "SELECT restart_lsn > %s::pg_lsn FROM pg_replication_slots"
        assert session.execute(behind, (begun,)) == [(True,)], "what has been looked at is still kept"
        here.backups.stop(LABEL)
        session.execute(SETTLE)
        assert session.execute(slot) == [], "no backup is open, and WAL is kept"


def test_no_wal_is_kept_by_a_server_whose_backups_are_not_durable_any_more(instrumented: Build, tally: Tally) -> None:
    """Nobody looks at it, and it would fill the disk."""
    with durable_standby(instrumented, tally) as here:
        here.backups.start(LABEL)
        here.backups.session.close()
        here.pair.standby.stop()
        with configured(here.pair.standby, {"shared_backup.durable": "off"}):
            here.pair.standby.start()
        session = here.backups.session = here.pair.standby.connect()
        session.execute(SETTLE)
        assert session.execute("SELECT slot_name FROM pg_replication_slots") == []
        tally.steps += 2


# Starts that are none of a standby's


@dataclass(frozen=True)
class Start:
    """Another start of the standby, in between."""

    name: str
    happen: Callable[[DurableStandby], None]
    detail: str


def without_the_library(here: DurableStandby) -> None:
    """As a standby, but nobody looks."""
    with configured(here.pair.standby, {"shared_preload_libraries": ""}):
        here.pair.standby.start()
    here.pair.standby.stop()


def promoted_while_down(here: DurableStandby) -> None:
    """It recovers, and becomes a primary before anybody has told core of the backups."""
    here.pair.primary.stop()
    (here.pair.standby.data_dir / "standby.signal").unlink()
    leave_signal(here.pair.standby.data_dir, "recovery.signal", here.pair.standby.user)
    here.pair.standby.configure({"restore_command": "false", "primary_conninfo": "", "hot_standby": "off"})


def promoted_and_killed(here: DurableStandby) -> None:
    """The same, and it goes down before the backups are back."""
    standby = here.pair.standby
    standby.start()
    points = InjectionPoints(standby.connect())
    points.attach("resume-begun")
    points.session.execute("SELECT shared_backup_injection_points_keep()")
    points.session.close()
    standby.stop()
    promoted_while_down(here)
    standby.start()
    points = InjectionPoints(standby.connect())
    assert points.arrived("resume-begun")
    points.session.close()
    standby.crash()


def made_a_primary_by_hand(here: DurableStandby) -> None:
    """Without its signal file it goes on on the timeline of its primary."""
    here.pair.primary.stop()
    (here.pair.standby.data_dir / "standby.signal").unlink()


STARTS = (
    Start("run without the library", without_the_library, ABSENCE),
    Start("promoted while it was down", promoted_while_down, TIMELINE),
    Start("promoted while it was down, and killed", promoted_and_killed, TIMELINE),
    Start("made a primary by hand", made_a_primary_by_hand, TIMELINE),
)


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.name)
def test_what_happened_while_a_standby_was_down_is_found_out(instrumented: Build, tally: Tally, start: Start) -> None:
    with durable_standby(instrumented, tally) as here:
        here.backups.start(LABEL)
        here.write()
        here.backups.session.close()
        here.pair.standby.stop()
        start.happen(here)
        here.pair.standby.start()
        session = here.backups.session = resumed(here.pair.standby)
        check_lost(session, tally, f"a standby {start.name}", start.detail, Fall.FAST, design=DESIGN)


def test_a_standby_that_follows_another_primary_loses_its_backups(instrumented: Build, tally: Tally) -> None:
    """That one need not write an image of a page that it changed last before the start point."""
    with durable_standby(instrumented, tally) as here, ExitStack() as stack:
        behind = stack.enter_context(open_standby(here.pair.standby, settings={"recovery_target_timeline": "latest"}))
        session = resumed(behind)
        await_replay(behind, here.pair.writer, session)
        session.execute(START, (None,))
        here.happens(PROMOTION)
        transfers(here.backups.session, here.pair.chance)
        await_replay(behind, here.backups.session, session)
        with pytest.raises(SqlError) as refusal:
            session.execute(CALLS["stop"])
        assert (refusal.value.sqlstate, refusal.value.detail) == (REFUSED, TIMELINE), refusal.value
        session.close()


def test_the_backup_of_a_primary_is_unknown_on_the_standby_that_takes_its_place(
    instrumented: Build, tally: Tally
) -> None:
    """A copy of the old primary's files cannot be stopped on the new one."""
    with durable_standby(instrumented, tally) as here:
        here.pair.writer.execute(START, (None,))
        here.happens(PROMOTION)
        with pytest.raises(SqlError) as refusal:
            here.backups.session.execute(CALLS["stop"])
        assert refusal.value.sqlstate == "42704", refusal.value


def test_a_copy_over_a_promotion_is_not_restored_without_its_control_file(instrumented: Build, tally: Tally) -> None:
    """Core has made that of the new primary, and its own is the one of no standby."""
    with durable_standby(instrumented, tally) as here:
        here.backups.start(LABEL)
        snapshot = here.copy([PROMOTION], Pace(rounds=1))
        stopped = here.backups.stop(LABEL)
        here.archive()
        assert here.check(LABEL, snapshot, stopped) > 0
        bare = replace(stopped.files, controlfile=None)
        case = here.backups.survival_cases[LABEL].with_fault("a standby's, without its control file")
        scenario = "control: standby, durable, across its promotion, without its control file"
        check_refusal(tally, scenario, here.origin, snapshot, bare, NO_STANDBY, survival_case=case)


def test_core_protects_the_pages_of_a_promoted_server(instrumented: Build, tally: Tally) -> None:
    """Also those of a backup that had crossed a restart before, and whatever full_page_writes is."""
    with durable_standby(instrumented, tally) as here:
        read_reserve(here.pair.writer)
        here.pair.catch_up()
        here.backups.start(LABEL)
        events = [lambda: here.happens(Fall.FAST), lambda: here.happens(PROMOTION), here.core_alone]
        last = lambda: change(PARTS - 1)(here.backups.session, here.pair.chance)  # noqa: E731
        snapshot = copy_while(here.pair.standby, here.copies / "copy", [*events, last], Pace(rounds=1))
        stopped = here.backups.stop(LABEL)
        here.archive()
        assert here.check(LABEL, snapshot, stopped) > 0


def going_on(here: DurableStandby) -> None:
    """Another backup, under the same label, is taken and restored."""
    here.write(checkpoint)
    here.backups = DurableLockstep(here.pair.standby, here.backups.tally, DESIGN)
    here.backups.start(LABEL)
    snapshot = here.copy([], Pace(rounds=1))
    stopped = here.backups.stop(LABEL)
    here.archive()
    here.check(LABEL, snapshot, stopped)


def name_of(careless: Callable[[DurableStandby], None]) -> str:
    """In the words of the report."""
    return f"a standby's, whose primary was {careless.__name__.replace('_', ' ')}"
