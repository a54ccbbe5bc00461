"""The backup history file, which goes into the archive with the WAL: what core's own function writes, ours leaves too.

Core writes it at the end of a backup from what it is handed (``build_backup_content`` in xlogbackup.c), and nothing
but people and tools that read archives look at it: a restore does without.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session
from properties.recording.tally import Tally
from properties.support.profiles import examples

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

STARTED = "SELECT start_lsn FROM shared_backup_start(%s, true)"
STOPPED = "SELECT lsn, labelfile FROM shared_backup_stop(%s)"
STOCK_STOPPED = "SELECT lsn, labelfile FROM pg_backup_stop()"
LINE = re.compile(r"^([A-Z ]+): (.*)$", re.MULTILINE)
ENDING = ("STOP WAL LOCATION", "STOP TIME", "STOP TIMELINE")
"""What the label file cannot know."""
BEGINNING = "START WAL LOCATION"
"""By which a history file is found."""
MAX_LABEL = 1024
"""Bytes."""
SHORT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
LONG = SHORT.map(lambda text: text * (MAX_LABEL // len(text.encode())))


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[Cluster]:
    with open_cluster(instrumented, archive=True) as server:
        yield server


@pytest.fixture(scope="module")
def user(server: Cluster) -> Iterator[Session]:
    session = server.connect()
    session.execute("CREATE EXTENSION shared_backup")
    yield session
    session.close()


def lines(text: str) -> dict[str, str]:
    """The lines of either file, by their names."""
    return dict(LINE.findall(text))


def history_file(archive: Path, told: dict[str, str]) -> dict[str, str]:
    """The lines of the history file of the backup whose label file has these lines."""
    files = sorted(archive.glob("*.backup"))
    found = [read for file in files if (read := lines(file.read_text("utf-8")))[BEGINNING] == told[BEGINNING]]
    assert len(found) == 1, f"there are {len(found)} history files of the backup that starts at {told[BEGINNING]}"
    return found[0]


def test_the_history_file_says_of_a_backup_what_its_label_file_says_and_how_it_ended(
    server: Cluster, user: Session, tally: Tally
) -> None:
    archive = server.archive_dir
    assert archive is not None
    user.execute("SELECT pg_backup_start('stock', true)")
    lines_of_core = list(history_file(archive, lines(user.execute(STOCK_STOPPED)[0][1])))

    @settings(max_examples=examples(0.1, at_least=5))
    @given(SHORT | LONG)
    def check(label: str) -> None:
        with tally.example():
            user.execute(STARTED, (label,))
            lsn, text = user.execute(STOPPED, (label,))[0]
            told = lines(text)
            history = history_file(archive, told)
            assert list(history) == lines_of_core
            assert {name: line for name, line in history.items() if name not in ENDING} == told
            assert history["STOP WAL LOCATION"].partition(" ")[0] == lsn
            assert history["STOP TIMELINE"] == told["START TIMELINE"]
            assert elapsed(user, told["START TIME"], history["STOP TIME"]), history
            tally.steps += 2

    check()


def elapsed(user: Session, start: str, stop: str) -> bool:
    """Does the stop come after the start, by a time that a test may take?"""
    query = "SELECT %s::timestamptz - %s::timestamptz BETWEEN '0 s' AND '1 h'"
    return bool(user.execute(query, (stop, start))[0][0])
