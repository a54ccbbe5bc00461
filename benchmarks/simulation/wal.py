"""Measures what an open backup costs in WAL on a server that runs without full-page writes: its core forces them.

    python -m benchmarks.simulation.wal [--pg-config PATH]

The load is pgbench's table of accounts at scale 10, of which one row at random is updated 100 times a second; with
checkpoints every 5 minutes, an hour has 12 times the WAL of 30,000 updates after a checkpoint. They are run as fast as
they go, so that the figure does not depend on the machine: with core's own backup open, and without one.
"""

import argparse
import sys
from collections.abc import Sequence

from harness.building.build import Flavour, build
from harness.clients.implementation import STOCK
from harness.machine.postgres import find_postgres
from harness.machine.project import cache_folder
from harness.running.commandline import exit_status
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session
from harness.server.wal import lsn_to_int

ACCOUNTS = 1_000_000
CYCLES = 12
"""Checkpoints in an hour."""
UPDATES = 30_000
"""Between two of them."""
SETTINGS = {
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1d",
    "statement_timeout": "0",
}
TABLE = (
    "CREATE TABLE accounts (aid int, bid int, abalance int, filler char(84))",
    f"INSERT INTO accounts SELECT aid, 1, 0, '' FROM generate_series(1, {ACCOUNTS}) aid",
    "ALTER TABLE accounts ADD PRIMARY KEY (aid)",
    "CREATE PROCEDURE work(updates int) LANGUAGE plpgsql AS $$DECLARE chosen int; BEGIN FOR n IN 1..updates LOOP"
    f" chosen := 1 + floor(random() * {ACCOUNTS}); UPDATE accounts SET abalance = abalance + 1 WHERE aid = chosen;"
    " COMMIT; END LOOP; END$$",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, and says what came of it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation.wal", description="WAL of an open backup.")
    parser.add_argument("--pg-config", metavar="PATH", help="the PostgreSQL to run (default: the bundled one)")
    chosen = parser.parse_args(arguments)
    return exit_status(lambda: show(chosen.pg_config))


def show(pg_config: str | None) -> int:
    """The figure; raises SetupError."""
    release = build(find_postgres(pg_config), Flavour.RELEASE, cache_folder())
    with open_cluster(release, settings=SETTINGS) as cluster:
        without, forced = wal_of_a_cycle(cluster)
    print(f"WAL of {UPDATES:,} updates after a checkpoint: {without:,} bytes, and {forced:,} with a backup open")
    print(f"wal_bytes = {CYCLES * (forced - without):,} per hour ({CYCLES} checkpoints)")
    return 0


def wal_of_a_cycle(cluster: Cluster) -> tuple[int, int]:
    """Bytes of WAL between two checkpoints: without a backup open, and with one."""
    session, other = cluster.connect(), cluster.connect()
    for statement in TABLE:
        session.execute(statement)
    without = wal_of_work(session)
    other.execute(STOCK.start, {"label": "wal", "fast": True})
    return without, wal_of_work(session)


def wal_of_work(session: Session) -> int:
    """Bytes of WAL of the updates, after a checkpoint."""
    session.execute("CHECKPOINT")
    before = position(session)
    session.execute(f"CALL work({UPDATES})")
    return position(session) - before


def position(session: Session) -> int:
    """Where WAL is."""
    return lsn_to_int(str(session.execute("SELECT pg_current_wal_insert_lsn()")[0][0]))


if __name__ == "__main__":
    sys.exit(main())
