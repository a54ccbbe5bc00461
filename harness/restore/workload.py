"""What a server does while it is backed up, made so that a restored copy can be told to be whole.

Every transaction writes a row of the *ledger* with its own number, and nothing changes or deletes such rows. So what
the ledger of a copy must hold can be read off the original, row by row, once it is known which transactions committed
before the stop point; and WAL says that. The tables of pgbench stand beside it: their balances agree in every state
that was ever committed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from harness.building.build import Build
from harness.clients.implementation import Implementation, install
from harness.server.cluster import Cluster, open_cluster
from harness.server.node import give
from harness.server.programs import address, run_program, start_program
from harness.server.session import Session
from harness.server.tablespaces import add_tablespace
from harness.server.wal import int_to_lsn, segment_number, timeline_of

SEGMENT = re.compile("[0-9A-F]{24}")
ACCOUNTS = 1000
PATIENCE = 30.0

SCHEMA = (
    "CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " xid xid8 DEFAULT pg_current_xact_id(), entry text NOT NULL)",
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int NOT NULL) WITH (fillfactor = 50)",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, tbalance int NOT NULL) WITH (fillfactor = 50)",
    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, abalance int NOT NULL, filler char(84) DEFAULT '')"
    " WITH (fillfactor = 50)",
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int)",
    "CREATE TABLE emptied (generation int, ballast text)",
    "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, ballast text)",
    "INSERT INTO pgbench_branches VALUES (1, 0)",
    "INSERT INTO pgbench_tellers SELECT number, 0 FROM generate_series(1, 10) number",
    f"INSERT INTO pgbench_accounts SELECT number, 0 FROM generate_series(1, {ACCOUNTS}) number",
    "INSERT INTO unlogged SELECT number, repeat('x', 100) FROM generate_series(1, 100) number",
)

TRANSACTION = (
    "BEGIN",
    "UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid}",
    "UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {tid}",
    "UPDATE pgbench_branches SET bbalance = bbalance + {delta}",
    "INSERT INTO pgbench_history VALUES ({tid}, 1, {aid}, {delta})",
    "INSERT INTO ledger (entry) VALUES ('transfer {delta}')",
    "COMMIT",
)
"""That of pgbench ("TPC-B (sort of)"), and its row of the ledger."""

Step = Callable[[Session, Random], None]
"""Something that the server is made to do; what it does, and to what, the random numbers say."""


@contextmanager
def open_with_workload(
    build: Build,
    settings: Mapping[str, str],
    implementation: Implementation | None = None,
    *,
    tablespace: bool = False,
) -> Iterator[Cluster]:
    """A new cluster with the tables, its WAL archived; gone when the block ends.

    ``implementation``: what is installed in it. ``tablespace``: some tables of pgbench go into one of their own.
    """
    with open_cluster(build, settings=settings, archive=True) as cluster:
        session = cluster.connect()
        if implementation:
            install(implementation, session)
        for statement in SCHEMA:
            session.execute(statement)
        if tablespace:
            add_tablespace(cluster, session, "space")
            for table in ("pgbench_accounts", "pgbench_history"):
                session.execute(f"ALTER TABLE {table} SET TABLESPACE space")
        session.close()
        yield cluster


# Steps


def transfers(session: Session, chance: Random) -> None:
    """Ten transactions of pgbench, each to accounts anywhere in the table."""
    for _ in range(10):
        numbers = {"delta": chance.randint(-500, 500), "aid": chance.randint(1, ACCOUNTS), "tid": chance.randint(1, 10)}
        session.execute("; ".join(TRANSACTION).format(**numbers))


def big_update(session: Session, chance: Random) -> None:
    """Rows all over the accounts change at once, their balances not."""
    session.execute(f"UPDATE pgbench_accounts SET filler = '{chance.random()}' WHERE aid % 7 = {chance.randrange(7)}")


def checkpoint(session: Session, chance: Random) -> None:
    """All pages are written out; the next change of each logs the whole page."""
    session.execute("CHECKPOINT")


def vacuum(session: Session, chance: Random) -> None:
    """Dead rows go; files may be cut short."""
    session.execute("DELETE FROM pgbench_history WHERE delta = 0")
    session.execute(f"VACUUM {chance.choice(['', 'FULL '])}pgbench_history, pgbench_accounts")


def truncate(session: Session, chance: Random) -> None:
    """A table gets a new file and new rows, and the ledger says which."""
    generation, rows = chance.randrange(1_000_000), chance.randint(1, 200)
    session.execute(
        f"BEGIN; TRUNCATE emptied; INSERT INTO emptied SELECT {generation}, repeat('y', 50) FROM"
        f" generate_series(1, {rows}); INSERT INTO ledger (entry) VALUES ('emptied {generation} {rows}'); COMMIT"
    )


def rewrite_unlogged(session: Session, chance: Random) -> None:
    """An unlogged table gets a new file and new rows, of which no copy may have any."""
    session.execute("TRUNCATE unlogged")
    session.execute("INSERT INTO unlogged SELECT number, repeat('z', 100) FROM generate_series(1, 100) number")


def create_database(session: Session, chance: Random) -> None:
    """A new database, copied through WAL or file by file; the ledger knows of it afterwards."""
    number = session.execute("SELECT max(id) FROM ledger")[0][0] or 0  # a name must never come again
    name, strategy = f"new{number}", chance.choice(["wal_log", "file_copy"])
    session.execute(f"CREATE DATABASE {name} STRATEGY {strategy}")
    session.execute(f"INSERT INTO ledger (entry) VALUES ('created {name}')")


def drop_database(session: Session, chance: Random) -> None:
    """One of those goes; the ledger knows before and afterwards."""
    names = [row[0] for row in session.execute("SELECT datname FROM pg_database WHERE datname LIKE 'new%' ORDER BY 1")]
    if names:
        name = chance.choice(names)
        session.execute(f"INSERT INTO ledger (entry) VALUES ('dropping {name}')")
        session.execute(f"DROP DATABASE {name}")
        session.execute(f"INSERT INTO ledger (entry) VALUES ('dropped {name}')")


def switch_wal(session: Session, chance: Random) -> None:
    """The WAL goes on in a new segment."""
    session.execute("SELECT pg_switch_wal()")


def prepare_transaction(session: Session, chance: Random) -> None:
    """A transaction of the ledger is prepared, and left open; needs max_prepared_transactions."""
    gid = f"prepared {chance.random()}"
    session.execute(f"BEGIN; INSERT INTO ledger (entry) VALUES ('{gid}'); PREPARE TRANSACTION '{gid}'")


def finish_prepared(session: Session, chance: Random) -> None:
    """One of those is committed or rolled back."""
    if gids := open_transactions(session):
        session.execute(f"{chance.choice(['COMMIT', 'ROLLBACK'])} PREPARED '{chance.choice(sorted(gids))}'")


def open_transactions(session: Session) -> frozenset[str]:
    """Those that are prepared."""
    return frozenset(row[0] for row in session.execute("SELECT gid FROM pg_prepared_xacts"))


STEPS: tuple[Step, ...] = (
    transfers,
    big_update,
    checkpoint,
    vacuum,
    truncate,
    rewrite_unlogged,
    create_database,
    drop_database,
    switch_wal,
)


# Many at once


@contextmanager
def pgbench(cluster: Cluster, clients: int = 4) -> Iterator[None]:
    """While the block runs, so many clients of pgbench write as fast as they can."""
    script = cluster.folder / "pgbench.sql"
    lines = [
        f"\\set aid random(1, {ACCOUNTS})",
        "\\set tid random(1, 10)",
        "\\set delta random(-500, 500)",
        *(statement.format(aid=":aid", tid=":tid", delta=":delta") + ";" for statement in TRANSACTION),
    ]
    # pgbench replaces nothing within quotes
    script.write_text("\n".join(lines).replace("'transfer :delta'", "'transfer ' || :delta") + "\n")
    give(script, cluster.user)
    options: list[str | Path] = ["-n", "-f", script, "-c", str(clients), "-T", "600", *address(cluster), "postgres"]
    process = start_program(cluster, "pgbench", *options)
    try:
        await_writers(cluster)
        yield
        assert process.poll() is None, f"pgbench has ended: {process.communicate()[1]}"
    finally:
        process.kill()
        process.communicate()
    await_silence(cluster)


def await_writers(cluster: Cluster) -> None:
    """Waits until the clients have begun to write."""
    session = cluster.connect()
    count = "SELECT count(*) FROM ledger"
    before = session.execute(count)[0][0]
    cluster.wait_until(lambda: bool(session.execute(count)[0][0] > before), PATIENCE, "pgbench to write")
    session.close()


def await_silence(cluster: Cluster) -> None:
    """Waits until the clients' backends have gone: killed in the middle of a commit, a client does not end it."""
    session = cluster.connect()
    writing = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pgbench'"
    cluster.wait_until(lambda: not session.execute(writing), PATIENCE, "the backends of pgbench to go")
    session.close()


# WAL


def archive_all(cluster: Cluster, session: Session) -> None:
    """Has the WAL written so far archived, and waits for it."""
    session.execute("SELECT pg_logical_emit_message(false, 'archive', '')")  # an empty segment is not switched
    name = session.execute("SELECT pg_walfile_name(pg_switch_wal())")[0][0]
    assert cluster.archive_dir is not None
    archived = cluster.archive_dir / name
    cluster.wait_until(archived.exists, PATIENCE, f"{name} to be archived")


def committed_from(cluster: Cluster, archive_dir: Path, lsn: str, timeline: int = 1) -> set[int]:
    """The numbers of the transactions whose commit lies at that point of the archived WAL or after it."""
    span = ["--start", lsn, "--end", end_of_archive(archive_dir, timeline)]  # without an end it looks on for 5 s
    options: list[str | Path] = ["--path", archive_dir, "--timeline", str(timeline), "--rmgr", "Transaction", *span]
    said = run_program(cluster, "pg_waldump", *options)
    found = set()
    for line in said.stdout.splitlines():
        head, _, description = line.partition("desc: ")
        if description.startswith("COMMIT_PREPARED"):  # by a transaction of another number, or none
            found.add(int(description.split()[1].rstrip(":")))
        elif description.startswith("COMMIT"):
            found.add(int(head.partition("tx:")[2].partition(",")[0]))
    return found


def end_of_archive(archive_dir: Path, timeline: int) -> str:
    """Where the archived WAL of a timeline ends."""
    segments = [path for path in archive_dir.iterdir() if SEGMENT.fullmatch(path.name)]
    last = max(path for path in segments if timeline_of(path.name) == timeline)
    size = last.stat().st_size
    return int_to_lsn((segment_number(last.name, size) + 1) * size)
