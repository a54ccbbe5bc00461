"""Any label that the contract allows comes back unchanged; what it forbids is refused and leaves nothing."""

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.clients.implementation import UNFENCED, Implementation
from harness.clients.labelfile import parse_label_file
from harness.server.cluster import Cluster
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session, SqlError
from model.outcomes import SqlState
from model.transition import MAX_LABEL_BYTES, bad_label
from properties.recording.tally import Tally

pytestmark = pytest.mark.server

PATIENCE = 30.0  # seconds

characters = st.characters(exclude_categories=["Cs", "Cc"])
controls = st.characters(categories=["Cc"], exclude_characters="\0")  # no text in PostgreSQL holds a NUL


def shortened(text: str) -> str:
    """As much of a text as fits a label."""
    return text.encode()[:MAX_LABEL_BYTES].decode(errors="ignore")


allowed = st.text(characters, min_size=1, max_size=MAX_LABEL_BYTES).map(shortened) | st.builds(
    lambda character: shortened(character * MAX_LABEL_BYTES), characters
)
with_control = st.builds(lambda a, c, b: a + c + b, st.text(characters), controls, st.text(characters)).map(shortened)
too_long = st.builds(
    lambda character, extra: character * (MAX_LABEL_BYTES // len(character.encode()) + extra),
    characters,
    st.integers(1, 3),
)
forbidden = (st.just("") | with_control | too_long).filter(lambda label: bad_label(label) is not None)


@pytest.fixture
def session(multi_session: None, clean_session: Session) -> Session:
    return clean_session


def start(session: Session, implementation: Implementation, label: str) -> str:
    """Starts a backup; returns its start point."""
    return str(session.execute(implementation.start, {"label": label, "fast": True, "ttl": None})[0][0])


def stop(session: Session, implementation: Implementation, label: str) -> str:
    """Stops it; returns the label file."""
    return str(session.execute(implementation.stop, {"label": label, "wait": False, **UNFENCED})[0][1])


def labels_in_view(session: Session, implementation: Implementation) -> set[str]:
    """The labels of the live backups in the view."""
    assert implementation.view is not None
    return {row[0] for row in session.execute(implementation.view) if row[1] == "active"}


def test_an_allowed_label_comes_back_unchanged(session: Session, implementation: Implementation, tally: Tally) -> None:
    @given(label=allowed)
    @example(label="\u2028\u2029")
    @example(label="é" * 512)
    @example(label="é")
    @example(label="e\u0301")
    @example(label=" ")
    @example(label="'; DROP TABLE x; --")
    @example(label="BACKUP FROM: standby")
    @example(label="START TIMELINE: 7")
    def check(label: str) -> None:
        with tally.example():
            start_point = start(session, implementation, label)
            try:
                assert labels_in_view(session, implementation) == {label}
                shown = [row for row in session.execute(str(implementation.view)) if True in row]
                assert shown == [], "it is shown as one of a standby"
            finally:
                label_file = parse_label_file(stop(session, implementation, label))
            assert (label_file.label, label_file.start_lsn) == (label, start_point)
            tally.steps += 3

    check()


def test_a_forbidden_label_is_refused_and_leaves_nothing(
    session: Session, implementation: Implementation, tally: Tally
) -> None:
    @given(label=forbidden)
    def check(label: str) -> None:
        with tally.example():
            for statement in (implementation.start, implementation.stop, implementation.abort, implementation.renew):
                if statement is None:
                    continue
                parameters = {"label": label, "fast": True, "ttl": None, "wait": False, **UNFENCED}
                with pytest.raises(SqlError) as refusal:
                    session.execute(statement, parameters)
                assert refusal.value.sqlstate == SqlState.INVALID_PARAMETER_VALUE, refusal.value
                tally.steps += 1
            assert labels_in_view(session, implementation) == set()

    check()


def test_control_characters_are_those_of_unicode() -> None:
    """The model's rule, against the standard: category Cc is U+0000 to U+001F and U+007F to U+009F."""
    refused = {c for c in map(chr, range(0x3000)) if bad_label(c) is not None}
    assert refused == {c for c in map(chr, range(0x3000)) if unicodedata.category(c) == "Cc"}
    assert refused == {chr(c) for c in (*range(0x20), *range(0x7F, 0xA0))}


@pytest.fixture
def other_encodings(cluster: Cluster, only_the_extension: None, session: Session) -> Iterator[None]:
    """The databases ``latin1`` and ``ascii`` with the extension."""
    for name, encoding in (("latin1", "LATIN1"), ("ascii", "SQL_ASCII")):
        session.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        inside = cluster.connect(dbname=name)
        inside.execute("CREATE EXTENSION shared_backup")
        inside.close()
    yield
    for name in ("latin1", "ascii"):
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


def of_encoding(encoding: str) -> st.SearchStrategy[str]:
    """Labels that a database in this encoding can represent: good ones, and ones that are too long or have controls."""
    letters = st.characters(codec=encoding, exclude_categories=["Cs"], exclude_characters="\0")
    longest = MAX_LABEL_BYTES + 2
    repeated = st.builds(lambda letter, times: letter * times, letters, st.integers(1, longest))
    return (st.text(letters, max_size=20) | repeated).filter(lambda label: len(label.encode()) <= 2 * longest)


@pytest.mark.parametrize(("database", "encoding"), [("latin1", "latin-1"), ("ascii", "utf-8")])
def test_a_label_counts_in_utf8_whatever_the_database_is_in(
    cluster: Cluster,
    session: Session,
    implementation: Implementation,
    other_encodings: None,
    database: str,
    encoding: str,
    tally: Tally,
) -> None:
    """SQL_ASCII takes the bytes as they are."""
    inside = cluster.connect(dbname=database)
    inside.execute("SET client_encoding = 'UTF8'")

    @given(label=of_encoding(encoding))
    @example(label="é" * 512)
    @example(label="é" * 513)
    @example(label="a\x9f")
    @example(label="\xa0")
    def check(label: str) -> None:
        with tally.example():
            if bad_label(label):
                with pytest.raises(SqlError) as refusal:
                    start(inside, implementation, label)
                assert refusal.value.sqlstate == SqlState.INVALID_PARAMETER_VALUE, refusal.value
                return
            start(inside, implementation, label)
            try:
                assert labels_in_view(inside, implementation) == labels_in_view(session, implementation) == {label}
            finally:
                assert parse_label_file(stop(inside, implementation, label)).label == label
            tally.steps += 2

    check()
    inside.close()


SAME_BUCKET = (
    "WITH labels AS (SELECT {label} AS label, n FROM generate_series(1, 1000) n),"
    " hashed AS (SELECT label, n, (hashtext(label)::bigint & 4294967295) >> 25 AS bucket FROM labels)"
    " SELECT a.label, b.label FROM hashed a JOIN hashed b ON a.bucket = b.bucket AND a.n < b.n LIMIT 20"
)
"""Pairs of labels that are in one of the 128 buckets with which a hash table begins."""
SAME_HASH = (
    "SELECT min(label), max(label) FROM (SELECT lpad(n::text, 12, 'x') AS label FROM generate_series(1, 300000) n) AS t"
    " GROUP BY hashtext(label) HAVING count(*) > 1 LIMIT 5"
)
ALIKE = {
    "one is the beginning of the other": SAME_BUCKET.format(label="repeat('x', n::int)"),
    "their first 63 bytes are the same": SAME_BUCKET.format(label="repeat('x', 63) || n"),
    "they differ in their last byte": SAME_BUCKET.format(label="'x' || chr(n::int + 160)"),
    "they have one hash": SAME_HASH,
}
"""Queries for pairs of labels that a table could take for one."""


@pytest.mark.parametrize("alike", ALIKE)
def test_labels_are_told_apart_however_alike_they_are(
    session: Session, implementation: Implementation, alike: str, tally: Tally
) -> None:
    pairs = session.execute(ALIKE[alike])
    assert pairs
    for pair in pairs:
        with tally.example():
            points = [start(session, implementation, label) for label in pair]
            assert labels_in_view(session, implementation) == set(pair)
            for label, point in reversed([*zip(pair, points, strict=True)]):
                label_file = parse_label_file(stop(session, implementation, label))
                assert (label_file.label, label_file.start_lsn) == (label, point)
            tally.steps += 4


def test_a_label_is_the_same_in_every_encoding(
    cluster: Cluster, session: Session, implementation: Implementation, other_encodings: None
) -> None:
    latin1, ascii_ = cluster.connect(dbname="latin1"), cluster.connect(dbname="ascii")
    start(latin1, implementation, "Zürich")
    assert labels_in_view(session, implementation) == {"Zürich"}
    assert labels_in_view(latin1, implementation) == {"Zürich"}
    assert parse_label_file(stop(session, implementation, "Zürich")).label == "Zürich"
    start(session, implementation, "Genève")
    assert parse_label_file(stop(latin1, implementation, "Genève")).label == "Genève"
    start(ascii_, implementation, "plain")
    assert parse_label_file(stop(latin1, implementation, "plain")).label == "plain"
    for other in (latin1, ascii_):
        other.close()


def test_a_label_that_an_encoding_lacks_hides_no_backup_from_the_view(
    cluster: Cluster, session: Session, implementation: Implementation, other_encodings: None
) -> None:
    """It is shown with its bytes, but for what any encoding has."""
    latin1 = cluster.connect(dbname="latin1")
    start(session, implementation, "Tokyo: 東京")
    start(session, implementation, "Zürich")
    assert labels_in_view(latin1, implementation) == {"Tokyo: \\xe6\\x9d\\xb1\\xe4\\xba\\xac", "Zürich"}
    latin1.close()


def test_bytes_that_are_no_utf8_are_refused(
    cluster: Cluster, session: Session, implementation: Implementation, other_encodings: None
) -> None:
    """A database in SQL_ASCII takes any bytes; a label does not."""
    ascii_ = cluster.connect(dbname="ascii")
    with pytest.raises(SqlError) as refusal:
        ascii_.execute("SELECT shared_backup_start(E'Z\\xfcrich', true)")
    assert refusal.value.sqlstate == "22021", refusal.value
    ascii_.close()
    assert labels_in_view(session, implementation) == set()


@pytest.mark.usefixtures("only_the_extension", "instruments", "other_encodings", "starters")
def test_a_label_that_an_encoding_lacks_hides_no_start_from_the_view(cluster: Cluster, session: Session) -> None:
    """The start of a backup is shown as the backup is."""
    latin1, starter = cluster.connect(dbname="latin1"), cluster.connect()
    points = InjectionPoints(session)
    points.attach("start-taken", "東")
    pending = starter.submit("SELECT shared_backup_start('東', true)")
    try:
        assert points.arrived("start-taken", "東", pending.done)
        seen = latin1.execute("SELECT label FROM shared_backup_starters WHERE label IS NOT NULL")
    finally:
        points.detach()
        pending.result(PATIENCE)
    assert seen == latin1.execute("SELECT label FROM shared_backups") == [("\\xe6\\x9d\\xb1",)]
    for one in (latin1, starter):
        one.close()
