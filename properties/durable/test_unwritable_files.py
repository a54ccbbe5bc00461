"""State files that cannot be written: whoever asked is told, nothing has changed, and it can be done again later.

A write to the temporary file of a backup fails for want of space, as it is a link to /dev/full; in a folder that is
read-only, all of them fail, for as long as that is so.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from harness.building.build import Build
from harness.server.cluster import Cluster
from harness.server.durable import STATE_DIR, configured, fill, resumed, state_files
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes, set_full_page_writes
from harness.server.session import Pending, Row, Session, SqlError
from model.operations import Hazard, Restart, RestartKind
from properties.durable.lockstep import LONG_GAP, DurableLockstep, Fall
from properties.durable.losses import (
    ABSENCE,
    LABEL,
    check_lost,
    check_released,
    counted,
    down_with_a_backup,
    open_server,
)
from properties.recording.tally import Tally
from properties.support.counts import COUNTS

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

START = "SELECT shared_backup_start('a', true, '1 hour')"
STOP = "SELECT lsn, labelfile, spcmapfile, controlfile FROM shared_backup_stop('a', false)"
ABORT = "SELECT shared_backup_abort('a')"
RENEW = "SELECT shared_backup_renew('a', '2 hours')"
ACTIVE = "SELECT label FROM shared_backups WHERE state = 'active'"
VIEW = "SELECT * FROM shared_backups WHERE label = 'a'"

DISK_FULL, NO_RIGHT, IS_FOLDER, BUSY, TOO_MANY, INTERNAL = "53100", "42501", "42809", "55006", "53400", "XX000"
NEXT = 100
"""So many files ahead are looked after, as nobody knows the number of the next one."""
FREEZE = "SELECT shared_backup_clock_freeze()"
LATER = "SELECT shared_backup_clock_advance('61 minutes')"
EARLIER = "SELECT shared_backup_clock_release()"
PATIENCE = 30.0
MANY = 300
"""More than the reaper deals with at a time."""
SOME, FAR_MORE = 20, 800
"""More than it deals with in all the rounds of a step of the clock, if it stops after what it has tried at once."""
START_MANY = (
    "SELECT count(*) FROM generate_series(1, %s) number,"
    " shared_backup_start('many ' || number, true, '1 hour') AS start"
)
REAPER = "SELECT rounds, live FROM shared_backup_reaper()"
WHILE = "SELECT pg_sleep(0.3)"
"""In which a reaper that finds no rest would do many rounds."""


@pytest.fixture
def server(instrumented: Build, durable_backups: None) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield open_server(instrumented, stack, **LONG_GAP)


# Where nothing can be written


def next_names(server: Cluster) -> list[str]:
    """What the files of the next backups may be called: they are numbered on within a start of the server."""
    session = server.connect()
    session.execute("SELECT shared_backup_start('number', true)")
    newest = max(int(file.stem, 16) for file in state_files(server))
    session.execute("SELECT shared_backup_abort('number')")
    session.close()
    return [f"{newest + number:016X}.backup" for number in range(1, NEXT)]


@contextmanager
def full_for_new_files(server: Cluster) -> Iterator[None]:
    """While the block runs, there is no space for the file of another backup."""
    names = next_names(server)
    for name in names:
        fill(server.data_dir / STATE_DIR / name)
    yield
    for name in names:
        (server.data_dir / STATE_DIR / f"{name}.tmp").unlink(missing_ok=True)


@contextmanager
def taken_names(server: Cluster) -> Iterator[None]:
    """While the block runs, there are folders where the file of another backup is to be."""
    folders = [server.data_dir / STATE_DIR / name for name in next_names(server)]
    for folder in folders:
        folder.mkdir()
    yield
    for folder in folders:
        folder.rmdir()


@contextmanager
def read_only(server: Cluster) -> Iterator[None]:
    """While the block runs, no file can be made or removed in the folder."""
    folder = server.data_dir / STATE_DIR
    folder.chmod(0o500)
    try:
        yield
    finally:
        folder.chmod(0o700)


def refused(session: Session, sql: str, sqlstate: str) -> None:
    """It fails like that, the message names the file, and no memory is left for what has not taken place."""
    before = session.execute(COUNTS)
    with pytest.raises(SqlError) as refusal:
        session.execute(sql)
    assert refusal.value.sqlstate == sqlstate, refusal.value
    assert f'file "{STATE_DIR}/' in refusal.value.message, refusal.value
    assert session.execute(COUNTS) == before


def restarted(server: Cluster, session: Session) -> Session:
    """After a crash, when the backups are back."""
    session.close()
    server.restart("crash")
    return resumed(server)


# Operations


def test_a_start_without_space_leaves_no_trace(server: Cluster, tally: Tally) -> None:
    """... and takes nothing from what it was to replace."""
    with tally.example():
        session = resumed(server)
        for before in ([], [STOP]):
            for statement in before:
                session.execute(START)
                session.execute(statement)
            there: list[Row] = session.execute(VIEW)
            with full_for_new_files(server):
                refused(session, START, DISK_FULL)
            with taken_names(server):
                refused(session, START, IS_FOLDER)
            with read_only(server):
                refused(session, START, NO_RIGHT)
            assert not list((server.data_dir / STATE_DIR).glob("*.tmp")), "it leaves what it has written so far"
            assert session.execute(VIEW) == there
            assert not counted(server, session), "core counts a backup that was not started"
            session = restarted(server, session)
            assert session.execute(VIEW) == there, "a restart finds something else"
            tally.steps += 3
        session.execute(START)
        session.execute(STOP)
        check_released(server, session)
        session.close()


@pytest.mark.parametrize("call", [RENEW, STOP, ABORT], ids=["renew", "stop", "abort"])
def test_a_change_that_cannot_be_written_does_not_take_place(server: Cluster, tally: Tally, call: str) -> None:
    with tally.example():
        session = resumed(server)
        for carried in (False, True):
            session.execute(START)
            file = max(state_files(server))
            if carried:
                session = restarted(server, session)
            there = session.execute(VIEW)
            if call != ABORT:  # which writes nothing
                fill(file)
                refused(session, call, DISK_FULL)
            with read_only(server):
                refused(session, call, NO_RIGHT)
            assert session.execute(VIEW) == there
            assert counted(server, session), "core does not count the backup any more"
            session = restarted(server, session)
            assert session.execute(VIEW) == there, "a restart finds something else"
            session.execute(call)
            if call == RENEW:
                session.execute(ABORT)
            check_released(server, session)
            tally.steps += 1
        session.close()


def held_when_core_has_ended(session: Session, caller: Session) -> tuple[InjectionPoints, Pending]:
    """A stop of the caller's, whose result is yet to be written, and the points through the other session."""
    points = InjectionPoints(session)
    session.execute(START)
    points.attach("stop-core-ended")
    stop = caller.submit(STOP)
    assert points.arrived("stop-core-ended")
    return points, stop


@pytest.mark.parametrize("point", ["file-written", "file-flushed"])
def test_an_error_in_the_writing_of_a_result_holds_up_nobody(server: Cluster, tally: Tally, point: str) -> None:
    """It is another than that there is no space. Core has ended the backup by then, so that is gone."""
    with tally.example():
        session, caller = resumed(server), server.connect()
        points, stop = held_when_core_has_ended(session, caller)
        points.attach(point, action="error")
        points.detach("stop-core-ended")
        with pytest.raises(SqlError) as failed:
            stop.result(PATIENCE)
        assert failed.value.sqlstate == INTERNAL, failed.value
        points.detach()
        assert session.execute(VIEW) == []
        assert state_files(server) == []
        check_released(server, session)
        caller.execute(START)
        caller.execute(STOP)
        for one in (session, caller):
            one.close()
        tally.steps += 4


def test_a_result_that_cannot_be_written_is_had_later(server: Cluster, tally: Tally) -> None:
    """Core has ended the backup when that turns out. Whoever asks again gets the result, when it can be kept."""
    with tally.example():
        session, caller = resumed(server), server.connect()
        points, stop = held_when_core_has_ended(session, caller)
        with read_only(server):
            points.detach()
            with pytest.raises(SqlError) as refusal:
                stop.result(PATIENCE)
            assert refusal.value.sqlstate == NO_RIGHT, refusal.value
            refused(session, STOP, NO_RIGHT)
            assert [row[1] for row in session.execute(VIEW)] == ["stopped"]
        row = session.execute(STOP)
        with read_only(server):
            assert session.execute(STOP) == row, "what is kept is written again"
        session = restarted(server, session)
        with read_only(server):
            assert session.execute(STOP) == row, "a restart finds something else, or it is written again"
        check_released(server, session)
        for one in (session, caller):
            one.close()
        tally.steps += 2


def test_an_expiry_that_cannot_be_written_takes_place(server: Cluster, tally: Tally) -> None:
    """Its time is over, whether or not there is space: it is expired now, and nothing is known of it later."""
    with tally.example():
        session = resumed(server)
        session.execute(FREEZE)
        session.execute(START)
        fill(max(state_files(server)))
        session.execute("SELECT shared_backup_clock_advance('61 minutes')")
        assert [row[1] for row in session.execute(VIEW)] == ["expired"]
        assert not counted(server, session), "core counts a backup that has expired"
        session = restarted(server, session)
        assert session.execute(VIEW) == []
        check_released(server, session)
        session.close()


def test_an_expiry_that_can_be_neither_written_nor_forgotten_keeps_core_held(server: Cluster, tally: Tally) -> None:
    """Otherwise a clock that is set back, and a restart, would make a backup active that core did not protect."""
    with tally.example():
        session, timekeeper = resumed(server), server.connect()
        points = InjectionPoints(session)
        session.execute(FREEZE)
        session.execute(START)
        points.attach("reaper-expiring", LABEL)  # the clock is kept in the folder, too
        moved = timekeeper.submit(LATER)
        assert points.arrived("reaper-expiring", LABEL)
        with read_only(server):
            points.detach()
            moved.result(PATIENCE)
            assert [row[1] for row in session.execute(VIEW)] == ["expired"]
            assert counted(server, session), "core was released, and the file says active"
            with pytest.raises(SqlError) as refusal:
                session.execute(START)
            assert refusal.value.sqlstate == BUSY, refusal.value
        session.execute(EARLIER)
        session = restarted(server, session)
        assert [row[1] for row in session.execute(VIEW)] == ["active"]
        assert counted(server, session), "core does not count the backup"
        session.execute(FREEZE)
        session.execute(LATER)
        assert not counted(server, session), "core counts a backup that has expired"
        session.execute(EARLIER)
        session = restarted(server, session)
        assert [row[1] for row in session.execute(VIEW)] == ["expired"]
        session.execute(START)
        session.execute(STOP)
        check_released(server, session)
        for one in (session, timekeeper):
            one.close()


def test_an_expiry_that_could_not_be_written_is_tried_again_by_itself(server: Cluster, tally: Tally) -> None:
    """Nobody calls anything, and core does not write full pages for ever."""
    with tally.example():
        session, timekeeper = resumed(server), server.connect()
        points = InjectionPoints(session)
        session.execute(START)
        set_full_page_writes(server, session, on=False)
        points.attach("reaper-expiring", LABEL)
        moved = timekeeper.submit(LATER)
        assert points.arrived("reaper-expiring", LABEL)
        with read_only(server):
            points.detach()
            moved.result(PATIENCE)
            assert forced_full_page_writes(session), "core was released, and the file says active"
        server.wait_until(lambda: not forced_full_page_writes(session), PATIENCE, "core to be released")
        assert [row[1] for row in session.execute(VIEW)] == ["expired"]
        for one in (session, timekeeper):
            one.close()


def test_some_that_can_be_neither_written_nor_forgotten_hold_up_no_other(server: Cluster, tally: Tally) -> None:
    """All others expire in one round, however many it takes to deal with them."""
    with tally.example():
        session = resumed(server)
        session.execute(FREEZE)
        session.execute(START_MANY, (FAR_MORE,))
        blocked = state_files(server)[:SOME]
        for file in blocked:
            file.unlink()
            file.mkdir()
        session.execute(LATER)
        assert [row[1] for row in session.execute(REAPER)] == [SOME], "live backups, beside those that cannot expire"
        for file in blocked:
            file.rmdir()
        session.execute(LATER)
        assert [row[1] for row in session.execute(REAPER)] == [0]
        assert not counted(server, session), "core counts a backup that has expired"
        session.close()
        tally.steps += 2


def test_many_that_can_be_neither_written_nor_forgotten_let_the_reaper_rest(server: Cluster, tally: Tally) -> None:
    """They count against the limit, and nobody waits for them; when they can be written, all of them expire."""
    with tally.example():
        session, timekeeper, caller = resumed(server), server.connect(), server.connect()
        points = InjectionPoints(session)
        server.configure({"shared_backup.max_backups": str(MANY)})
        server.reload()
        session.execute(FREEZE)
        assert session.execute(START_MANY, (MANY,)) == [(MANY,)]
        points.attach("reaper-expiring")
        moved = timekeeper.submit(LATER)
        assert points.arrived("reaper-expiring")
        with read_only(server):
            points.detach()
            moved.result(PATIENCE)
            ((rounds, live),) = session.execute(REAPER)
            assert live == MANY, f"{MANY - live} of {MANY} are released, whose files say that they are active"
            session.execute(WHILE)
            assert session.execute(REAPER) == [(rounds, live)], "the reaper goes on and on"
            one_more = caller.submit(START)
            server.wait_until(one_more.done, PATIENCE, "a start beyond the limit to be refused")
            with pytest.raises(SqlError) as refusal:
                one_more.result(PATIENCE)
            assert refusal.value.sqlstate == TOO_MANY, refusal.value
            assert counted(server, session), "core was released"
        session.execute(LATER)
        assert [row[1] for row in session.execute(REAPER)] == [0]
        assert not counted(server, session), "core counts a backup that has expired"
        session.execute(START)
        session = restarted(server, session)
        assert session.execute(ACTIVE) == [("a",)]
        for one in (session, timekeeper, caller):
            one.close()
        tally.steps += MANY


# Starts of the server


def check_busy(server: Cluster, said: str, position: int) -> None:
    """Backups are not to be had, and the log says why."""
    session = server.connect()
    with pytest.raises(SqlError) as refusal:
        session.execute(VIEW)
    assert refusal.value.sqlstate == BUSY, refusal.value
    server.wait_until(lambda: said in server.log_since(position), PATIENCE, f"the log to say: {said}")
    session.close()


def test_a_folder_that_is_read_only_at_the_start_keeps_backups_waiting(server: Cluster, tally: Tally) -> None:
    """As soon as it can be written to, they go on."""
    with tally.example():
        backups = down_with_a_backup(server, tally)
        position = server.log_position()
        with read_only(server):
            server.start()
            check_busy(server, f'could not create file "{STATE_DIR}/server.tmp": Permission denied', position)
        backups.back(Restart(RestartKind.FAST))
        backups.fall(Fall.POSTMASTER)
        assert backups.stop(LABEL).restorable


def test_a_full_disk_at_the_start_costs_nothing_if_there_is_room_before_all_is_read(
    server: Cluster, tally: Tally
) -> None:
    """The record that could not be written is removed, so that no start from before is taken for this one."""
    with tally.example():
        backups = down_with_a_backup(server, tally)
        position = server.log_position()
        fill(server.data_dir / STATE_DIR / "server")
        server.start()
        backups.back(Restart(RestartKind.FAST))
        said = f'could not write to file "{STATE_DIR}/server.tmp": No space left on device'
        assert said in server.log_since(position)
        backups.fall(Fall.POSTMASTER)
        assert backups.stop(LABEL).restorable


def test_a_folder_that_cannot_be_listed_at_the_start_keeps_backups_waiting(server: Cluster, tally: Tally) -> None:
    """... as otherwise a later start would find them, and take them for protected."""
    with tally.example():
        backups = down_with_a_backup(server, tally)
        position, folder = server.log_position(), server.data_dir / STATE_DIR
        folder.chmod(0o300)
        server.start()
        check_busy(server, f'could not open directory "{STATE_DIR}": Permission denied', position)
        folder.chmod(0o700)
        backups.back(Restart(RestartKind.FAST))
        assert backups.stop(LABEL).restorable
        check_released(server, backups.session)


def test_a_file_that_can_be_neither_read_nor_set_aside_keeps_backups_waiting(server: Cluster, tally: Tally) -> None:
    """... the others, too: a later start might read it, and take its backup for protected until then."""
    with tally.example():
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        file = state_files(server)[-1]
        backups.start("other")
        backups.session.close()
        server.stop()
        position, aside = server.log_position(), file.with_name(f"{file.name}.bad")
        file.chmod(0)
        (aside / "in the way").mkdir(parents=True)
        server.start()
        check_busy(server, f'could not rename file "{STATE_DIR}/{file.name}" to', position)
        (aside / "in the way").rmdir()
        aside.rmdir()
        file.chmod(0o600)
        backups.back(Restart(RestartKind.FAST))
        assert backups.stop(LABEL).restorable
        assert backups.stop("other").restorable
        check_released(server, backups.session)


@pytest.mark.parametrize("fall", [Fall.FAST, Fall.POSTMASTER])
def test_a_start_that_could_not_be_written_down_is_not_forgotten(server: Cluster, tally: Tally, fall: Fall) -> None:
    """Pages were written without protection then; however it began and ended, the next start knows that."""
    with tally.example():
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        backups.session.close()
        server.go_down(fall.kind)
        with read_only(server), configured(server, {"full_page_writes": "off"}):
            server.start()
            server.connect().close()
            server.go_down(fall.kind)
        server.start()
        backups.play(Restart(fall.kind, Hazard.ABSENCE))
        backups.back(Restart(fall.kind, Hazard.ABSENCE))
        check_lost(backups.session, tally, "a start that could not be written down in between", ABSENCE, fall)
        check_released(server, backups.session)


@pytest.mark.parametrize("what", ["nothing", "a file"])
def test_without_the_folder_nothing_is_known_and_all_is_well(server: Cluster, tally: Tally, what: str) -> None:
    with tally.example():
        session = resumed(server)
        session.execute(START)
        session.close()
        server.stop()
        folder = server.data_dir / STATE_DIR
        aside = folder.rename(folder.with_name("aside"))
        position = server.log_position()
        if what == "a file":
            folder.write_text("")
        server.start()
        if what == "a file":
            check_busy(server, f'could not create directory "{STATE_DIR}": File exists', position)
            folder.unlink()
        session = resumed(server)
        assert session.execute(VIEW) == []
        session.execute(START)
        session = restarted(server, session)
        assert [row[1] for row in session.execute(VIEW)] == ["active"]
        session.execute(STOP)
        check_released(server, session)
        session.close()
        for file in aside.iterdir():
            file.unlink()
        aside.rmdir()
