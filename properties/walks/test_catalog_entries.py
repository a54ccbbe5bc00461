"""What the catalogues say of the extension's functions and views: to the planner and to privileges they are as core's.

A function that is said to be stable may be called by the planner, or less often than it stands there; one that is safe
in parallel may run in a process that is not its session's; one that is SECURITY DEFINER asks about another role. No
call shows that for certain, so the entries are compared with those of pg_backup_start() and pg_backup_stop().
"""

from collections.abc import Iterator

import pytest

from harness.building.build import Build
from harness.server.cluster import open_cluster
from harness.server.session import Row, Session, SqlError

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

MEMBERS = (
    "SELECT objid FROM pg_depend WHERE deptype = 'e' AND classid = '{}'::regclass"
    " AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'shared_backup')"
)
ENTRY = "SELECT proname::text, provolatile, proparallel, prosecdef, proleakproof, proconfig IS NULL FROM pg_proc"
TYPES = {
    "text": "text", "name": "name", "uuid": "uuid", "lsn": "pg_lsn", "time": "timestamp with time zone",
    "flag": "boolean", "bytes": "bytea", "number": "integer", "count": "bigint",
}  # fmt: skip
"""What columns hold, by what they are about."""
KINDS = {
    "label": "text", "state": "text", "owner": "name", "token": "uuid", "start_lsn": "lsn", "stop_lsn": "lsn",
    "lsn": "lsn", "start_time": "time", "stop_time": "time", "expires_at": "time", "since": "time",
    "from_standby": "flag", "repeated": "flag", "labelfile": "text", "spcmapfile": "text", "controlfile": "bytes",
    "pid": "number", "started": "count", "carried": "count", "stopped": "count", "aborted": "count", "expired": "count",
    "failed": "count", "lost": "count",
}  # fmt: skip
"""What each column is about, wherever it is: those that are core's, too, have the types that they have there."""


VIEWS = ("shared_backups", "shared_backup_starters", "shared_backup_stats")


@pytest.fixture(scope="module")
def session(instrumented: Build) -> Iterator[Session]:
    with open_cluster(instrumented) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        yield session
        session.close()


def test_to_the_planner_all_functions_are_what_those_of_core_are(session: Session) -> None:
    core: set[Row] = {row[1:] for row in session.execute(f"{ENTRY} WHERE proname ~ '^pg_backup_(start|stop)$'")}
    assert core == {("v", "r", False, False, True)}
    ours = session.execute(f"{ENTRY} WHERE oid IN ({MEMBERS.format('pg_proc')})")
    assert len(ours) >= 6
    assert {name: entry for name, *entry in ours if tuple(entry) not in core} == {}


def test_what_takes_no_arguments_is_all_that_is_strict(session: Session) -> None:
    """The others tell what must not be null."""
    query = "SELECT proname::text, proisstrict, pronargs = 0 FROM pg_proc WHERE oid IN ({})"
    entries = session.execute(query.format(MEMBERS.format("pg_proc")))
    assert {name for name, strict, without in entries if strict != without} == set()


def test_a_column_has_one_type_wherever_it_is(session: Session) -> None:
    views = session.execute(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute JOIN pg_class ON oid = attrelid"
        f" WHERE relkind = 'v' AND attnum > 0 AND attrelid IN ({MEMBERS.format('pg_class')})"
    )
    results = session.execute(
        "SELECT name, format_type(type, NULL) FROM pg_proc, unnest(proargnames, proallargtypes, proargmodes)"
        f" AS t (name, type, mode) WHERE mode = 'o' AND pg_proc.oid IN ({MEMBERS.format('pg_proc')})"
    )
    assert len(views) >= 14
    assert {name for name, _ in views + results} == KINDS.keys()
    assert {(name, found) for name, found in views + results if found != TYPES[KINDS[name]]} == set()


def test_of_the_roles_that_postgresql_has_itself_only_pg_monitor_sees_backups(session: Session) -> None:
    """Nor may any of them do anything with one: EXECUTE is to be granted by somebody."""
    query = "SELECT rolname::text FROM pg_roles WHERE rolname ~ '^pg_' AND rolname <> 'pg_database_owner'"
    roles = [name for (name,) in session.execute(query)]  # that one can have no members
    assert len(roles) >= 10
    session.execute("CREATE ROLE probe")
    seen = {(role, relation) for role in roles for relation in VIEWS if may(session, role, f"SELECT FROM {relation}")}
    assert seen == {("pg_monitor", relation) for relation in VIEWS}
    functions = session.execute(
        f"SELECT oid::regprocedure::text FROM pg_proc WHERE oid IN ({MEMBERS.format('pg_proc')})"
        " AND proname !~ '_list$'"
    )
    assert len(functions) >= 4
    executing = (
        "SELECT rolname::text FROM pg_roles WHERE rolname ~ '^pg_' AND has_function_privilege(oid, %s, 'execute')"
    )
    assert [(function, session.execute(executing, (function,))) for (function,) in functions] == [
        (function, []) for (function,) in functions
    ]


def may(session: Session, role: str, query: str) -> bool:
    """May somebody do this who is a member of that role, and of no other?"""
    session.execute(f"GRANT {role} TO probe")
    session.execute("SET ROLE probe")
    try:
        session.execute(query)
    except SqlError as error:
        if error.sqlstate != "42501":
            raise
        return False
    finally:
        session.execute("RESET ROLE")
        session.execute(f"REVOKE {role} FROM probe")
    return True
