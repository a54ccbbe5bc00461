"""Is a restored cluster whole? Everything that is wrong with it, in sentences; none: it is."""

from collections.abc import Iterator

from harness.restore.restore import SAYS_WHY
from harness.restore.workload import committed_from
from harness.server.cluster import Cluster
from harness.server.controldata import has_checksums
from harness.server.programs import address, run_program
from harness.server.session import Row, Session, SqlError


def flaws(origin: Cluster, restored: Cluster, target_lsn: str | None, timeline: int = 1) -> list[str]:
    """What is wrong with a restored cluster, which this shuts down.

    It must hold exactly what ``origin`` (which has the workload, and all its WAL archived) had committed before the
    target, None: at all; its balances agree, its databases are those that the ledger tells of, unlogged tables are
    empty, pg_amcheck finds nothing, and every page has its checksum, if pages have any.
    """
    before = origin.connect()
    try:
        later = later_than(origin, target_lsn, timeline)
        expected = [row for row in ledger(before) if row[1] not in later]
    finally:
        before.close()
    found = list(flaws_shown(restored, expected))
    restored.stop("fast")
    return found + list(checksum_flaws(restored))


def flaws_shown(restored: Cluster, expected: list[Row]) -> Iterator[str]:
    """What shows while the server is up, to somebody who knows the ledger; an error that it raises ends the look."""
    try:
        session = restored.connect()
        try:
            yield from ledger_flaws(expected, session)
            yield from balance_flaws(session)
            yield from emptied_flaws(session)
            yield from unlogged_flaws(session)
            yield from database_flaws(session)
            yield from amcheck_flaws(restored, session)
        finally:
            session.close()
    except SqlError as error:
        fatal = SAYS_WHY.search(error.message)
        yield f"the restored server says: {fatal.group() if fatal else error.message}"


def later_than(origin: Cluster, target_lsn: str | None, timeline: int) -> set[int]:
    """The transactions that a copy restored up to the target must not have."""
    if target_lsn is None:
        return set()
    assert origin.archive_dir is not None
    return committed_from(origin, origin.archive_dir, target_lsn, timeline)


def ledger_flaws(committed: list[Row], restored: Session) -> Iterator[str]:
    """The ledger has exactly the rows that were committed."""
    expected = {row[0]: row for row in committed}
    found = {row[0]: row for row in ledger(restored)}
    if missing := expected.keys() - found.keys():
        yield f"{len(missing)} of {len(expected)} rows of the ledger are missing, such as {expected[min(missing)]}"
    if extra := found.keys() - expected.keys():
        yield f"{len(extra)} rows of the ledger were not committed before the target, such as {found[min(extra)]}"
    if changed := [number for number in expected.keys() & found.keys() if expected[number] != found[number]]:
        yield f"{len(changed)} rows of the ledger have changed, such as {expected[changed[0]]}"


def ledger(session: Session) -> list[Row]:
    """Its rows: number, transaction, entry. Read without an index, which may be what is broken."""
    session.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    return session.execute("SELECT id, xid::text::bigint, entry FROM ledger ORDER BY id")


def balance_flaws(session: Session) -> Iterator[str]:
    """Every transaction changes the four sums alike."""
    sums = session.execute(
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),"
        " (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history),"
        " (SELECT coalesce(sum(split_part(entry, ' ', 2)::int), 0) FROM ledger WHERE entry LIKE 'transfer %')"
    )[0]
    if len(set(sums)) > 1:
        yield f"the balances of accounts, tellers, branches, history and ledger disagree: {', '.join(map(str, sums))}"


def emptied_flaws(session: Session) -> Iterator[str]:
    """The table that is emptied and filled again has the rows that the ledger says."""
    found = session.execute("SELECT generation, count(*) FROM emptied GROUP BY generation")
    said = session.execute("SELECT entry FROM ledger WHERE entry LIKE 'emptied %' ORDER BY id DESC LIMIT 1")
    expected = [tuple(int(word) for word in said[0][0].split()[1:])] if said else []
    if found != expected:
        yield f"the table that is emptied has {found} (generation, rows), and the ledger says {expected}"


def unlogged_flaws(session: Session) -> Iterator[str]:
    """An unlogged table is empty, and can be used."""
    if rows := session.execute("SELECT count(*) FROM unlogged")[0][0]:
        yield f"an unlogged table has {rows} rows"
    session.execute("INSERT INTO unlogged VALUES (1, 'fresh')")


def database_flaws(session: Session) -> Iterator[str]:
    """The databases are those that the ledger tells of; one may be there whose row did not get that far."""
    entries = [
        row[0].split() for row in session.execute("SELECT entry FROM ledger WHERE entry LIKE '%new%' ORDER BY id")
    ]
    said = {word: {name for kind, name in entries if kind == word} for word in ("created", "dropping", "dropped")}
    there = {row[0] for row in session.execute("SELECT datname FROM pg_database")}
    for name in sorted(said["created"] - said["dropping"] - there):
        yield f"the database {name} is missing"
    for name in sorted(said["dropped"] & there):
        yield f"the database {name} was dropped, and is there"


def amcheck_flaws(restored: Cluster, session: Session) -> Iterator[str]:
    """pg_amcheck over every database: tables, and indexes against their tables. Nothing where amcheck is missing."""
    if not has_amcheck(restored):
        return
    options = ["--all", "--install-missing", "--heapallindexed", "--parent-check"]
    run = run_program(restored, "pg_amcheck", *options, *address(restored))
    if run.returncode != 0:
        yield f"pg_amcheck finds {first_line(run.stdout or run.stderr)}"


def has_amcheck(cluster: Cluster) -> bool:
    """Does the installation have the extension amcheck?"""
    return (cluster.build.postgres.sharedir / "extension" / "amcheck.control").exists()


def checksum_flaws(stopped: Cluster) -> Iterator[str]:
    """pg_checksums over a cluster that has been shut down, if its pages have checksums."""
    if not has_checksums(stopped):
        return
    run = run_program(stopped, "pg_checksums", "--check", "-D", stopped.data_dir)
    if run.returncode != 0:
        yield first_line(run.stderr or run.stdout).replace(f"{stopped.data_dir}/", "")


def first_line(text: str) -> str:
    """The first line of what a program said."""
    return (text.strip().splitlines() or ["(nothing)"])[0]
