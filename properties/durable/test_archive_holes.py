"""The WAL of a backup that was not archived while the server was restarted without, or lost track of it.

A stop that waits for the archive sees to it that what is still in pg_wal is archived; and only if all is, it says so.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.implementation import UNFENCED
from harness.clients.labelfile import parse_label_file
from harness.machine.scratch import temporary_folder
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import SEGMENT, big_update, checkpoint, switch_wal, transfers
from harness.server.cluster import Cluster, open_standby
from harness.server.durable import resumed
from harness.server.node import give
from harness.server.replay import await_replay
from harness.server.session import Session
from harness.server.wal import lsn_to_int, segment_name, segment_number, timeline_of
from model.operations import Stop
from properties.durable.lockstep import LONG_GAP, DurableServer, Fall, durable_server
from properties.durable.losses import open_server
from properties.recording.tally import Tally
from properties.support.restoring import check_refusal, check_restore
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

TOLD = {"log_min_messages": "notice"}
"""What stop tells its caller is in the log, too."""
ALL = "all required WAL segments have been archived"
NOT_ALL = "are known to be archived"
ABOUT = re.compile("(?<!waiting for )all required WAL segments")
REMOVED = r"could not .* WAL|WAL ends before end of online backup|recovery ended before|could not locate"
"""Why a restore fails whose WAL is not there."""
OFF, ON = {"archive_mode": "off"}, {"archive_mode": "on"}
FAILING = {"archive_command": "false"}
FALLS = (Fall.FAST, Fall.IMMEDIATE, Fall.POSTMASTER)
MEGABYTE = 1 << 20
"""The size of a segment."""
SEGMENTS = 5
PATIENCE = 60.0  # seconds


def write_segments(session: Session, keep: bool) -> None:
    """Several segments are written; unless WAL is kept, checkpoints have the first of them removed."""
    chance = Random(5)
    for _ in range(SEGMENTS):
        big_update(session, chance)
        transfers(session, chance)
        switch_wal(session, chance)
    if not keep:
        for _ in range(3):
            checkpoint(session, chance)
            switch_wal(session, chance)


def settling(server: Cluster, values: Mapping[str, str]) -> Callable[[], None]:
    """These are the settings of the next start."""
    return lambda: server.configure(values)


def take(here: DurableServer, *turns: Callable[[], object]) -> Snapshot:
    """The copy, made while that happens."""
    return copy_while(here.origin, here.copies / "copy", [lambda: None, *turns, lambda: None], Pace(rounds=1))


def stopped(here: DurableServer) -> tuple[BackupFiles, str]:
    """What stop hands out, twice the same, and what it says of the archive, which it says twice, too."""
    told = []
    for _ in range(2):
        position = here.origin.log_position()
        files = here.backups.stop("a").files
        told.append((files, about_the_archive(here.origin.log_since(position))))
    assert told[0] == told[1], "asked again, stop says something else"
    return told[0]


def about_the_archive(log: str) -> str:
    """The message and its detail, without what is before them in each line."""
    lines = [line.partition(":  ") for line in log.splitlines()]
    said = [(head.split()[-1], text) for head, _, text in lines if text]
    found = [(kind, text) for kind, text in said if kind in ("NOTICE", "WARNING") and ABOUT.search(text)]
    assert len(found) == 1, f"stop says nothing, or too much, of the archive: {log}"
    first = said.index(found[0])
    more = [text for kind, text in said[first + 1 : first + 3] if kind in ("DETAIL", "HINT")]
    return "; ".join([f"{found[0][0]}: {found[0][1]}", *more])


def missing_segments(here: DurableServer, files: BackupFiles) -> list[str]:
    """The segments from the start to the stop that are not in the archive."""
    assert files.labelfile is not None
    assert here.origin.archive_dir is not None
    first = parse_label_file(files.labelfile).walfile
    query = "SELECT pg_walfile_name(%s::pg_lsn - 1::numeric)"
    last = here.session.execute(query, (files.stop_lsn,))[0][0]
    there = {path.name for path in here.origin.archive_dir.iterdir()}
    return [name for name in segments(first, last) if name not in there]


def segments(first: str, last: str) -> list[str]:
    """Their names, from the first to the last."""
    numbers = range(segment_number(first, MEGABYTE), segment_number(last, MEGABYTE) + 1)
    return [segment_name(timeline_of(first), number, MEGABYTE) for number in numbers]


def check_all_there(here: DurableServer, tally: Tally, snapshot: Snapshot, scenario: str) -> None:
    """Stop says that all is archived, so it is, and the copy is restored whole."""
    files, said = stopped(here)
    missing = missing_segments(here, files)
    survival_case = here.backups.survival_cases["a"]
    here.backups.archive()
    check_restore(tally, scenario, here.origin, snapshot, files, survival_case=survival_case)
    assert not missing, f"stop says {said}, and these were not: {missing}"
    assert said == f"NOTICE: {ALL}"


def check_hole(here: DurableServer, tally: Tally, snapshot: Snapshot, scenario: str) -> None:
    """Some WAL is gone that was not archived: stop says so, and from where on to look; the restore fails for it."""
    files, said = stopped(here)
    missing = missing_segments(here, files)
    assert missing, "no WAL is missing: the load does not test what is said of it"
    survival_case = here.backups.survival_cases["a"]
    here.backups.archive()
    if ALL in said and NOT_ALL not in said:
        check_restore(
            tally, f"{scenario}, and stop said: {said}", here.origin, snapshot, files, survival_case=survival_case
        )
    assert said.startswith("WARNING: "), said
    assert NOT_ALL in said, said
    assert "not enabled all the time" in said, said
    [named] = re.findall(f'WAL segment "({SEGMENT.pattern})" has been removed', said)
    assert named <= missing[0], f"the archive lacks {missing[0]}, before the first that is to be looked for: {said}"
    wrongly = survival_case.with_fault("restored without the WAL that stop had said to be missing")
    check_refusal(tally, f"control: {scenario}", here.origin, snapshot, files, REMOVED, survival_case=wrongly)
    tally.notes.append(f"{scenario}: stop says: {said}")


@pytest.mark.parametrize("fall", FALLS)
def test_wal_that_is_gone_and_was_not_archived_is_told(instrumented: Build, tally: Tally, fall: Fall) -> None:
    with durable_server(instrumented, tally, TOLD) as here:
        backups, server = here.backups, here.origin
        backups.start("a")
        snapshot = take(
            here,
            lambda: backups.fall(fall, while_down=settling(server, OFF)),
            lambda: write_segments(here.session, keep=False),
            lambda: backups.fall(fall, while_down=settling(server, ON)),
            lambda: write_segments(here.session, keep=True),
        )
        scenario = "durable, archive_mode off for a while, WAL removed"
        check_hole(here, tally, snapshot, scenario)


@pytest.mark.parametrize("fall", FALLS)
def test_wal_that_was_kept_is_archived_by_the_stop(instrumented: Build, tally: Tally, fall: Fall) -> None:
    with durable_server(instrumented, tally, TOLD | LONG_GAP) as here:
        backups, server = here.backups, here.origin
        backups.start("a")
        snapshot = take(
            here,
            lambda: backups.fall(fall, while_down=settling(server, OFF)),
            lambda: write_segments(here.session, keep=True),
            lambda: backups.fall(fall, while_down=settling(server, ON)),
            lambda: write_segments(here.session, keep=True),
        )
        check_all_there(here, tally, snapshot, "durable, archive_mode off for a while, WAL kept")


@pytest.mark.parametrize("fall", FALLS)
def test_wal_that_is_gone_but_was_archived_is_not_missed(instrumented: Build, tally: Tally, fall: Fall) -> None:
    with durable_server(instrumented, tally, TOLD) as here:
        backups, server = here.backups, here.origin
        backups.start("a")
        first = here.session.execute("SELECT pg_walfile_name(start_lsn) FROM shared_backups")[0][0]

        def write_and_archive() -> None:
            write_segments(here.session, keep=True)
            backups.archive()
            write_segments(here.session, keep=False)

        snapshot = take(here, write_and_archive, lambda: backups.fall(fall), write_and_archive)
        assert not (server.data_dir / "pg_wal" / first).exists(), "no WAL is gone"
        check_all_there(here, tally, snapshot, "durable, archived all the time, WAL removed")


def test_wal_that_is_removed_after_the_stop_is_told(instrumented: Build, tally: Tally) -> None:
    """Be it only one segment, the first and the last of the backup."""
    with durable_server(instrumented, tally, TOLD) as here:
        backups, server = here.backups, here.origin
        here.session.close()
        server.stop()
        server.configure(OFF)
        server.start()
        backups.session = resumed(server)
        backups.start("a")
        snapshot = take(here)
        backups.stop("a")
        write_segments(here.session, keep=False)
        backups.fall(Fall.FAST, while_down=settling(server, ON))
        check_hole(here, tally, snapshot, "durable, archive_mode on only after the stop, WAL removed")


def test_wal_that_a_later_start_removed_is_told_of_a_backup_that_was_stopped_before(
    instrumented: Build, tally: Tally
) -> None:
    """The start that did not archive noted so in the file of the backup, which the next one reads."""
    with durable_server(instrumented, tally, TOLD) as here:
        backups, server = here.backups, here.origin
        working = server.settings["archive_command"]
        server.configure(FAILING)
        server.reload()
        backups.start("a")
        snapshot = take(here)
        backups.perform(Stop(0, "a"), backups.implementation.stop, label="a", wait=False, **UNFENCED)
        backups.fall(Fall.FAST, while_down=settling(server, {**OFF, "archive_command": working}))
        write_segments(here.session, keep=False)
        backups.fall(Fall.FAST, while_down=settling(server, ON))
        check_hole(here, tally, snapshot, "durable, archive_mode off for a while after the stop, WAL removed")


def test_wal_that_a_start_removed_which_did_not_come_to_the_backups_is_told(instrumented: Build, tally: Tally) -> None:
    """With archive_mode off it was, and it was killed before it had read the backups back."""
    with durable_server(instrumented, tally, TOLD) as here:
        backups, server = here.backups, here.origin
        working = server.settings["archive_command"]
        backups.start("a")

        def fail_for_a_while() -> None:
            server.configure(FAILING)
            server.reload(sessions=[here.session])
            write_segments(here.session, keep=True)

        snapshot = take(
            here,
            fail_for_a_while,
            lambda: backups.fall_twice(
                Fall.FAST,
                lambda session: session.execute("CHECKPOINT"),
                while_down=settling(server, OFF),
                while_down_again=settling(server, {**ON, "archive_command": working}),
            ),
            lambda: write_segments(here.session, keep=True),
        )
        check_hole(here, tally, snapshot, "durable, archive_mode off in a start that was killed, WAL removed")


@pytest.mark.parametrize("keep", [True, False], ids=["WAL kept", "WAL removed"])
def test_archiving_may_begin_after_the_backup(instrumented: Build, tally: Tally, keep: bool) -> None:
    with durable_server(instrumented, tally, {**TOLD, **(LONG_GAP if keep else {})}) as here:
        backups, server = here.backups, here.origin
        here.session.close()
        server.stop()
        server.configure(OFF)
        server.start()
        backups.session = server.connect()
        backups.start("a")
        snapshot = take(
            here,
            lambda: write_segments(here.session, keep),
            lambda: backups.fall(Fall.FAST, while_down=settling(server, ON)),
            lambda: write_segments(here.session, keep),
        )
        scenario = "durable, archive_mode on only after the start"
        if keep:
            check_all_there(here, tally, snapshot, scenario)
        else:
            check_hole(here, tally, snapshot, f"{scenario}, WAL removed")


@pytest.mark.parametrize("fall", [Fall.IMMEDIATE, Fall.POSTMASTER])
def test_wal_whose_status_a_crash_lost_is_archived_by_the_stop(instrumented: Build, tally: Tally, fall: Fall) -> None:
    """What has yet to be archived is known by empty files, which nobody flushes."""
    with durable_server(instrumented, tally, TOLD | LONG_GAP) as here:
        backups, server = here.backups, here.origin
        working = server.settings["archive_command"]
        backups.start("a")

        def fail_for_a_while() -> None:
            server.configure(FAILING)
            server.reload(sessions=[here.session])
            write_segments(here.session, keep=True)

        def lose_status() -> None:
            lost = unarchived(server)
            assert lost, "all WAL has been archived: the load does not test what becomes of the rest"
            for file in lost:
                file.unlink()
            server.configure({"archive_command": working})

        snapshot = take(
            here,
            fail_for_a_while,
            lambda: backups.fall(fall, while_down=lose_status),
            lambda: write_segments(here.session, keep=True),
        )
        check_all_there(here, tally, snapshot, "durable, after a crash that loses what was to be archived")


def unarchived(server: Cluster) -> list[Path]:
    """The files that say which WAL has yet to be archived."""
    return sorted((server.data_dir / "pg_wal" / "archive_status").glob("*.ready"))


def archiving_standby(primary: Cluster, stack: ExitStack) -> tuple[Cluster, Path]:
    """A standby that archives by itself, and the folder that it archives to."""
    own = stack.enter_context(temporary_folder())
    give(own, primary.user)
    settings = {"archive_mode": "always", "archive_command": f'cp "%p" "{own}/%f"'}
    return stack.enter_context(open_standby(primary, settings=settings)), own


def test_a_stop_on_a_standby_waits_until_the_standby_has_archived(instrumented: Build, tally: Tally) -> None:
    """No restart has come between, so the last segment is all that it need look at."""
    with tally.example(), ExitStack() as stack:
        primary = open_server(instrumented, stack)
        standby, own = archiving_standby(primary, stack)
        session, writer = resumed(standby), primary.connect()
        for write in (switch_wal, switch_wal, checkpoint):  # beyond what was copied, which counts as archived
            write(writer, Random(5))
        await_replay(standby, writer, session)
        session.execute("SELECT shared_backup_start('a', true)")
        stop = session.submit("SELECT lsn FROM shared_backup_stop('a', true)")

        def written_and_done() -> bool:
            switch_wal(writer, Random(5))
            return stop.done()

        primary.wait_until(written_and_done, PATIENCE, "the stop to have what it waits for")
        ((lsn,),) = stop.result(PATIENCE)
        ((segment,),) = writer.execute("SELECT pg_walfile_name(%s::pg_lsn - 1)", (lsn,))  # of the last byte before it
        assert (own / segment).is_file(), f"the stop has ended, and {segment} is not in the standby's archive"
        for one in (session, writer):
            one.close()


def test_a_stop_on_a_standby_waits_for_no_segment_that_begins_where_the_backup_ends(
    instrumented: Build, tally: Tally
) -> None:
    """The primary may take hours to fill that one."""
    with tally.example(), ExitStack() as stack:
        primary = open_server(instrumented, stack)
        standby, _own = archiving_standby(primary, stack)
        session, writer = resumed(standby), primary.connect()
        for write in (switch_wal, switch_wal, checkpoint):  # beyond what was copied, which counts as archived
            write(writer, Random(5))
        session.execute("SELECT shared_backup_start('a', true)")
        for write in (transfers, checkpoint, transfers):
            write(writer, Random(5))
        ((end,),) = writer.execute("SELECT pg_switch_wal()::text")
        ((size,),) = writer.execute("SELECT pg_size_bytes(current_setting('wal_segment_size'))")
        boundary = -(-lsn_to_int(end) // size) * size
        replayed = "SELECT pg_last_wal_replay_lsn() - '0/0' >= %s"
        standby.wait_until(lambda: session.execute(replayed, (boundary,)) == [(True,)], PATIENCE, "the standby")
        session.execute("CHECKPOINT")
        ((lsn,),) = session.submit("SELECT lsn FROM shared_backup_stop('a', true)").result(PATIENCE)
        assert lsn_to_int(lsn) == boundary
        for one in (session, writer):
            one.close()


def test_a_stop_on_a_standby_that_archives_nothing_says_so_also_after_the_promotion(
    instrumented: Build, tally: Tally
) -> None:
    """Asked again, it says the same: what this server archives from then on is not of the backup."""
    with tally.example(), ExitStack() as stack:
        standby = stack.enter_context(open_standby(open_server(instrumented, stack), settings=TOLD))
        session = resumed(standby)
        session.execute("SELECT shared_backup_start('a', true)")
        for promoted in (False, True):
            if promoted:
                session.execute("SELECT pg_promote()")
            position = standby.log_position()
            session.execute("SELECT shared_backup_stop('a', true)")
            assert "NOTICE:  WAL archiving is not enabled" in standby.log_since(position), f"promoted: {promoted}"
            tally.steps += 1
        session.close()
