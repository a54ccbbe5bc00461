"""What people write around the calls changes nothing about them: transactions of any kind, plans, blocks, triggers.

Nothing here is transactional: what a call has done stays done, whatever becomes of the statement around it.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.building.build import Build
from harness.server.cluster import Cluster, open_cluster
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Session, SqlError
from properties.recording.tally import Tally
from properties.support.readme import section
from properties.support.servers import PROBED

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "tokens")]

SETTINGS = {**PROBED, "shared_preload_libraries": "shared_backup", "max_prepared_transactions": "5"}
ISOLATION = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "SERIALIZABLE READ ONLY DEFERRABLE")
START = "SELECT token FROM shared_backup_start('it', true)"
STOP = "SELECT repeated FROM shared_backup_stop('it', false)"
STATES = "SELECT label, state FROM shared_backups ORDER BY label"
PARALLEL = {
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
    "min_parallel_table_scan_size": "0",
    "max_parallel_workers_per_gather": "2",
}


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[Cluster]:
    with open_cluster(instrumented, settings=SETTINGS) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        prepare_probe(session)
        session.close()
        yield server


@pytest.fixture
def session(server: Cluster) -> Iterator[Session]:
    """A session on the server, with nothing remembered."""
    session = server.connect()
    yield session
    session.execute("SELECT shared_backup_start(label, true) FROM shared_backups WHERE state = 'stopped'")
    session.execute("SELECT shared_backup_abort(label) FROM shared_backups")
    assert not forced_full_page_writes(session), "core still forces full-page writes"
    session.close()


# Transactions


@pytest.mark.parametrize(("isolation", "access"), list(itertools.product(ISOLATION, ["READ WRITE", "READ ONLY"])))
def test_a_transaction_of_any_kind_does_it(
    server: Cluster, session: Session, isolation: str, access: str, tally: Tally
) -> None:
    """As core's own functions, they write nothing that a transaction could."""
    kind = isolation if "READ ONLY" in isolation else f"{isolation}, {access}"
    other = server.connect()
    with tally.example():
        for statement, answer in ((START, None), (STOP, [(False,)]), (STOP, [(True,)])):
            session.execute(f"BEGIN TRANSACTION ISOLATION LEVEL {kind}")
            session.execute("SELECT count(*) FROM pg_class")
            found = session.execute(statement)
            assert answer in (None, found)
            assert other.execute(STATES) == session.execute(STATES), "it is seen when the transaction has ended"
            session.execute("COMMIT")
        assert session.execute(STATES) == [("it", "stopped")]
        tally.steps += 3
    other.close()


@pytest.mark.parametrize("end", ["COMMIT PREPARED 'two'", "ROLLBACK PREPARED 'two'"])
def test_a_transaction_that_is_prepared_keeps_no_backup_waiting(server: Cluster, session: Session, end: str,
                                                                tally: Tally) -> None:  # fmt: skip
    with tally.example():
        session.execute("BEGIN")
        session.execute(START)
        session.execute("PREPARE TRANSACTION 'two'")
        other = server.connect()
        assert other.execute(STOP) == [(False,)]
        other.close()
        session.execute(end)
        assert session.execute(STATES) == [("it", "stopped")]
        tally.steps += 2


def test_an_error_that_a_block_catches_undoes_nothing_and_spoils_nothing(session: Session, tally: Tally) -> None:
    """Of each call, good and bad, in subtransactions of one block."""
    with tally.example():
        session.execute(
            """DO $$
            DECLARE
                calls text[] := ARRAY[
                    'stop(''none'')', 'start(''it'', true)', 'start(''it'', true)', 'abort(''none'')',
                    'start(''other'', true)', 'renew(''other'', ''-1 day'')', 'stop(''other'', false)',
                    'renew(''it'', ''1 day'')', 'renew(''other'', ''1 day'')', 'start('''', true)'];
                call text;
            BEGIN
                FOREACH call IN ARRAY calls LOOP
                    BEGIN
                        EXECUTE 'SELECT shared_backup_' || call;
                        RAISE EXCEPTION 'undo this';
                    EXCEPTION WHEN OTHERS THEN
                        NULL;
                    END;
                END LOOP;
            END $$"""
        )
        assert session.execute(STATES) == [("it", "active"), ("other", "stopped")]
        assert session.execute("SELECT expires_at > now() FROM shared_backups WHERE label = 'it'") == [(True,)]
        tally.steps += 10


def test_a_session_that_is_made_as_new_lets_no_backup_go(session: Session, tally: Tally) -> None:
    """As poolers do between two clients."""
    with tally.example():
        session.execute(START)
        session.execute("DISCARD ALL")
        assert session.execute(STATES) == [("it", "active")]
        assert forced_full_page_writes(session)
        tally.steps += 1


# Plans


def test_a_plan_that_is_only_shown_starts_nothing(session: Session, tally: Tally) -> None:
    with tally.example():
        for function in ("start('it', true)", "stop('it')", "abort('it')", "renew('it')"):
            session.execute(f"EXPLAIN (VERBOSE) SELECT shared_backup_{function}")
            session.execute(f"PREPARE planned AS SELECT shared_backup_{function}")
            session.execute("DEALLOCATE planned")
        assert session.execute(STATES) == []
        session.execute(f"EXPLAIN (ANALYZE) {START}")
        assert session.execute(STATES) == [("it", "active")]
        tally.steps += 1


def test_a_query_over_many_labels_calls_once_for_each(session: Session, tally: Tally) -> None:
    """... also where it ends what it reads."""
    with tally.example():
        many = "SELECT count(DISTINCT (shared_backup_start('many ' || n, true)).token) FROM generate_series(1, 5) n"
        assert session.execute(many) == [(5,)]
        assert session.execute("SELECT count(*) FROM shared_backups WHERE state = 'active'") == [(5,)]
        stopped = "SELECT s.repeated FROM shared_backups b, LATERAL shared_backup_stop(b.label, false, b.token) s"
        assert session.execute(stopped) == [(False,)] * 5
        assert {state for _, state in session.execute(STATES)} == {"stopped"}
        tally.steps += 10


def test_all_columns_of_one_call_are_had_where_the_readme_says(session: Session, tally: Tally) -> None:
    """In FROM: ``(f()).*`` is a call for each column, of which the second start fails."""
    with tally.example():
        with pytest.raises(SqlError) as refused:
            session.execute("SELECT (shared_backup_start('it', true)).*")
        assert refused.value.sqlstate == "42710"
        assert session.execute("SELECT (shared_backup_stop('it', false)).*")[0][-1], "the last call was the first"
        assert len(session.execute("SELECT * FROM shared_backup_start('it', true)")[0]) == 2
        assert "once for each column" in section("Functions")
        tally.steps += 3


def test_a_parallel_plan_leaves_the_calls_to_the_leader(session: Session, tally: Tally) -> None:
    """However cheap parallel workers are, and also where the server is told to use one whatever it costs."""
    start, renew, stop, abort = (
        f"SELECT shared_backup_{call} FROM labels"
        for call in ("start(label, true)", "renew(label, '1 day')", "stop(label, false)", "abort(label)")
    )
    views = ("SELECT * FROM shared_backups", "SELECT * FROM shared_backup_starters")
    with tally.example():
        session.execute("CREATE TABLE labels AS SELECT 'label ' || n AS label FROM generate_series(1, 3) n")
        session.execute("ANALYZE labels")
        for name, value in {**PARALLEL, forcing(session): "on"}.items():
            session.execute(f"SET {name} = {value}")
        assert list(below_gather(plan(session, "SELECT * FROM labels"))), "there is no parallel plan to be had"
        for query in (start, renew, *views, stop, start, abort):
            ours = [node for node in below_gather(plan(session, query)) if "shared_backup" in json.dumps(node)]
            assert ours == []
            session.execute(query)
            tally.steps += 1
        session.execute("RESET ALL")
        session.execute("DROP TABLE labels")


def forcing(session: Session) -> str:
    """The setting that has all queries use a parallel worker that may."""
    names = "SELECT name FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode')"
    return str(session.execute(names)[0][0])


def plan(session: Session, query: str) -> dict[str, Any]:
    """The plan of a query; nodes are nested."""
    return dict(session.execute(f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {query}")[0][0][0]["Plan"])


def below_gather(node: dict[str, Any], below: bool = False) -> Iterator[dict[str, Any]]:
    """What the workers do: the nodes below the ones that gather their rows, without those below these."""
    children = node.get("Plans", [])
    if below:
        yield {name: value for name, value in node.items() if name != "Plans"}
    for child in children:
        yield from below_gather(child, below or node["Node Type"].startswith("Gather"))


# Event triggers


GUARD = """
CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM shared_backups WHERE state IN ('starting', 'active', 'stopping')) THEN
        RAISE EXCEPTION 'a backup is live' USING ERRCODE = '55006';
    END IF;
END $$
"""


def test_an_event_trigger_may_keep_the_extension_while_backups_are_live(session: Session, tally: Tally) -> None:
    """As an administrator might have it: a warning is not enough."""
    with tally.example():
        session.execute(GUARD)
        session.execute(
            "CREATE EVENT TRIGGER guard ON ddl_command_start WHEN TAG IN ('DROP EXTENSION', 'ALTER EXTENSION')"
            " EXECUTE FUNCTION guard()"
        )
        session.execute(START)
        for statement in ("DROP EXTENSION shared_backup", "ALTER EXTENSION shared_backup SET SCHEMA pg_catalog"):
            with pytest.raises(SqlError, match="a backup is live"):
                session.execute(statement)
        assert session.execute(STATES) == [("it", "active")]
        session.execute("SELECT shared_backup_abort('it')")
        session.execute("DROP EXTENSION shared_backup")
        session.execute("DROP EVENT TRIGGER guard")
        session.execute("DROP FUNCTION guard()")
        session.execute("CREATE EXTENSION shared_backup")
        tally.steps += 2


def test_an_event_trigger_sees_all_that_goes_with_the_extension(session: Session, tally: Tally) -> None:
    with tally.example():
        session.execute("CREATE TABLE gone (identity text)")
        session.execute(
            "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO gone SELECT object_identity FROM pg_event_trigger_dropped_objects(); END $$"
        )
        session.execute("CREATE EVENT TRIGGER note ON sql_drop EXECUTE FUNCTION note()")
        session.execute(START)
        session.execute("DROP EXTENSION shared_backup")
        session.execute("DROP EVENT TRIGGER note")
        session.execute("CREATE EXTENSION shared_backup")
        gone = {identity for (identity,) in session.execute("SELECT identity FROM gone")}
        assert {"shared_backup", "public.shared_backups", "public.shared_backup_list()"} <= gone
        assert session.execute(STATES) == [("it", "active")]
        session.execute("DROP TABLE gone; DROP FUNCTION note()")
        tally.steps += 1
