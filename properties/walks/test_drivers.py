"""Every driver reads what the extension returns, and reads the same: where there is no value, it is told so by NULL."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import pytest

from harness.building.build import Build
from harness.clients.client import Client
from harness.clients.implementation import DURABLE, SHARED, Implementation, install
from harness.clients.labelfile import parse_label_file
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session
from harness.server.wal import lsn_to_int
from model.operations import Hazard
from properties.support.servers import server_settings

pytestmark = pytest.mark.server
PATIENCE = 30.0

Line = dict[str, Any]
"""A row, by the names of its columns."""
Read = Callable[[Cluster, str], list[Line]]
"""Runs a query on a connection of its own, as a superuser; returns what the driver makes of the rows."""

LEASE = timedelta(hours=2)
VIEW = "SELECT * FROM shared_backups"
STARTERS = "SELECT * FROM shared_backup_starters"
STATS = "SELECT * FROM shared_backup_stats"
COUNTERS = ("started", "carried", "stopped", "aborted", "expired", "failed", "lost")
DISTANT = "9000 years"
"""A time to live that ends after the year 9999, with which the dates of many clients end."""
CONTROL_FILE_SIZE = 8192
NOTHING = (None, "", b"")
"""What drivers make of void."""


# The drivers, each as it comes


def by_psycopg(server: Cluster, query: str, *, binary: bool = False) -> list[Line]:
    with psycopg.connect(**server.parameters(), autocommit=True) as connection:
        return lines(connection.execute(query, binary=binary))


def by_psycopg_in_binary(server: Cluster, query: str) -> list[Line]:
    return by_psycopg(server, query, binary=True)


def by_psycopg2(server: Cluster, query: str) -> list[Line]:
    with closing(psycopg2.connect(**server.parameters())) as connection:
        connection.autocommit = True
        return executed(connection.cursor(), query)


def by_pg8000(server: Cluster, query: str) -> list[Line]:
    at = server.parameters()
    socket = f"{at['host']}/.s.PGSQL.{at['port']}"
    with closing(pg8000.dbapi.connect(at["user"], database=at["dbname"], unix_sock=socket)) as connection:
        connection.autocommit = True
        return executed(connection.cursor(), query)


def by_asyncpg(server: Cluster, query: str) -> list[Line]:
    at = server.parameters()

    async def read() -> list[Line]:
        connection = await asyncpg.connect(host=at["host"], port=at["port"], user=at["user"], database=at["dbname"])
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(read())


def executed(cursor: Any, query: str) -> list[Line]:
    cursor.execute(query)
    return lines(cursor)


def lines(cursor: Any) -> list[Line]:
    """What a cursor of PEP 249 has found."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


DRIVERS: dict[str, Read] = {
    "psycopg": by_psycopg,
    "psycopg, binary": by_psycopg_in_binary,
    "psycopg2": by_psycopg2,
    "asyncpg": by_asyncpg,
    "pg8000": by_pg8000,
}


# What a value must be, and means


def text(value: Any) -> str:
    assert type(value) is str
    return value


def boolean(value: Any) -> bool:
    assert type(value) is bool
    return value


def number(value: Any) -> int:
    assert type(value) is int
    return value


def moment(value: Any) -> datetime:
    assert type(value) is datetime
    assert value.tzinfo is not None, f"{value} is of no time zone"
    return value


def identifier(value: Any) -> UUID:
    """Some drivers give the text."""
    return value if isinstance(value, UUID) else UUID(text(value))


def location(value: Any) -> int:
    """A driver that does not know the type gives its text, or the bytes of its binary format."""
    if isinstance(value, bytes):
        return int.from_bytes(value)
    return lsn_to_int(value) if isinstance(value, str) else number(value)


def content(value: Any) -> bytes:
    assert isinstance(value, bytes | memoryview)
    return bytes(value)


MEANINGS: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("label", "state", "owner", "labelfile", "spcmapfile"), text),
    **dict.fromkeys(("start_lsn", "stop_lsn", "lsn"), location),
    **dict.fromkeys(("start_time", "stop_time", "expires_at", "since", "shared_backup_renew"), moment),
    **dict.fromkeys(("from_standby", "repeated"), boolean),
    "token": identifier,
    "controlfile": content,
    **dict.fromkeys(("pid", *COUNTERS), number),
}
"""By column."""


def meant(line: Line) -> Line:
    """The row in values that are the same for all drivers; raises AssertionError if one is not of its column's type."""
    return {name: None if value is None else MEANINGS[name](value) for name, value in line.items()}


def one(read: Read, server: Cluster, query: str) -> Line:
    """The only row, in such values."""
    (line,) = read(server, query)
    return meant(line)


def view(read: Read, server: Cluster) -> dict[str, Line]:
    """The rows of the view by label, in such values."""
    return {line["label"]: meant(line) for line in read(server, VIEW)}


# The properties


@pytest.fixture(autouse=True)
def only_the_extension(implementation: Implementation) -> None:
    if implementation.start != SHARED.start:
        pytest.skip("what is read here is what the extension returns")


@pytest.fixture(params=DRIVERS.values(), ids=list(DRIVERS))
def read(request: pytest.FixtureRequest) -> Read:
    chosen: Read = request.param
    return chosen


@pytest.fixture
def admin(cluster: Cluster, client: Client) -> Iterator[Session]:
    """A superuser on a server without backups, with settings as they come, and a clock that stands still."""
    client.clear()
    client.set_all(client.design.settings)
    session = cluster.connect()
    session.execute(str(SHARED.freeze_clock))
    yield session
    session.close()
    client.clear()


def now(admin: Session) -> datetime:
    """What the clock shows."""
    shown: datetime = admin.execute(str(SHARED.freeze_clock))[0][0]
    return shown


def start(admin: Session, label: str, ttl: str | None = None) -> Line:
    """Starts a backup; returns what the view is to show of it."""
    start_lsn, token = admin.execute(SHARED.start, {"label": label, "fast": True, "ttl": ttl})[0]
    return {
        **{"label": label, "state": "active", "owner": "postgres", "from_standby": False},
        **{"start_lsn": lsn_to_int(start_lsn), "start_time": now(admin), "token": UUID(str(token))},
        **{"expires_at": None, "stop_lsn": None, "stop_time": None},
    }


def test_the_view(cluster: Cluster, admin: Session, read: Read) -> None:
    endless = start(admin, "endless")
    distant = start(admin, "distant", DISTANT)
    expired = {**start(admin, "expired", "1 minute"), "state": "expired"}
    expired["expires_at"] = expired["start_time"] + timedelta(minutes=1)
    stopped = {**start(admin, "stopped"), "state": "stopped"}
    admin.execute("SELECT shared_backup_clock_advance('2 minutes')")
    lsn = admin.execute("SELECT lsn FROM shared_backup_stop('stopped', false)")[0][0]
    stopped |= {"stop_lsn": lsn_to_int(lsn), "stop_time": now(admin)}
    leased = start(admin, "leased", "2 hours")
    leased["expires_at"] = leased["start_time"] + LEASE

    found = view(read, cluster)
    assert found == {line["label"]: line for line in (endless, distant, expired, stopped, leased)}


def test_the_counters(cluster: Cluster, admin: Session, read: Read) -> None:
    before = one(read, cluster, STATS)
    start(admin, "aborted")
    admin.execute("SELECT shared_backup_abort('aborted')")
    after = one(read, cluster, STATS)
    assert {name for name in after if after[name] != before[name]} == {"started", "aborted"}
    assert after.keys() == {*COUNTERS, "since"}


@pytest.mark.usefixtures("starters")
def test_the_views_during_a_start(cluster: Cluster, admin: Session, read: Read) -> None:
    points, starter = InjectionPoints(admin), cluster.connect()
    points.attach("start-taken", "coming")
    pending = starter.submit("SELECT shared_backup_start('coming', true)")
    try:
        points.arrived("start-taken", "coming", pending.done)
        backup = one(read, cluster, VIEW)
        workers = [meant(line) for line in read(cluster, STARTERS)]
    finally:
        points.detach()
        pending.result(PATIENCE)
        starter.close()

    known = {"label": "coming", "state": "starting", "owner": "postgres"}
    assert backup == {**dict.fromkeys(backup), **known}
    (at_work,) = (worker for worker in workers if worker["state"] == "running")
    assert at_work["label"] == "coming"
    assert at_work["pid"] > 0
    assert isinstance(at_work["since"], datetime)
    assert all(worker["label"] is None for worker in workers if worker is not at_work)


@pytest.mark.parametrize("ttl", [None, "2 hours", DISTANT], ids=["no deadline", "a deadline", "a distant deadline"])
def test_the_life_of_a_backup(cluster: Cluster, admin: Session, read: Read, ttl: str | None) -> None:
    """All functions, in turn, by the driver."""
    given = "NULL" if ttl is None else f"'{ttl}'"
    expires_at = now(admin) + LEASE if ttl == "2 hours" else None

    started = one(read, cluster, f"SELECT * FROM shared_backup_start('a', true, {given})")
    shown = view(read, cluster)["a"]
    assert started == {"start_lsn": shown["start_lsn"], "token": shown["token"]}
    assert shown["expires_at"] == expires_at

    assert one(read, cluster, "SELECT shared_backup_renew('a', '5 hours')") == {
        "shared_backup_renew": now(admin) + timedelta(hours=5)
    }
    assert one(read, cluster, f"SELECT shared_backup_renew('a', {given})") == {"shared_backup_renew": expires_at}
    assert view(read, cluster)["a"]["expires_at"] == expires_at

    stop = f"SELECT * FROM shared_backup_stop('a', false, '{started['token']}')"
    stopped = one(read, cluster, stop)
    assert lsn_to_int(parse_label_file(stopped["labelfile"]).start_lsn) == started["start_lsn"]
    assert stopped["lsn"] > started["start_lsn"]
    others = {"spcmapfile": "", "controlfile": None, "stop_time": now(admin), "repeated": False}
    assert {name: stopped[name] for name in others} == others
    assert one(read, cluster, stop) == {**stopped, "repeated": True}

    read(cluster, "SELECT * FROM shared_backup_start('a', true)")
    ((aborted,),) = (line.values() for line in read(cluster, "SELECT shared_backup_abort('a')"))
    assert aborted in NOTHING
    assert view(read, cluster) == {}


def test_backups_after_a_restart(instrumented: Build) -> None:
    with open_cluster(instrumented, settings=server_settings(DURABLE)) as server:
        admin = server.connect()
        install(SHARED, admin)
        admin.execute(str(SHARED.freeze_clock))
        begun = {"endless": start(admin, "endless"), "leased": start(admin, "leased", "2 hours")}
        begun["leased"]["expires_at"] = begun["leased"]["start_time"] + LEASE
        admin.close()

        durable.restart(server, "fast").close()
        for name, read in DRIVERS.items():
            assert view(read, server) == begun, name
            assert one(read, server, "SELECT shared_backup_renew('endless')") == {"shared_backup_renew": None}, name
            stopped = one(read, server, "SELECT * FROM shared_backup_stop('leased', false)")
            assert len(stopped["controlfile"]) == CONTROL_FILE_SIZE, name
            begun["leased"] |= {"state": "stopped", "stop_lsn": stopped["lsn"], "stop_time": stopped["stop_time"]}

        durable.restart(server, "fast", Hazard.PAGE_WRITES_OFF).close()
        begun["endless"]["state"] = "lost"
        for name, read in DRIVERS.items():
            assert view(read, server) == begun, name
