"""Programs that come with PostgreSQL, run while the server is down and a durable backup is open: no wrong yes.

The extension's README has a row for each of them. Single-user mode, pg_checksums and clones have tests of their own
(``test_foreign_starts.py``, ``test_offline_checksums.py``, ``test_durable_losses.py``).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.faults.foreign import postmaster_life, single_user_life
from harness.faults.offline import (
    after_the_last,
    force_reset,
    has_program,
    make_subscriber,
    next_segment,
    remove_wal,
    reset_wal,
    rewind,
)
from harness.machine.postgres import Postgres
from harness.restore.workload import checkpoint, switch_wal, transfers
from harness.server.checksums import toggle_checksums
from harness.server.cluster import Cluster, open_standby
from harness.server.controldata import REDO_SEGMENT, control_data
from harness.server.durable import resumed
from harness.server.programs import run_program
from harness.server.replay import await_replay
from harness.server.session import Session, SqlError
from model.operations import Hazard, Restart
from properties.durable.lockstep import DurableLockstep, Fall
from properties.durable.losses import (
    ABSENCE,
    CHECKSUMS,
    COPY,
    LABEL,
    START,
    WAL_RESET,
    check_going_on,
    check_lost,
    check_released,
    open_server,
)
from properties.durable.troubles import fail_to_start
from properties.recording.tally import Tally
from properties.support.readme import rows_of, section

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

TITLE = "Programs that change a data directory while the server is down"
NOTHING = ("SELECT",)
KEEP = {"wal_keep_size": "256MB"}
UNREADABLE = (
    "The WAL from after the restart of the server, which would show whether all pages were protected,"
    " could not be read."
)
UNKNOWN = "42704"
ELSEWHERE = {"pg_basebackup", "pg_upgrade"}
"""Programs with tests in other files."""
Work = Callable[[Cluster], object]


# Every program has a row


def test_every_program_of_the_server_is_in_the_readme(postgres: Postgres, tally: Tally) -> None:
    """A new version may bring a new one: does it touch a data directory whose server is down?"""
    told = set(re.findall(r"`(\w+)", section(TITLE)))
    there = {path.name for path in postgres.bindir.iterdir()}
    tally.steps += len(there)
    assert there >= {"postgres", "pg_controldata"}, f"{postgres.bindir} is not where they are"
    assert there - told == set(), f"programs that the section '{TITLE}' of the extension's README does not name"


def test_every_row_of_the_readme_has_a_case(tally: Tally) -> None:
    programs = {name for row in rows_of(TITLE) for name in re.findall(r"`(\w+)", row[0])}
    tally.steps += len(programs)
    assert programs, "there is no table"
    cases = [*READERS, *REWOUND, *(case.name for case in ONE), "pg_createsubscriber", *ELSEWHERE]
    assert programs - {name.split()[0] for name in cases} == set(), "no test has these"


# Programs that only read


def on(program: str, *arguments: str) -> tuple[str, Callable[[Cluster], list[str | Path]]]:
    """Its name, and what it is told of a data directory: ``DIR`` stands for that, ``SEG`` for a segment of its WAL."""

    def words(server: Cluster) -> list[str | Path]:
        segment = control_data(server)[REDO_SEGMENT]
        stand_for = {"DIR": str(server.data_dir), "SEG": segment}
        return [re.sub("DIR|SEG", lambda found: stand_for[found.group()], word) for word in arguments]

    return program, words


READERS = {
    "pg_controldata": on("pg_controldata", "-D", "DIR"),
    "pg_waldump": on("pg_waldump", "-n", "1", "-p", "DIR/pg_wal", "SEG"),
    "pg_checksums --check": on("pg_checksums", "--check", "-D", "DIR"),
    "pg_resetwal --dry-run": on("pg_resetwal", "--dry-run", "-D", "DIR"),
    "pg_archivecleanup -n": on("pg_archivecleanup", "-n", "DIR/pg_wal", "SEG"),
    "pg_walsummary": on("pg_walsummary", "--individual", "DIR/PG_VERSION"),
    "pg_verifybackup": on("pg_verifybackup", "DIR"),
    "pg_combinebackup": on("pg_combinebackup", "DIR", "-o", "DIR/new"),
    "initdb": on("initdb", "-D", "DIR"),
    "initdb --sync-only": on("initdb", "--sync-only", "-D", "DIR"),
    "pg_ctl status": on("pg_ctl", "status", "-D", "DIR"),
    "postgres -C": on("postgres", "-C", "shared_memory_size", "-D", "DIR"),
    "postgres --check": on("postgres", "--check", "-D", "DIR", "-c", "max_connections=40"),
}
"""Those that refuse to work on a data directory in use read it as well."""
REFUSE = {"pg_walsummary", "pg_verifybackup", "pg_combinebackup", "initdb", "pg_ctl status"}


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Each file, how long it is, and when it was last written, renamed or given to somebody."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {str(path): (status.st_size, status.st_ctime_ns) for path, status in found}


@pytest.fixture(scope="module")
def down(instrumented: Build, durable_backups: None) -> Iterator[Cluster]:
    """A server that is down, with an open backup."""
    with ExitStack() as stack:
        server = open_server(instrumented, stack)
        session = resumed(server)
        session.execute(START, (None,))
        session.close()
        server.stop()
        yield server


@pytest.mark.parametrize("name", READERS)
def test_a_program_that_only_reads_leaves_every_file_as_it_was(down: Cluster, tally: Tally, name: str) -> None:
    program, words = READERS[name]
    need(down, program)
    with tally.example():
        before = files_of(down.data_dir)
        said = run_program(down, program, *words(down))
        assert files_of(down.data_dir) == before
        assert (said.returncode != 0) == (name in REFUSE), f"{said.stdout}{said.stderr}"


def need(server: Cluster, program: str) -> None:
    """Skips what needs a program that this PostgreSQL does not have."""
    if not has_program(server, program):
        pytest.skip(f"PostgreSQL {server.build.postgres.major} comes without {program}")


# Programs that change something


def reset(*options: str) -> Work:
    """pg_resetwal with these options."""
    return lambda server: reset_wal(server, *options)


def reset_xids(server: Cluster) -> None:
    reset_wal(server, "-x", str(after_the_last(server, "pg_xact", 1 << 20)))


def reset_multixacts(server: Cluster) -> None:
    reset_wal(server, "-m", f"{after_the_last(server, 'pg_multixact/offsets', 1 << 16)},1")


def reset_members(server: Cluster) -> None:
    reset_wal(server, "-O", str(after_the_last(server, "pg_multixact/members", 52352)))


def reset_to_later(server: Cluster, timeline: int = 1) -> None:
    reset_wal(server, "-l", next_segment(server, timeline=timeline))


def resize_segments(server: Cluster, megabytes: int) -> None:
    """Segments get names that others had, which must go from the archive."""
    reset_wal(server, f"--wal-segsize={megabytes}")
    assert server.archive_dir is not None
    for file in server.archive_dir.iterdir():
        file.unlink()


def life(server: Cluster) -> None:
    """One without the extension, at the end of which the server is killed."""
    postmaster_life(server, NOTHING)


def alone(server: Cluster) -> None:
    """One in single-user mode."""
    single_user_life(server, NOTHING, killed=False)


@dataclass(frozen=True)
class Case:
    """What is done to a server that is down, one after the other, and the detail of its stop then."""

    name: str
    works: tuple[Work, ...]
    detail: str = WAL_RESET
    hazard: Hazard = Hazard.ABSENCE
    fall: Fall = Fall.FAST
    program: str = "pg_resetwal"
    since: int = 15
    """The first major version that has what it takes."""


ONE = (
    Case("pg_resetwal -f after a crash", (force_reset,), fall=Fall.POSTMASTER),
    Case("pg_resetwal -f after an immediate shutdown", (force_reset,), fall=Fall.IMMEDIATE),
    Case("pg_resetwal -c", (reset("-c", "3,3"),)),
    Case("pg_resetwal -e", (reset("-e", "1"),)),
    Case("pg_resetwal -l", (reset_to_later,)),
    Case("pg_resetwal -m", (reset_multixacts,)),
    Case("pg_resetwal -o", (reset("-o", "100000"),)),
    Case("pg_resetwal -O", (reset_members,)),
    Case("pg_resetwal -u", (reset("-u", "3"),)),
    Case("pg_resetwal -x", (reset_xids,)),
    Case("pg_resetwal --char-signedness", (reset("--char-signedness=unsigned"),), since=18),
    Case("pg_resetwal --wal-segsize", (partial(resize_segments, megabytes=2),)),
    Case(
        "pg_resetwal --wal-segsize, and back",
        (partial(resize_segments, megabytes=4), partial(resize_segments, megabytes=1)),
    ),
    Case("pg_checksums", (toggle_checksums,), CHECKSUMS, Hazard.CHECKSUMS, program="pg_checksums"),
)
TWO = (
    Case("pg_resetwal, and once more", (reset(), reset())),
    Case("pg_resetwal, and a start that fails", (reset(), fail_to_start)),
    Case("a start that fails, and pg_resetwal", (fail_to_start, reset()), UNREADABLE),
    Case("pg_resetwal, and a life without the extension", (reset(), life), ABSENCE),
    Case("a life without the extension, and pg_resetwal -f", (life, force_reset), ABSENCE),
    Case("pg_resetwal, and single-user mode without the extension", (reset(), alone), ABSENCE),
    Case("pg_resetwal -l, and pg_checksums", (reset_to_later, toggle_checksums), CHECKSUMS, Hazard.CHECKSUMS),
    Case("pg_checksums, and pg_resetwal -x", (toggle_checksums, reset_xids), CHECKSUMS, Hazard.CHECKSUMS),
    Case("pg_checksums, and a life without the extension", (toggle_checksums, life), ABSENCE),
    Case("pg_archivecleanup, and a life without the extension", (remove_wal, life), ABSENCE),
    Case("pg_resetwal to another timeline", (partial(reset_to_later, timeline=2),)),
)
"""The last changes the timeline of the server that all share."""


@pytest.fixture(scope="module")
def server(instrumented: Build, durable_backups: None) -> Iterator[Cluster]:
    """One that all cases share."""
    with ExitStack() as stack:
        yield open_server(instrumented, stack)


def go_down(server: Cluster, tally: Tally, fall: Fall = Fall.FAST) -> DurableLockstep:
    """The backups of a server that went down so, while one was open."""
    backups = DurableLockstep(server, tally)
    backups.start(LABEL)
    transfers(backups.session, Random(1))
    backups.session.close()
    server.go_down(fall.kind)
    return backups


def judge(backups: DurableLockstep, tally: Tally, case: Case) -> None:
    """The server is up again: the stop says no, for that reason, and core is not held."""
    backups.back(Restart(case.fall.kind, case.hazard))
    check_lost(backups.session, tally, case.name, case.detail, case.fall)
    check_released(backups.server, backups.session)
    backups.session.close()


@pytest.mark.parametrize("case", ONE + TWO, ids=lambda case: case.name)
def test_what_a_program_makes_useless_is_lost(server: Cluster, tally: Tally, case: Case, exhaustive: bool) -> None:
    if server.build.postgres.major < case.since:
        pytest.skip(f"PostgreSQL {server.build.postgres.major} cannot do that")
    with tally.example():
        backups = go_down(server, tally, case.fall)
        for work in case.works:
            work(server)
        server.start()
        judge(backups, tally, case)
        if exhaustive:
            check_going_on(server, tally, int(control_data(server)["Latest checkpoint's TimeLineID"]))


# A start that is killed before it has come to the backups


KILLED = (
    ("pg_resetwal, and a start that is killed", reset(), None, WAL_RESET),
    ("a start that is killed, and pg_resetwal -f", None, force_reset, UNREADABLE),
    ("a start that is killed, and pg_archivecleanup", None, remove_wal, UNREADABLE),
)


def write_on(session: Session) -> None:
    """Another segment is begun, with a checkpoint in it."""
    for _ in range(2):
        transfers(session, Random(1))
        switch_wal(session, Random(1))
        checkpoint(session, Random(1))


@pytest.mark.parametrize(("name", "before", "after", "detail"), KILLED, ids=[name for name, *_ in KILLED])
def test_a_start_that_is_killed_in_its_gap_does_not_hide_what_a_program_does(
    instrumented: Build, tally: Tally, name: str, before: Work | None, after: Work | None, detail: str
) -> None:
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack, **KEEP)
        backups = DurableLockstep(server, tally)
        backups.start(LABEL)
        backups.fall_twice(
            Fall.FAST,
            write_on,
            Hazard.ABSENCE,
            name,
            while_down=partial(before, server) if before else None,
            while_down_again=partial(after, server) if after else None,
            compare=False,
        )
        check_lost(backups.session, tally, name, detail, Fall.FAST, Fall.POSTMASTER)
        check_released(server, backups.session)
        backups.session.close()


# Two servers


@pytest.fixture
def pair(instrumented: Build, durable_backups: None) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary with an open backup, and a standby of it, without the extension."""
    with ExitStack() as stack:
        primary = open_server(instrumented, stack, wal_level="logical", **KEEP)
        session = resumed(primary)
        session.execute(START, (None,))
        session.close()
        yield primary, stack.enter_context(open_standby(primary, settings={"shared_preload_libraries": ""}))


def part(primary: Cluster, standby: Cluster, *, crash: bool = False) -> None:
    """The standby is promoted, both go on, and go down."""
    old, new = primary.connect(), standby.connect()
    await_replay(standby, old, new)
    new.execute("SELECT pg_promote()")
    for session in (old, new):
        transfers(session, Random(1))
        checkpoint(session, Random(1))
        session.close()
    primary.crash() if crash else primary.stop()
    standby.stop()


def check_no_rewind(primary: Cluster, standby: Cluster) -> None:
    """Servers that have not parted need none: pg_rewind leaves every file as it was."""
    standby.stop()
    primary.stop()
    before = files_of(primary.data_dir)
    assert "no rewind required" in rewind(primary, standby)
    assert files_of(primary.data_dir) == before
    primary.start()
    standby.start()


REWOUND: Mapping[str, tuple[bool, tuple[Work, ...], str]] = {
    "pg_rewind": (False, (), COPY),
    "pg_rewind after a crash": (True, (), COPY),
    "pg_rewind, and a life without the extension": (False, (life,), ABSENCE),
}


@pytest.mark.parametrize("name", REWOUND)
def test_a_server_that_is_rewound_has_lost_its_backups(pair: tuple[Cluster, Cluster], tally: Tally, name: str) -> None:
    """... though it gets the state files of the other server, which are copies of its own."""
    primary, standby = pair
    crash, works, detail = REWOUND[name]
    with tally.example():
        check_no_rewind(primary, standby)
        part(primary, standby, crash=crash)
        rewind(primary, standby)
        primary.configure({"restore_command": "false"})  # the rest, too: pg_rewind has copied the other's
        for work in works:
            work(primary)
        primary.start()
        session = resumed(primary)
        check_lost(session, tally, name, detail)
        session.close()


def test_a_standby_that_becomes_a_subscriber_has_lost_its_backups(
    instrumented: Build, durable_backups: None, tally: Tally
) -> None:
    """Those of its own, and those that it has from its primary: it is another database system, which knows of none."""
    with tally.example(), ExitStack() as stack:
        primary = open_server(instrumented, stack, wal_level="logical")
        need(primary, "pg_createsubscriber")
        backups = DurableLockstep(primary, tally)
        backups.start("of the primary")
        standby = stack.enter_context(open_standby(primary))
        session = resumed(standby)
        session.execute(START, (None,))
        session.close()
        standby.stop()
        make_subscriber(standby, primary)
        standby.start()
        session = resumed(standby)
        assert session.execute("SELECT label FROM shared_backups") == []
        for label in (LABEL, "of the primary"):
            with pytest.raises(SqlError) as refusal:
                session.execute("SELECT shared_backup_stop(%s, false)", (label,))
            assert refusal.value.sqlstate == UNKNOWN, refusal.value
        session.close()
        assert backups.stop("of the primary").restorable
