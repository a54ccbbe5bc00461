"""The extension works in any schema, whatever the callers' search paths lead to, and stays as it was through a dump.

Beside its functions lies a trap: a schema with operators, functions and types of the names that everybody uses, each of
which raises an error. Who has it first in the search path falls into it, if the name is not qualified.
"""

from collections.abc import Iterator

import pytest

from harness.building.build import Build
from harness.clients.labelfile import parse_label_file
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.programs import address, run_program
from harness.server.session import Row, Session, SqlError
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "tokens", "instruments")]

PATIENCE = 30.0
OPERANDS = ("text", "name", "uuid", "pg_lsn", "timestamptz", "int4", "bool")
OPERATORS = ("=", "<>", "<", ">", "<=", ">=")
NAMES = ("now", "clock_timestamp", "statement_timestamp", "pg_is_in_recovery", "version", "pg_backend_pid")
DOMAINS = ("text", "name", "uuid", "pg_lsn", "timestamptz", "bool", "bytea", "int4")
OURS = (
    "shared_backup_start(pg_catalog.text, pg_catalog.bool, pg_catalog.interval)",
    "shared_backup_stop(pg_catalog.text, pg_catalog.bool, pg_catalog.uuid)",
    "shared_backup_list()",
)
SPRUNG = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it is a trap'; END $$"
HOSTILE = "trap, pg_catalog, backups"
OUR_START = "SELECT shared_backup_start('it', true, NULL)"
START = "SELECT start_lsn, token FROM backups.shared_backup_start('it', true)"
FUNCTIONS = "shared_backup_start, shared_backup_stop, shared_backup_abort, shared_backup_renew"


def traps(schema: str) -> Iterator[str]:
    """What is laid in a schema, for all who look there before they look elsewhere."""
    for kind in OPERANDS:
        pair = f"pg_catalog.{kind}, pg_catalog.{kind}"
        yield f"CREATE FUNCTION {schema}.trap({pair}) RETURNS pg_catalog.bool {SPRUNG}"
        for operator in OPERATORS:
            sides = f"LEFTARG = pg_catalog.{kind}, RIGHTARG = pg_catalog.{kind}"
            yield f"CREATE OPERATOR {schema}.{operator} ({sides}, FUNCTION = {schema}.trap)"
    for name in NAMES:
        yield f"CREATE FUNCTION {schema}.{name}() RETURNS pg_catalog.bool {SPRUNG}"
    for name in ("shared_backup_list", "shared_backup_starter_list"):
        yield f"CREATE FUNCTION {schema}.{name}(VARIADIC n pg_catalog.int4[]) RETURNS pg_catalog.bool {SPRUNG}"
    for name in DOMAINS:
        yield f"CREATE DOMAIN {schema}.{name} AS pg_catalog.point"


@pytest.fixture
def server(instrumented: Build) -> Iterator[Cluster]:
    with open_cluster(instrumented, settings={"shared_preload_libraries": "shared_backup"}) as server:
        yield server


@pytest.fixture
def session(server: Cluster) -> Iterator[Session]:
    """A superuser's, in a database with the traps, and with the extension in the schema ``backups``."""
    session = server.connect()
    for statement in ("CREATE SCHEMA trap", "CREATE SCHEMA backups", *traps("trap")):
        session.execute(statement)
    for name in OURS:
        session.execute(f"CREATE FUNCTION trap.{name} RETURNS pg_catalog.bool {SPRUNG}")
    session.execute("CREATE VIEW trap.shared_backups AS SELECT trap.now() AS label")
    session.execute("CREATE EXTENSION shared_backup SCHEMA backups")
    session.execute("CREATE EXTENSION shared_backup_instruments")
    yield session
    session.close()


def test_the_traps_work(session: Session) -> None:
    session.execute(f"SET search_path = {HOSTILE}")
    for query in ("SELECT now()", "SELECT 1 = 1", "SELECT * FROM shared_backups", OUR_START):
        with pytest.raises(SqlError, match="it is a trap"):
            session.execute(query)
    with pytest.raises(SqlError, match="type point"):
        session.execute("SELECT 'x'::text")


def test_whatever_the_search_path_leads_to_a_qualified_call_does_the_same(session: Session, tally: Tally) -> None:
    with tally.example():
        session.execute(f"SET search_path = {HOSTILE}")
        ((start_lsn, token),) = session.execute(START)
        shown = "SELECT state, start_lsn, token, expires_at FROM backups.shared_backups"
        assert session.execute(shown) == [("active", start_lsn, token, None)]
        ((deadline,),) = session.execute("SELECT backups.shared_backup_renew('it', '1 day', %s)", (token,))
        assert session.execute(shown) == [("active", start_lsn, token, deadline)]
        session.execute("SELECT * FROM backups.shared_backup_starters")  # the warm one may not be there yet
        for repeated in (False, True):
            stop = "SELECT labelfile, repeated FROM backups.shared_backup_stop('it', false, %s)"
            ((text, again),) = session.execute(stop, (token,))
            assert (parse_label_file(text).label, again) == ("it", repeated)
        session.execute(START)
        session.execute("SELECT backups.shared_backup_abort('it')")
        assert session.execute(shown) == []
        tally.steps += 8


@pytest.mark.parametrize("target", ["clean", "trapped"])
def test_whatever_the_search_path_leads_to_the_same_extension_is_made(
    server: Cluster, session: Session, target: str, tally: Tally
) -> None:
    """Also where the traps are in the schema that it goes into."""
    with tally.example():
        expected = definitions(session, "backups")
        session.execute("DROP EXTENSION shared_backup CASCADE")
        session.execute(f"CREATE SCHEMA {target}")
        if target == "trapped":
            for statement in traps(target):
                session.execute(statement)
        session.execute(f"SET search_path = {HOSTILE}")
        session.execute(f"CREATE EXTENSION shared_backup SCHEMA {target}")
        assert definitions(session, target) == expected
        assert len(expected) >= 8
        tally.steps += 1


def test_a_wrapper_with_a_path_of_its_own_does_what_its_owner_may(
    server: Cluster, session: Session, tally: Tally
) -> None:
    """As an administrator makes one for those who shall not have EXECUTE: nothing of theirs gets into it."""
    with tally.example():
        session.execute("CREATE ROLE guest LOGIN")
        session.execute("GRANT USAGE ON SCHEMA trap TO guest")
        session.execute(
            "CREATE FUNCTION public.begin_backup(label text) RETURNS uuid LANGUAGE sql SECURITY DEFINER"
            " SET search_path = pg_catalog, backups, pg_temp"
            " AS $$ SELECT token FROM shared_backup_start(label, true, '1 hour') WHERE label = label $$"
        )
        guest = server.connect("guest")
        guest.execute(f"SET search_path = {HOSTILE}")
        ((token,),) = guest.execute("SELECT public.begin_backup('it')")
        assert session.execute("SELECT owner, token FROM backups.shared_backups") == [("postgres", token)]
        with pytest.raises(SqlError) as refused:
            guest.execute("SELECT backups.shared_backup_abort('it')")
        assert refused.value.sqlstate == "42501"
        guest.close()
        tally.steps += 2


def test_moved_into_another_schema_it_goes_on_with_what_is_open(
    server: Cluster, session: Session, tally: Tally
) -> None:
    with tally.example():
        ((start_lsn, token),) = session.execute(START)
        points = InjectionPoints(session)
        points.attach("stop-claimed", "it")
        held = server.connect()
        stopping = held.submit("SELECT lsn, repeated FROM backups.shared_backup_stop('it', false)")
        assert points.arrived("stop-claimed", "it", stopping.done)
        session.execute("CREATE SCHEMA elsewhere")
        session.execute("ALTER EXTENSION shared_backup SET SCHEMA elsewhere")
        shown = "SELECT state, start_lsn, token FROM elsewhere.shared_backups"
        assert session.execute(shown) == [("stopping", start_lsn, token)]
        with pytest.raises(SqlError):
            session.execute("SELECT * FROM backups.shared_backups")
        points.detach()
        ((stop_lsn, repeated),) = stopping.result(PATIENCE)
        assert not repeated
        again = "SELECT lsn, repeated FROM elsewhere.shared_backup_stop('it', false, %s)"
        assert session.execute(again, (token,)) == [(stop_lsn, True)]
        held.close()
        tally.steps += 4


def test_databases_with_it_in_different_schemas_see_the_same_backups(
    server: Cluster, session: Session, tally: Tally
) -> None:
    with tally.example():
        session.execute("CREATE DATABASE other")
        other = server.connect(dbname="other")
        other.execute("CREATE EXTENSION shared_backup")
        ((start_lsn, token),) = session.execute(START)
        assert other.execute("SELECT label, start_lsn, token FROM shared_backups") == [("it", start_lsn, token)]
        assert other.execute("SELECT repeated FROM shared_backup_stop('it', false, %s)", (token,)) == [(False,)]
        assert session.execute("SELECT state FROM backups.shared_backups") == [("stopped",)]
        other.close()
        tally.steps += 2


def test_a_dump_has_its_schema_and_who_may_use_it(server: Cluster, session: Session, tally: Tally) -> None:
    if not all(server.build.postgres.binary(name).is_file() for name in ("pg_dump", "psql")):
        pytest.skip("this PostgreSQL comes without pg_dump or psql")
    with tally.example():
        session.execute("CREATE ROLE my_backup_role")
        session.execute("SET search_path = backups")
        session.execute(f"GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO my_backup_role")
        session.execute("REVOKE SELECT ON shared_backups FROM pg_monitor")
        session.execute("CREATE DATABASE restored")
        dump = server.folder / "dump.sql"
        said = run_program(server, "pg_dump", *address(server), "-f", str(dump), "postgres")
        assert said.returncode == 0, said.stderr
        options = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "restored", "-f", str(dump)]
        said = run_program(server, "psql", *address(server), *options)
        assert said.returncode == 0, said.stderr
        other = server.connect(dbname="restored")
        assert definitions(other, "backups") == definitions(session, "backups")
        other.close()
        tally.steps += 1


def definitions(session: Session, schema: str) -> list[Row]:
    """What the extension has made in a schema, by its definition, with all names qualified that are not core's own."""
    session.execute("SET search_path = pg_catalog")
    rows = session.execute(
        "SELECT pg_describe_object(classid, objid, 0), coalesce(proacl, relacl)::text,"
        " CASE WHEN proname IS NOT NULL THEN pg_get_functiondef(objid) ELSE pg_get_viewdef(objid) END"
        " FROM pg_depend LEFT JOIN pg_proc ON classid = 'pg_proc'::regclass AND objid = pg_proc.oid"
        " LEFT JOIN pg_class ON classid = 'pg_class'::regclass AND objid = pg_class.oid"
        " WHERE deptype = 'e' AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass)"
        " AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'shared_backup') ORDER BY 1"
    )
    return [tuple(str(field).replace(f"{schema}.", "") for field in row) for row in rows]
