"""ALTER EXTENSION UPDATE leaves open backups as they are: they are in the server's memory, and not in the catalogue.

There is one version so far. The next one is made up here, in a copy of the sources: its script does what such scripts
have to, and drops and makes again what it changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.building.build import Build, Flavour, Special, build, read_sources
from harness.clients.labelfile import parse_label_file
from harness.machine.postgres import Postgres
from harness.machine.project import EXTENSION
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Pending, Session, SqlError
from properties.recording.tally import Tally
from properties.support.servers import PROBED

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "tokens", "instruments")]

PATIENCE = 30.0
DATA = "DATA = shared_backup--1.0.sql"
SCRIPT = r"""
\echo Use "ALTER EXTENSION shared_backup UPDATE TO '1.1'" to load this file. \quit
DROP VIEW shared_backups;
DROP FUNCTION shared_backup_list();
CREATE FUNCTION shared_backup_list(OUT label text, OUT state text, OUT owner name, OUT start_lsn pg_lsn,
    OUT start_time timestamptz, OUT expires_at timestamptz, OUT stop_lsn pg_lsn, OUT stop_time timestamptz,
    OUT from_standby boolean, OUT token uuid)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'shared_backup_list'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE VIEW shared_backups AS
    SELECT *, state IN ('starting', 'active', 'stopping') AS live FROM shared_backup_list();
DROP FUNCTION shared_backup_renew(text, interval, uuid);
CREATE FUNCTION shared_backup_renew(label text, ttl interval DEFAULT NULL, token uuid DEFAULT NULL)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'shared_backup_renew'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION shared_backup_list() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_renew(text, interval, uuid) FROM PUBLIC;
"""
UPDATE = "ALTER EXTENSION shared_backup UPDATE TO '1.1'"
VERSION = "SELECT extversion FROM pg_extension WHERE extname = 'shared_backup'"
SHOWN = "SELECT label, state, owner::text, start_lsn::text, token FROM shared_backups ORDER BY label"
START = "SELECT token FROM shared_backup_start('{}', true)"
STOP = "SELECT labelfile, controlfile IS NULL, repeated FROM shared_backup_stop('{}', false)"
TAKEN, CORE_ENDED = "start-taken", "stop-core-ended"
SCHEMA = "backups"


class Open(NamedTuple):
    """Backups in every state, of which two are under way."""

    starting: Pending
    stopping: Pending
    shown: list[tuple[object, ...]]


@pytest.fixture(scope="module")
def next_version(
    postgres: Postgres, workdir: Path, special: Special | None, tmp_path_factory: pytest.TempPathFactory
) -> Build:
    """The extension with a script that leads on to the next version."""
    sources = tmp_path_factory.mktemp("next") / "extension"
    sources.mkdir()
    for name, content in read_sources(EXTENSION).items():
        (sources / name).write_bytes(content)
    makefile = (sources / "Makefile").read_text(encoding="utf-8")
    assert makefile.count(DATA) == 1
    (sources / "Makefile").write_text(makefile.replace(DATA, f"{DATA} shared_backup--1.0--1.1.sql"), encoding="utf-8")
    (sources / "shared_backup--1.0--1.1.sql").write_text(SCRIPT, encoding="utf-8")
    kept = special if special is Special.SANITIZERS else None  # lines are counted in the extension itself
    return build(postgres, Flavour.INSTRUMENTED, workdir, sources=sources, special=kept)


@contextmanager
def version_one(build: Build, **settings: str) -> Iterator[tuple[Cluster, Session]]:
    """A server with today's version in a schema of its own, and a superuser's session there."""
    with open_cluster(build, settings={**PROBED, "shared_preload_libraries": "shared_backup", **settings}) as server:
        session = server.connect()
        for statement in (
            f"CREATE SCHEMA {SCHEMA}",
            f"CREATE EXTENSION shared_backup SCHEMA {SCHEMA} VERSION '1.0'",
            "CREATE EXTENSION shared_backup_instruments",
            f"ALTER DATABASE postgres SET search_path = {SCHEMA}, public",
        ):
            session.execute(statement)
        session.close()
        session = server.connect()
        prepare_probe(session)
        yield server, session
        session.close()


def open_backups(server: Cluster, session: Session, points: InjectionPoints) -> Open:
    """Has backups in every state."""
    for label in ("active", "stopped", "stopping"):
        session.execute(START.format(label))
    session.execute(STOP.format("stopped"))
    points.attach(TAKEN, "starting")
    points.attach(CORE_ENDED, "stopping")
    starting = server.connect().submit(START.format("starting"))
    stopping = server.connect().submit(STOP.format("stopping"))
    assert points.arrived(TAKEN, "starting", starting.done), starting.result()
    assert points.arrived(CORE_ENDED, "stopping", stopping.done), stopping.result()
    return Open(starting, stopping, session.execute(SHOWN))


def finish(session: Session, points: InjectionPoints, before: Open) -> None:
    """All goes on that was open, and comes to its end."""
    assert session.execute(SHOWN) == before.shown
    assert forced_full_page_writes(session), "core has let the backups go"
    points.detach()
    ((token,),) = before.starting.result(PATIENCE)
    assert before.stopping.result(PATIENCE)[0][1:] == (True, False)
    assert session.execute("SELECT state, token FROM shared_backups WHERE label = 'starting'") == [("active", token)]
    session.execute("SELECT shared_backup_renew('active', '1 day')")
    for label, repeated in (("active", False), ("starting", False), ("stopped", True), ("stopping", True)):
        ((text, no_control_file, again),) = session.execute(STOP.format(label))
        assert (parse_label_file(text).label, no_control_file, again) == (label, True, repeated)
    assert not forced_full_page_writes(session), "core still forces full-page writes"


def test_backups_in_every_state_go_on_over_an_update(next_version: Build, tally: Tally) -> None:
    with tally.example(), version_one(next_version) as (server, session):
        points = InjectionPoints(session)
        before = open_backups(server, session, points)
        assert {state for _, state, *_ in before.shown} == {"starting", "active", "stopping", "stopped"}
        session.execute(UPDATE)
        assert session.execute(VERSION) == [("1.1",)]
        assert session.execute("SELECT count(*) FROM shared_backups WHERE live") == [(3,)]
        finish(session, points, before)
        tally.steps += len(before.shown)


def test_an_update_that_is_rolled_back_was_none(next_version: Build, tally: Tally) -> None:
    with tally.example(), version_one(next_version) as (server, session):
        points = InjectionPoints(session)
        before = open_backups(server, session, points)
        for statement in ("BEGIN", UPDATE, "ROLLBACK"):
            session.execute(statement)
        assert session.execute(VERSION) == [("1.0",)]
        with pytest.raises(SqlError):
            session.execute("SELECT live FROM shared_backups")
        finish(session, points, before)
        tally.steps += len(before.shown)


def test_durable_backups_survive_an_update_and_a_restart(
    next_version: Build, durable_backups: None, tally: Tally
) -> None:
    """That is how a new version comes: its script is run, and the server is restarted for its library."""
    with tally.example(), version_one(next_version, **durable.SETTINGS) as (server, session):
        ((token,),) = session.execute(START.format("durable"))
        session.execute(UPDATE)
        session.close()
        session = durable.restart(server, "fast")
        assert session.execute("SELECT state, token, live FROM shared_backups") == [("active", token, True)]
        ((text, no_control_file, repeated),) = session.execute(STOP.format("durable"))
        assert (parse_label_file(text).label, no_control_file, repeated) == ("durable", False, False)
        session.close()
        tally.steps += 2


def test_the_next_version_made_anew_is_the_one_that_an_update_makes(next_version: Build, tally: Tally) -> None:
    """The same objects, with the same privileges: PostgreSQL makes it from this one."""
    with tally.example(), version_one(next_version) as (server, session):
        session.execute(UPDATE)
        updated = members(session)
        session.execute("CREATE DATABASE other")
        other = server.connect(dbname="other")
        other.execute(f"CREATE SCHEMA {SCHEMA}")
        other.execute(f"CREATE EXTENSION shared_backup SCHEMA {SCHEMA} VERSION '1.1'")
        assert members(other) == updated
        assert len(updated) >= 8
        other.close()
        tally.steps += 1


def members(session: Session) -> list[tuple[object, ...]]:
    """What the extension has, and who may do what with it."""
    session.execute("SET search_path = pg_catalog")  # all others are named with their schema
    return session.execute(
        "SELECT pg_describe_object(classid, objid, 0),"
        " CASE classid WHEN 'pg_proc'::regclass THEN (SELECT proacl FROM pg_proc WHERE oid = objid)"
        " WHEN 'pg_class'::regclass THEN (SELECT relacl FROM pg_class WHERE oid = objid) END::text"
        " FROM pg_depend WHERE deptype = 'e' AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass) AND refobjid ="
        " (SELECT oid FROM pg_extension WHERE extname = 'shared_backup') ORDER BY 1"
    )
