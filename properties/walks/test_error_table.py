"""Every row of the error table, with its SQLSTATE and words that help: a detail or a hint, in PostgreSQL's style.

The conformance machine and the tour compare SQLSTATEs in every state they can reach by operations that run one after
another. Here are the rows they cannot reach (a server set up wrongly, operations under way, a standby), the order of
the rows, and what the messages say.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from harness.building.build import Build
from harness.clients.client import Client
from harness.clients.implementation import SHARED
from harness.machine.processes import stopped
from harness.server.changes import changed
from harness.server.cluster import Cluster, open_cluster, open_standby
from harness.server.node import leave_signal
from harness.server.probes import forced_full_page_writes
from harness.server.replay import await_restartpoint
from harness.server.session import Pending, Session, SqlError
from properties.support.servers import PROBED
from properties.walks.message_style import is_message, is_sentence

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]
PATIENCE = 30.0

START = "SELECT shared_backup_start('a', true)"
COLUMNS = "lsn, labelfile, spcmapfile, controlfile, stop_time"
STOP = f"SELECT {COLUMNS} FROM shared_backup_stop('a', false)"
ABORT = "SELECT shared_backup_abort('a')"
RENEW = "SELECT shared_backup_renew('a')"
NO_TOKEN = "00000000-0000-0000-0000-000000000001"
FENCED = (
    f"SELECT shared_backup_stop('a', false, '{NO_TOKEN}')",
    f"SELECT shared_backup_abort('a', '{NO_TOKEN}')",
    f"SELECT shared_backup_renew('a', NULL, '{NO_TOKEN}')",
)
"""With a token that no backup has, nor a start that has yet to be given one: that has zeroes."""
LIST = "SELECT * FROM shared_backups"
FUNCTIONS = (START, STOP, ABORT, RENEW)


@pytest.fixture
def admin(cluster: Cluster, client: Client) -> Iterator[Session]:
    """A superuser on a server without backups, with settings as they come."""
    client.afresh()
    session = cluster.connect()
    yield session
    session.close()
    client.clear()


def refusal(session: Session, sql: str, sqlstate: str, says: str) -> SqlError:
    """The refusal of a statement, which must have this SQLSTATE, say this, and help."""
    with pytest.raises(SqlError) as raised:
        session.execute(sql)
    error = raised.value
    assert error.sqlstate == sqlstate, f"{sql}: {error}"
    assert re.search(says, error.message), f"{sql}: {error}"
    assert in_style(error), f"{sql}: {error} / {error.detail} / {error.hint}"
    return error


def in_style(error: SqlError) -> bool:
    """Are its message, its detail and its hint in PostgreSQL's style?"""
    return is_message(error.message) and all(is_sentence(text) for text in (error.detail, error.hint) if text)


def helps(error: SqlError) -> bool:
    """Is there a detail or a hint?"""
    return bool(error.detail or error.hint)


# The server is not ready for backups


def test_without_execute_privilege_every_function_is_refused(admin: Session, cluster: Cluster) -> None:
    admin.execute("CREATE ROLE nobody_special LOGIN")
    try:
        session = cluster.connect("nobody_special")
        for function in FUNCTIONS:
            refusal(session, function, "42501", "permission denied for function")
        refusal(session, LIST, "42501", "permission denied for view")
        refusal(session, "SELECT * FROM shared_backup_list()", "42501", "permission denied for function")
        session.close()
    finally:
        admin.execute("DROP ROLE nobody_special")


def test_a_library_that_is_not_preloaded_says_how_to_load_it(instrumented: Build) -> None:
    with open_cluster(instrumented, settings={"shared_preload_libraries": ""}) as bare:
        session = bare.connect()
        session.execute("CREATE EXTENSION shared_backup")
        for function in (*FUNCTIONS, LIST):
            assert helps(refusal(session, function, "55000", "shared_preload_libraries"))
        # it comes before the checks of the arguments
        refusal(session, "SELECT shared_backup_start(NULL)", "55000", "shared_preload_libraries")
        session.close()


def test_a_wal_level_too_low_says_what_to_set(instrumented: Build) -> None:
    with open_cluster(instrumented, settings={"wal_level": "minimal", "max_wal_senders": "0"}) as minimal:
        session = minimal.connect()
        session.execute("CREATE EXTENSION shared_backup")
        for function in FUNCTIONS:
            assert helps(refusal(session, function, "55000", "WAL level not sufficient"))
        refusal(session, "SELECT shared_backup_start(NULL)", "55000", "WAL level not sufficient")
        assert session.execute(LIST) == []
        session.close()


@pytest.mark.usefixtures("starters")
def test_no_background_worker_leaves_nothing_reserved(instrumented: Build) -> None:
    with open_cluster(instrumented, settings={**PROBED, "max_worker_processes": "1"}) as narrow:
        session = narrow.connect()
        session.execute("CREATE EXTENSION shared_backup")
        for _ in range(3):
            error = refusal(session, START, "53000", "background worker")
            assert "max_worker_processes" in (error.hint or "")
        assert session.execute(LIST) == []
        session.close()


@pytest.mark.usefixtures("starters")
def test_a_start_waits_a_second_for_a_background_worker(instrumented: Build) -> None:
    """Others come and go; it is refused no earlier."""
    with open_cluster(instrumented, settings={**PROBED, "max_worker_processes": "1"}) as narrow:
        session = narrow.connect()
        session.execute("CREATE EXTENSION shared_backup")
        began = time.monotonic()
        refusal(session, START, "53000", "background worker")
        assert time.monotonic() - began > 0.9, "it has not waited"
        session.close()


def test_a_start_beyond_the_limit_leaves_nothing_that_the_next_one_waits_for(admin: Session, cluster: Cluster) -> None:
    """... until the reaper comes, which here does not."""
    caller = cluster.connect()
    with changed(cluster, {"shared_backup.max_backups": "1"}):
        admin.execute("SELECT shared_backup_start('other', true)")
        refusal(admin, START, "53400", "too many")
        ((reaper,),) = admin.execute("SELECT pid FROM shared_backup_reaper()")
        with stopped(reaper):
            admin.execute("SELECT shared_backup_abort('other')")
            caller.submit(START).result(PATIENCE)
        admin.execute(ABORT)
    caller.close()


# The arguments


@pytest.mark.parametrize(
    ("sql", "sqlstate", "says"),
    [
        ("SELECT shared_backup_start(NULL, true)", "22004", "label must not be null"),
        ("SELECT shared_backup_start('a', NULL)", "22004", "must not be null"),
        ("SELECT shared_backup_stop(NULL)", "22004", "label must not be null"),
        ("SELECT shared_backup_stop('a', NULL)", "22004", "must not be null"),
        ("SELECT shared_backup_abort(NULL)", "22004", "label must not be null"),
        ("SELECT shared_backup_renew(NULL)", "22004", "label must not be null"),
        ("SELECT shared_backup_start('')", "22023", "must not be empty"),
        ("SELECT shared_backup_start(repeat('x', 1025))", "22023", "too long"),
        ("SELECT shared_backup_start(E'a\\nSTART TIMELINE: 7')", "22023", "control characters"),
        ("SELECT shared_backup_start('a', true, '0')", "22023", "must be positive"),
        ("SELECT shared_backup_start('a', true, '-1 s')", "22023", "must be positive"),
        ("SELECT shared_backup_renew('a', '0')", "22023", "must be positive"),
        # a NULL label before a bad time to live, and a bad argument before the backup that is not there
        ("SELECT shared_backup_start(NULL, true, '0')", "22004", "label must not be null"),
        ("SELECT shared_backup_stop('')", "22023", "must not be empty"),
    ],
)
def test_a_bad_argument_is_refused_and_leaves_nothing(admin: Session, sql: str, sqlstate: str, says: str) -> None:
    assert helps(refusal(admin, sql, sqlstate, says))
    assert admin.execute(LIST) == []


# The backup is not there, or not the caller's, or not in the right state


@pytest.mark.usefixtures("forgetful")
def test_an_unknown_label_tells_since_when_the_server_has_been_up(admin: Session) -> None:
    for function in (STOP, ABORT, RENEW):
        error = refusal(admin, function, "42704", '"a" does not exist')
        assert re.search(r"up since \d{4}-\d\d-\d\d .*do not survive a restart", error.hint or "")


@pytest.mark.usefixtures("result_limits")
def test_an_unknown_label_tells_when_results_were_last_forgotten_early(
    admin: Session, cluster: Cluster, client: Client
) -> None:
    """... beside since when the server has been up, which is another time."""
    before = times(refusal(admin, STOP, "42704", '"a" does not exist'))
    client.freeze()
    admin.execute("SELECT shared_backup_clock_advance('1 day')")
    with changed(cluster, {"shared_backup.max_results": "0"}):
        admin.execute("SELECT shared_backup_start('early', true)")
        admin.execute("SELECT shared_backup_stop('early', false)")
        after = times(refusal(admin, STOP, "42704", '"a" does not exist'))
    assert after[0] == before[0], "the server has not been restarted"
    assert after[1] > after[0], f"results were forgotten at {after[1]}, before the server was up"


def times(error: SqlError) -> list[str]:
    """The times in the hint."""
    return re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", error.hint or "")


def test_where_backups_survive_a_restart_nobody_is_told_otherwise(durable: Client) -> None:
    for function in (STOP, ABORT, RENEW):
        error = refusal(durable.admin, function, "42704", '"a" does not exist')
        assert "restart" not in f"{error.detail} {error.hint}"


def test_every_refusal_about_a_backup_helps(admin: Session, cluster: Cluster, client: Client) -> None:
    admin.execute(START)
    assert helps(refusal(admin, START, "42710", '"a" already exists'))
    token = str(admin.execute("SELECT token FROM shared_backups")[0][0])
    for function in FENCED:
        error = refusal(admin, function, "55000", f"does not have the token {NO_TOKEN}")
        assert error.detail
        assert error.hint
        assert token not in f"{error.message}{error.detail}{error.hint}", "the right token is told"
    client.set(max_backups=1)
    assert helps(refusal(admin, "SELECT shared_backup_start('b', true)", "53400", "too many"))
    client.set(max_backups=client.design.settings.max_backups)
    admin.execute("SELECT pg_backup_start('own', true)")
    for function in (STOP, ABORT):
        assert helps(refusal(admin, function, "55000", "in progress in this session"))
    for function in FENCED:  # comes first
        refusal(admin, function, "55000", "does not have the token")
    admin.execute("SELECT pg_backup_stop(false)")
    admin.execute(STOP)
    for function in (ABORT, RENEW):
        assert helps(refusal(admin, function, "55000", "already been stopped"))
    for function in FENCED:  # comes first
        refusal(admin, function, "55000", "does not have the token")


def test_an_expired_backup_says_when_and_what_to_do(admin: Session) -> None:
    admin.execute("SELECT shared_backup_start('a', true, '10 s')")
    admin.execute("SELECT shared_backup_clock_advance('10 s')")
    for function in (STOP, ABORT, RENEW, *FENCED):
        error = refusal(admin, function, "55000", "has expired")
        assert error.detail
        assert error.hint
    assert not forced_full_page_writes(admin)


def test_a_role_that_may_not_stop_it_is_told_so_before_anything_else(
    admin: Session, cluster: Cluster, client: Client
) -> None:
    admin.execute("CREATE ROLE outsider LOGIN")
    for function in SHARED.functions:
        admin.execute(f"GRANT EXECUTE ON FUNCTION {function} TO outsider")
    try:
        client.set(stop_policy="owner")
        outsider = cluster.connect("outsider")
        admin.execute("SELECT shared_backup_start('a', true, '10 s')")
        for function in (STOP, ABORT, RENEW, *FENCED):
            assert helps(refusal(outsider, function, "42501", 'permission denied for shared backup "a"'))
        admin.execute("SELECT shared_backup_clock_advance('10 s')")
        for function in (STOP, ABORT, RENEW):
            refusal(outsider, function, "42501", 'permission denied for shared backup "a"')
        assert helps(refusal(outsider, START, "42710", '"a" already exists'))
        outsider.close()
    finally:
        client.set(stop_policy="any")
        admin.execute("DROP OWNED BY outsider")
        admin.execute("DROP ROLE outsider")


# Operations under way


@contextmanager
def slow_start(cluster: Cluster, admin: Session) -> Iterator[tuple[Session, Pending]]:
    """A start under way: it waits for a checkpoint that takes its time, with enough dirty buffers to be spread out."""
    admin.execute("CREATE TABLE dirty AS SELECT repeat('x', 2000) FROM generate_series(1, 20000)")
    session = cluster.connect()
    pending = session.submit("SELECT shared_backup_start('a', false)")
    try:
        cluster.wait_until(lambda: state(admin) == "starting" or pending.done(), PATIENCE, "the start to be under way")
        assert not pending.done(), "the checkpoint was over too soon to look at a start under way"
        yield session, pending
    finally:
        session.cancel()
        with suppress(SqlError):
            pending.result(PATIENCE)
        session.close()
        admin.execute("DROP TABLE dirty")


@pytest.fixture
def starting(cluster: Cluster, admin: Session) -> Iterator[tuple[Session, Pending]]:
    """See ``slow_start``."""
    with slow_start(cluster, admin) as under_way:
        yield under_way


def state(session: Session) -> str | None:
    """The state of label ``a`` in the view."""
    rows = session.execute("SELECT state FROM shared_backups WHERE label = 'a'")
    return str(rows[0][0]) if rows else None


def test_a_backup_that_is_starting_is_in_use(admin: Session, starting: tuple[Session, Pending]) -> None:
    for function in (STOP, ABORT, RENEW, *FENCED):
        assert helps(refusal(admin, function, "55006", "is being started"))
    refusal(admin, START, "42710", '"a" already exists')
    columns = "start_lsn, start_time, expires_at, stop_lsn, stop_time, from_standby, token"
    assert admin.execute(f"SELECT {columns} FROM shared_backups") == [(None,) * 7]


def test_a_cancelled_start_leaves_no_trace(cluster: Cluster, admin: Session, starting: tuple[Session, Pending]) -> None:
    session, pending = starting
    session.cancel()
    with pytest.raises(SqlError) as cancelled:
        pending.result(PATIENCE)
    assert cancelled.value.sqlstate == "57014"
    assert admin.execute(LIST) == []
    assert not forced_full_page_writes(admin)
    admin.execute(START)
    admin.execute(ABORT)


def test_a_start_whose_session_is_terminated_leaves_no_trace(
    cluster: Cluster, admin: Session, starting: tuple[Session, Pending]
) -> None:
    session, pending = starting
    admin.execute("SELECT pg_terminate_backend(%s)", (session.pid,))
    with pytest.raises(SqlError):
        pending.result(PATIENCE)
    cluster.wait_until(lambda: state(admin) is None, PATIENCE, "the label to be free again")
    cluster.wait_until(lambda: not forced_full_page_writes(admin), PATIENCE, "core to be released")


@pytest.mark.usefixtures("starters")
def test_a_start_cancelled_after_it_has_completed_has_taken_place(
    cluster: Cluster, admin: Session, starting: tuple[Session, Pending]
) -> None:
    """The caller stands still while the backup becomes active: others have seen it, so the cancel undoes nothing."""
    session, pending = starting
    os.kill(session.pid, signal.SIGSTOP)
    try:
        admin.execute("CHECKPOINT")
        cluster.wait_until(lambda: state(admin) == "active", PATIENCE, "the start to complete")
        assert forced_full_page_writes(admin)
        session.cancel()
    finally:
        os.kill(session.pid, signal.SIGCONT)
    with pytest.raises(SqlError) as cancelled:
        pending.result(PATIENCE)
    assert cancelled.value.sqlstate == "57014"
    assert state(admin) == "active"
    assert forced_full_page_writes(admin), "the backup is active, and core does not run it"
    admin.execute(ABORT)


def test_a_cancelled_start_puts_back_the_result_it_was_to_replace(cluster: Cluster, admin: Session) -> None:
    admin.execute(START)
    first = admin.execute(STOP)
    with slow_start(cluster, admin) as (session, pending):
        session.cancel()
        with pytest.raises(SqlError):
            pending.result(PATIENCE)
        assert admin.execute(STOP) == first


def test_a_cancelled_wait_for_the_archive_loses_nothing(instrumented: Build) -> None:
    """The stop took place: asked again, it gives the row that the cancelled call would have given."""
    with open_cluster(instrumented, settings={**PROBED, "archive_mode": "on", "archive_command": "false"}) as server:
        admin, session = server.connect(), server.connect()
        admin.execute("CREATE EXTENSION shared_backup")
        admin.execute(START)
        pending = session.submit(f"SELECT {COLUMNS} FROM shared_backup_stop('a')")
        server.wait_until(lambda: state(admin) == "stopped", PATIENCE, "the stop to wait for the archive")
        assert not pending.done()
        session.cancel()
        with pytest.raises(SqlError) as cancelled:
            pending.result(PATIENCE)
        assert cancelled.value.sqlstate == "57014"
        row = admin.execute(STOP)
        assert row == session.execute(STOP)
        server.configure({"archive_command": "true"})
        server.reload()
        assert session.execute(f"SELECT {COLUMNS} FROM shared_backup_stop('a')") == row


# A standby


@pytest.fixture
def replicated(instrumented: Build) -> Iterator[tuple[Cluster, Session, Session]]:
    """A primary, a session on it, and a session on its standby, where a backup ``a`` has been started."""
    with open_cluster(instrumented, settings={"full_page_writes": "on"}) as primary:
        admin = primary.connect()
        admin.execute("CREATE EXTENSION shared_backup")
        with open_standby(primary) as standby:
            session = standby.connect()
            admin.execute("CHECKPOINT")
            await_restartpoint(standby, admin, session)
            session.execute(START)
            yield primary, admin, session
            session.close()
        admin.close()


def test_on_a_standby_the_wal_level_of_the_primary_counts(instrumented: Build) -> None:
    """As for core's own functions. Its own can be lower if neither of the two streams WAL."""
    with open_cluster(instrumented, settings={"full_page_writes": "on", "max_wal_senders": "0"}) as server:
        server.connect().execute("CREATE EXTENSION shared_backup")
        server.stop()
        leave_signal(server.data_dir, "standby.signal", server.user)
        server.configure({"wal_level": "minimal", "restore_command": "false"})
        server.start()
        session = server.connect()
        assert session.execute("SELECT pg_is_in_recovery()") == [(True,)]
        session.execute("SELECT pg_backup_start('core', true)")
        session.execute("SELECT pg_backup_stop(false)")
        for call in (START, RENEW, STOP, "SELECT shared_backup_start('b', true)", "SELECT shared_backup_abort('b')"):
            session.execute(call)
        session.close()


def test_a_standby_promoted_since_the_start_refuses_the_stop_and_keeps_nothing(
    replicated: tuple[Cluster, Session, Session],
) -> None:
    _, _, session = replicated
    assert session.execute("SELECT state, from_standby FROM shared_backups") == [("active", True)]
    session.execute("SELECT pg_promote(true, 60)")
    assert helps(refusal(session, STOP, "55000", "the standby was promoted during online backup"))
    assert session.execute(LIST) == []


def test_wal_without_full_pages_refuses_a_stop_on_a_standby(replicated: tuple[Cluster, Session, Session]) -> None:
    primary, admin, session = replicated
    primary.configure({"full_page_writes": "off"})
    primary.reload()
    admin.execute("CREATE TABLE written AS SELECT 1")
    admin.execute("CHECKPOINT")
    await_restartpoint(primary, admin, session)
    assert helps(refusal(session, STOP, "55000", '"?full_page_writes=off"? was replayed'))
    assert session.execute(LIST) == []
