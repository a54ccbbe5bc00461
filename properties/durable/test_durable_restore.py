"""A durable backup that has crossed restarts is as good as any: it is restored, and compared row by row.

Recovery of a copy that was made on a primary gives up at the first restart that it meets. So such a backup is handed
out as that of a standby would be, with a control file; the negative controls show what each part of that is for.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, note, settings

from harness.building.build import Build
from harness.restore.restore import BackupFiles, restored
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import Step, archive_all, big_update, checkpoint, open_transactions, switch_wal, transfers
from harness.server.cluster import Cluster
from harness.server.probes import set_full_page_writes
from harness.server.session import Session
from model.operations import Hazard
from properties.durable.crossings import UNPROTECTED, Course, CrossedBackup, CrossingsPlan, looking, plans
from properties.durable.handmade import control_file_of_another
from properties.durable.lockstep import (
    LONG_GAP,
    DurableLockstep,
    DurableServer,
    Fall,
    archiving,
    change,
    durable_server,
)
from properties.durable.losses import FULL_PAGE_WRITES, PageWrites
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK, examples
from properties.support.restoring import NO_CHECKPOINT, TORN, check_refusal, check_restore, label_file_by_hand
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

TOO_EARLY = "requested recovery stop point is before consistent recovery point"
NO_STANDBY = "backup_label contains data inconsistent with control file"
CANCELED = "online backup was canceled, recovery cannot continue"
"""What a server says of a copy."""
NOT_WHOLE = f"{TORN}|rows of the ledger"

UNREADABLE = (
    "The WAL from after the restart of the server, which would show whether all pages were protected,"
    " could not be read."
)
SEGMENTS = 4
"""Of WAL, in a gap: more than a server with the settings of the bench keeps for a checkpoint or two."""

CHANGES: tuple[Step, ...] = (checkpoint, big_update, transfers, checkpoint, big_update, transfers, checkpoint)
"""Pages all over are changed, and written to their files."""


WRONG = {
    PageWrites.ON: "",
    PageWrites.OFF: UNPROTECTED,
    PageWrites.OFF_AND_ON: "full_page_writes off for a while after the restart",
}
"""What is wrong with full_page_writes in the gap, in the words of the report."""


def test_a_durable_backup_is_restored_as_it_was_at_its_stop(instrumented: Build, tally: Tally) -> None:
    """Whatever restarts it has crossed, and whatever has been written meanwhile and in the gap after each of them."""
    counts: list[Course] = []

    # what takes many seconds each is not made smaller: it is small
    @settings(max_examples=examples(1 / 50, at_least=2, at_most=100), phases=UNSHRUNK)
    @given(plans())
    def take_and_restore(plan: CrossingsPlan) -> None:
        gap = LONG_GAP if any(one.held for one in plan.crossings) else {}
        with durable_server(instrumented, tally, gap, tablespace=plan.tablespace) as here:
            course = Course(here, plan)
            course.run()
            note(f"{len(course.taken)} backups were taken, and {len(course.refused)} were lost")
            restore_all(here, course, tally)
            counts.append(course)

    take_and_restore()
    tally.notes.append(summary(counts, tally))


def restore_all(here: DurableServer, course: Course, tally: Tally) -> None:
    """Each backup: to its stop point, beyond it, and to a point before it, which must be refused."""
    for one in course.taken:
        taken = here.origin, one.snapshot, one.files
        at_stop, at_end = looking(one.label, one.prepared), looking(one.label, course.prepared)
        end = f"{one.scenario}, to the end"
        check_restore(
            tally, end, *taken, restorable=one.restorable, to_the_end=True, look=at_end, survival_case=one.survival_case
        )
        if one.files.stop_lsn is not None:
            check_restore(
                tally, one.scenario, *taken, restorable=one.restorable, look=at_stop, survival_case=one.survival_case
            )
        if one.label is not None:
            again = here.backups.stop(one.label)
            assert again.files == one.files, "asked again, another restart later, stop says something else"
        if one.crossed:
            early = here.origin, one.snapshot, replace(one.files, stop_lsn=one.early)
            survival_case = one.survival_case.with_fault("restored to a point just before the stop")
            check_refusal(
                tally,
                "control: durable, to a point just before the stop",
                *early,
                TOO_EARLY,
                survival_case=survival_case,
            )
    if crossed := [one for one in course.taken if one.crossed]:
        go_on(here, crossed[-1], tally, course.plan.seed)


def go_on(here: DurableServer, one: CrossedBackup, tally: Tally, seed: int) -> None:
    """A restored server is written to and backed up again, across a crash of its own; that backup is restored, too."""
    protected = {"full_page_writes": "on"}
    with restored(here.origin, one.snapshot, one.files, archive=True, settings=protected) as heir:
        backups, chance = DurableLockstep(heir, tally), Random(seed)
        assert one.label is not None
        backups.start(one.label)
        before = backups.does(transfers, big_update, checkpoint, chance=chance)
        after = backups.does(big_update, transfers, checkpoint, transfers, chance=chance)
        turns = [*before, lambda: backups.fall(chance.choice([*Fall])), *after]
        snapshot = copy_while(heir, here.copies / "heir", turns, Pace(seed))
        stopped = backups.stop(one.label)
        prepared = open_transactions(backups.session)
        transfers(backups.session, chance)
        backups.archive()
        scenario, look = "durable, of a restored server, across a restart", looking(one.label, prepared)
        taken, survival_case = (heir, snapshot, stopped.files), backups.survival_cases[one.label]
        check_restore(
            tally, scenario, *taken, restorable=stopped.restorable, timeline=2, look=look, survival_case=survival_case
        )


def summary(courses: list[Course], tally: Tally) -> str:
    """What there was."""
    kinds = Counter(crossing.fall for course in courses for crossing in course.plan.crossings)
    across = [one for one in tally.restores if "across" in one.scenario]
    return (
        f"durable: {len(across)} restores across restarts, {sum(one.as_expected for one in across)} of them whole;"
        f" {sum(len(course.refused) for course in courses)} backups lost, and said to be;"
        f" restarts: {', '.join(f'{kind} ({number})' for kind, number in sorted(kinds.items()))}"
    )


@pytest.mark.parametrize("fall", [Fall.FAST, Fall.BACKEND])
def test_the_wal_of_a_long_gap_is_kept_until_it_has_been_read(instrumented: Build, tally: Tally, fall: Fall) -> None:
    """Telling core takes a checkpoint, which would remove it; unless an earlier one did, the backup goes on."""
    with durable_server(instrumented, tally) as here:
        backups, chance = here.backups, Random(1)

        def write(session: Session) -> None:
            for _ in range(SEGMENTS):
                big_update(session, chance)
                switch_wal(session, chance)
            with archiving(here.origin):
                archive_all(here.origin, session)

        def write_and_have_it_removed(session: Session) -> None:
            write(session)
            for _ in range(2):
                checkpoint(session, chance)

        backups.start("a")
        turns = [lambda: None, lambda: backups.fall(fall, None, write)]
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        stopped = backups.stop("a")
        backups.archive()
        scenario = f"durable, across {fall}, with a long gap"
        taken, survival_case = (here.origin, snapshot, stopped.files), backups.survival_cases["a"]
        check_restore(tally, scenario, *taken, restorable=stopped.restorable, survival_case=survival_case)
        backups.start("b")
        hazard = Hazard.PAGE_WRITES_OFF  # they may have been, for all we know
        backups.fall(Fall.FAST, hazard, write_and_have_it_removed, "WAL from after the restart removed")
        detail = backups.refusal("b").detail
        assert detail == UNREADABLE, detail
        tally.notes.append(f"durable: WAL of the gap removed: stop says: {detail}")


# Negative controls


def taken_across(here: DurableServer, fall: Fall) -> tuple[Cluster, Snapshot, BackupFiles]:
    """A backup across one restart, with load before and after it.

    Core alone protects it: full_page_writes is on during the restart only.
    """
    chance = Random(1)

    def switch(on: bool) -> Callable[[], None]:
        return lambda: set_full_page_writes(here.origin, here.session, on=on)

    here.backups.start("a")
    before = here.backups.does(transfers, change(0), change(0), chance=chance)
    after = here.backups.does(transfers, change(1), change(1), big_update, change(1), chance=chance)
    turns = [switch(False), *before, switch(True), lambda: here.backups.fall(fall), switch(False), *after]
    snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
    stopped = here.backups.stop("a")
    assert stopped.restorable
    here.backups.archive()
    return here.origin, snapshot, stopped.files


@pytest.mark.parametrize("fall", Fall)
def test_a_copy_is_not_restored_without_each_part_of_what_stop_hands_out(
    instrumented: Build, tally: Tally, fall: Fall
) -> None:
    with durable_server(instrumented, tally) as here:
        origin, snapshot, files = taken_across(here, fall)
        taken, across = (origin, snapshot), f"across one restart ({fall})"
        survival_case = here.backups.survival_cases["a"]
        whole = check_restore(
            tally, f"control: durable, {across}, with all files", *taken, files, survival_case=survival_case
        )
        assert whole.torn_pages > 0, "no page of the copy is torn: the load does not test what the backup is for"

        def refused(what: str, wrong: BackupFiles, because: str, *, to_the_end: bool = False) -> None:
            scenario, wrongly = f"control: durable, {across}, {what}", survival_case.with_fault(what)
            check_refusal(tally, scenario, *taken, wrong, because, to_the_end=to_the_end, survival_case=wrongly)

        primary = (files.labelfile or "").replace("BACKUP FROM: standby", "BACKUP FROM: primary")
        refused("without its control file", replace(files, controlfile=None), NO_STANDBY)
        refused("without its label file", replace(files, labelfile=None, controlfile=None), NO_CHECKPOINT)
        refused("with a primary's label file", replace(files, labelfile=primary), CANCELED)
        naive = replace(files, labelfile=primary, controlfile=None)
        refused("with a primary's label file and the control file as copied", naive, CANCELED, to_the_end=True)


def test_the_control_file_of_another_backup_ends_recovery_too_early_or_too_late(
    instrumented: Build, tally: Tally
) -> None:
    """An earlier one lets the server start before the copy is whole, and nothing but the copy tells; a later one keeps
    it from starting until the later backup's stop point. Restored to the end, both are whole."""
    with durable_server(instrumented, tally) as here:
        backups, chance = here.backups, Random(1)
        backups.start("early")
        backups.start("a")
        backups.fall(Fall.FAST)
        early: list[BackupFiles] = []
        turns: list[Callable[[], object]] = [lambda: early.append(backups.stop("early").files)]
        turns += backups.does(*CHANGES, *CHANGES, chance=chance)
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        backups.start("late")
        files = backups.stop("a").files
        transfers(here.session, chance)
        backups.fall(Fall.FAST)
        late = backups.stop("late").files
        backups.archive()
        taken = here.origin, snapshot
        survival_case = backups.survival_cases["a"]
        check_restore(tally, "control: durable, with its own control file", *taken, files, survival_case=survival_case)
        for which, other in (("an earlier", early[0]), ("a later", late)):
            wrong, what = replace(files, controlfile=other.controlfile), f"with {which} control file, to the end"
            wrongly = survival_case.with_fault(what)
            check_restore(tally, f"control: durable, {what}", *taken, wrong, to_the_end=True, survival_case=wrongly)

        def refused(what: str, wrong: BackupFiles, because: str) -> None:
            check_refusal(
                tally, f"control: durable, {what}", *taken, wrong, because, survival_case=survival_case.with_fault(what)
            )

        too_early = replace(files, controlfile=early[0].controlfile, stop_lsn=early[0].stop_lsn)
        refused("with an earlier control file, to its stop point", too_early, ".")
        too_late = replace(files, controlfile=late.controlfile)
        refused("with a later control file, to the own stop point", too_late, TOO_EARLY)


@pytest.mark.parametrize("setting", PageWrites)
def test_what_stop_refuses_for_the_sake_of_the_gap_would_not_be_restored(
    instrumented: Build, tally: Tally, setting: PageWrites
) -> None:
    """full_page_writes off in the gap: the same copy, handed out nevertheless, is torn; with it on, it is whole."""
    with durable_server(instrumented, tally, LONG_GAP) as here:
        backups, chance = here.backups, Random(1)
        backups.start("a")
        labelfile = label_file_by_hand(here.session, "standby")
        if setting is PageWrites.OFF:
            set_full_page_writes(here.origin, here.session, on=False)

        def write(session: Session) -> None:
            if setting is PageWrites.OFF_AND_ON:
                set_full_page_writes(here.origin, session, on=False)
            for step in CHANGES:
                step(session, chance)
            if setting is PageWrites.OFF_AND_ON:
                set_full_page_writes(here.origin, session, on=True)

        hazard = None if setting is PageWrites.ON else Hazard.PAGE_WRITES_OFF
        turns = [lambda: None, lambda: backups.fall(Fall.FAST, hazard, write, WRONG[setting])]
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        set_full_page_writes(here.origin, here.session, on=True)
        if hazard is None:
            backups.stop("a")
        else:
            refusal = backups.refusal("a")
            assert refusal.detail == FULL_PAGE_WRITES, refusal.detail
            tally.notes.append(f"durable: full_page_writes {setting} in the gap: stop says: {refusal.detail}")
        files = control_file_of_another(here, labelfile)
        scenario = f"control: durable, full_page_writes {setting} in the gap, with files made by hand"
        taken, survival_case = (here.origin, snapshot, files), backups.survival_cases["a"]
        if hazard is None:
            survival_case = survival_case.with_fault("files made by hand")
            whole = check_restore(tally, scenario, *taken, survival_case=survival_case)
            assert whole.torn_pages > 0, "no page of the copy is torn"
        else:
            check_refusal(tally, scenario, *taken, TORN, survival_case=survival_case)
