"""A table with an index of every kind, and much that a server does to pages: for what looks at each WAL record."""

from collections.abc import Iterator
from random import Random

from harness.restore.workload import (
    Step,
    big_update,
    checkpoint,
    create_database,
    drop_database,
    rewrite_unlogged,
    transfers,
    truncate,
    vacuum,
)
from harness.server.cluster import Cluster
from harness.server.session import Session

ROWS = 1500
INDEXES = {
    "btree (number)": "number BETWEEN 100 AND 900",
    "hash (word)": "word = md5('500')",
    "gin (words)": "words @> ARRAY['7']",
    "gist (place)": "place <@ box '((0, 0), (30, 30))'",
    "spgist (place)": "place <@ box '((20, 20), (60, 60))'",
    "spgist (word)": "word = md5('501')",
    "brin (number)": "number BETWEEN 200 AND 300",
    "gist (span)": "span @> 500",
}
"""Of each index, a condition that it serves."""
CONTENTS = (
    "SELECT count(*), md5(string_agg(kinds::text, '' ORDER BY number, word)) FROM kinds"
    " UNION ALL SELECT count(*), md5(string_agg(big, '' ORDER BY big)) FROM toasted"
    " UNION ALL SELECT count(*), sum(number)::text FROM unvacuumed"
    " UNION ALL SELECT count(*), sum(number)::text FROM alike"
)
SEQUENCE = "SELECT last_value FROM counter"


QUIET = (
    "CREATE TABLE unvacuumed AS SELECT number, repeat('v', 100) ballast FROM generate_series(1, 2000) number",
    "CREATE TABLE alike (number int, same int)",
    "CREATE INDEX alike_same ON alike USING hash (same)",
    "INSERT INTO alike SELECT number, 7 FROM generate_series(1, 6000) number",
    "SELECT count(*) FROM unvacuumed",
    "SELECT count(*) FROM alike",
)
"""Tables whose pages are whole and at rest: one has only to be marked as visible by VACUUM, and the other has a hash
index with a long chain of pages. Both make records that name pages without an image, and need none: without checksums
the mark of visibility is nothing that could be torn, and a chain's first page is named to be locked."""


def rows(low: int, high: int) -> str:
    """Rows with these numbers."""
    return (
        "INSERT INTO kinds SELECT number, md5(number::text), ARRAY[(number % 13)::text, (number % 17)::text],"
        " point(number % 97, number % 89), int4range(number, number + 50), repeat('x', 60)"
        f" FROM generate_series({low}, {high}) number"
    )


def prepare_kinds(session: Session) -> None:
    """Makes the tables and the indexes."""
    session.execute(
        "CREATE TABLE kinds (number int, word text, words text[], place point, span int4range, ballast text)"
        " WITH (fillfactor = 70)"
    )
    for number, index in enumerate(INDEXES):
        session.execute(f"CREATE INDEX kind{number} ON kinds USING {index}")
    session.execute(rows(1, ROWS))
    session.execute("CREATE TABLE toasted (big text); ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL")
    session.execute("INSERT INTO toasted SELECT repeat(md5(n::text), 200) FROM generate_series(1, 50) n")
    session.execute("CREATE SEQUENCE counter")
    for statement in QUIET:
        session.execute(statement)


def grow(session: Session, chance: Random) -> None:
    """New rows, and pages of indexes that split."""
    low = chance.randrange(2000, 1_000_000)
    session.execute(rows(low, low + 700))


def shrink(session: Session, chance: Random) -> None:
    """Rows go, and VACUUM marks what is left as visible, frees pages of indexes, and cuts the files short."""
    session.execute("DELETE FROM kinds WHERE number > 1200")
    session.execute("VACUUM kinds")
    session.execute("VACUUM (FREEZE, INDEX_CLEANUP on) toasted")


def vacuum_at_rest(session: Session, chance: Random) -> None:
    """Visibility is marked where nothing else has changed, and soon something does; and the end of a chain of a hash
    index is emptied."""
    session.execute("VACUUM unvacuumed")
    session.execute("UPDATE unvacuumed SET number = number + 1 WHERE number < 20")
    session.execute("DELETE FROM alike WHERE number > 3000 AND number % 3 > 0")
    session.execute("VACUUM alike")


def rewrite_rows(session: Session, chance: Random) -> None:
    """Updates on the same page and elsewhere, locks of two kinds, and an update that is rolled back."""
    session.execute("UPDATE kinds SET ballast = repeat('y', 60) WHERE number % 3 = 0")
    session.execute("UPDATE kinds SET number = number + 1, place = point(1, 2) WHERE number % 5 = 0")
    session.execute("BEGIN; UPDATE kinds SET words = ARRAY['z']; ROLLBACK")
    session.execute(
        "BEGIN; SELECT FROM kinds WHERE number < 300 FOR KEY SHARE; SAVEPOINT s;"
        " UPDATE kinds SET ballast = repeat('w', 60) WHERE number < 200; COMMIT"
    )


def read(session: Session, chance: Random) -> None:
    """Hint bits are set, and pages pruned."""
    session.execute("SELECT count(*) FROM kinds")
    session.execute("SELECT count(*) FROM toasted WHERE big IS NULL")


def count(session: Session, chance: Random) -> None:
    """A sequence goes on."""
    session.execute("SELECT max(nextval('counter')) FROM generate_series(1, 100)")


def toast(session: Session, chance: Random) -> None:
    """Values that lie in a table of their own."""
    session.execute(f"UPDATE toasted SET big = repeat(md5('{chance.random()}'), 300) WHERE random() < 0.3")


def make_tables(session: Session, chance: Random) -> None:
    """New tables and indexes, of which some go again."""
    name = f"new_{chance.randrange(1_000_000_000)}"
    session.execute(f"CREATE TABLE {name} AS SELECT * FROM kinds")
    session.execute(f"CREATE INDEX ON {name} (number); CREATE INDEX ON {name} USING gin (words)")
    session.execute(f"BEGIN; TRUNCATE {name}; INSERT INTO {name} SELECT * FROM kinds; COMMIT")
    session.execute(f"CREATE INDEX ON {name} USING gist (place); CREATE INDEX ON {name} USING spgist (place)")
    session.execute(f"CLUSTER {name} USING {name}_number_idx")
    session.execute(f"ANALYZE {name}")
    if chance.random() < 0.5:
        session.execute(f"DROP TABLE {name}")


def make_indexes(session: Session, chance: Random) -> None:
    """An index more, in both ways, and the others anew."""
    name = f"more_{chance.randrange(1_000_000_000)}"
    session.execute(f"CREATE INDEX {name} ON kinds (ballast, number)")
    session.execute(f"CREATE INDEX CONCURRENTLY {name}_c ON kinds USING hash (number)")
    session.execute("REINDEX TABLE kinds")
    session.execute(f"DROP INDEX {name}_c")


EVERYTHING: tuple[Step, ...] = (
    vacuum_at_rest,
    *(grow, rewrite_rows, transfers, read, count, toast, big_update, shrink, grow, make_tables, make_indexes),
    *(checkpoint, rewrite_rows, read, truncate, toast, vacuum, count, grow, rewrite_unlogged, create_database),
    *(shrink, read, make_tables, transfers, drop_database, create_database, checkpoint, grow, rewrite_rows, big_update),
)


def kinds_flaws(origin: Cluster, copy: Cluster) -> Iterator[str]:
    """What a restored server has not as the original has it; on both, nobody writes any more."""
    original, restored = origin.connect(), copy.connect()
    try:
        if (found := restored.execute(CONTENTS)) != (expected := original.execute(CONTENTS)):
            yield f"the tables of all kinds have {found}, not {expected}"
        if restored.execute(SEQUENCE)[0][0] < original.execute(SEQUENCE)[0][0]:
            yield "a sequence went back"
        for index, condition in INDEXES.items():
            by_index, without = (found_with(restored, condition, seqscan=seqscan) for seqscan in ("off", "on"))
            if by_index != without:
                yield f"with the index {index}, {by_index} rows are found, without it {without}"
    finally:
        original.close()
        restored.close()


def found_with(session: Session, condition: str, *, seqscan: str) -> int:
    """How many rows there are, found with indexes or without."""
    scan = "off" if seqscan == "on" else "on"
    session.execute(f"SET enable_seqscan = {seqscan}; SET enable_indexscan = {scan}; SET enable_bitmapscan = {scan}")
    session.execute(f"SET enable_indexonlyscan = {scan}")
    return int(session.execute(f"SELECT count(*) FROM kinds WHERE {condition}")[0][0])
