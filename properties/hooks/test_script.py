"""The script that the examples share keeps its promises when things go wrong, and when it is run twice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.server import durable
from harness.server.cluster import open_standby
from harness.server.controldata import CONTROL_FILE
from properties.recording.tally import Tally
from properties.support.shell import ShellBesideServer, shell_beside_server

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

START, RENEW, ABORT = (f"shared-backup.sh {command} nightly" for command in ("start", "renew", "abort"))
STOP = 'shared-backup.sh stop nightly "$COPY"'
STRAY = "SELECT shared_backup_stop('nightly')"


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[ShellBesideServer]:
    """One for all that leave nothing behind."""
    with shell_beside_server(instrumented, Tally(), durable.SETTINGS) as here:
        yield here


@pytest.fixture
def here(server: ShellBesideServer, tally: Tally) -> Iterator[ShellBesideServer]:
    """With the folder of a copy, and no backups."""
    with tally.example():
        make_copy(server)
        tally.steps += 1
        yield server
        server.succeed(f"{ABORT}; rm -rf state files copy")
        server.session.execute("SELECT shared_backup_abort(label) FROM shared_backups WHERE state = 'active'")
        assert server.states().count("active") == 0


def make_copy(here: ShellBesideServer) -> Path:
    """The folder of a copy, as far as the script looks at it."""
    copy = here.copy / "data"
    (copy / "global").mkdir(parents=True)
    (copy / "PG_VERSION").write_bytes((here.server.data_dir / "PG_VERSION").read_bytes())
    return copy


def files(copy: Path) -> dict[str, bytes]:
    """Those of a stop that are there."""
    names = ("backup_label", "tablespace_map", CONTROL_FILE)
    return {name: (copy / name).read_bytes() for name in names if (copy / name).exists()}


def refused(here: ShellBesideServer, script: str, because: str, **variables: object) -> None:
    """It fails, and says why."""
    done = here.run(script, **variables)
    assert done.returncode != 0, f"{script} is content"
    assert re.search(because, done.stderr), done.stderr


def test_a_second_start_says_what_to_do(here: ShellBesideServer) -> None:
    here.succeed(START)
    refused(here, START, r"nightly.token is there.*\n?.*run: .*stop nightly FOLDER.*run: .*abort nightly")
    assert here.states() == ["active"], "the first backup goes on"
    here.succeed(f"{ABORT} && {START} && {STOP} && {START}")


def test_a_second_stop_writes_the_same_files(here: ShellBesideServer) -> None:
    """... without the server, and after all is forgotten there. Across a restart there are three."""
    here.succeed(START)
    here.restart("immediate")
    here.succeed(STOP)
    copy = here.copy / "data"
    first = files(copy)
    assert len(first) == 3
    for name in first:
        (copy / name).unlink()
    here.succeed(STOP, PGHOST="nowhere")
    assert files(copy) == first


def test_a_second_stop_leaves_the_control_file_that_is_beside_the_files(here: ShellBesideServer) -> None:
    """Of a folder for the files alone: a later one asks for WAL that the backup does not need."""
    alone = here.folder / "files"
    stop = "shared-backup.sh stop nightly files"
    here.succeed(f"{START} && {stop}")
    first = files(alone)
    owner = here.server.data_dir.stat().st_uid
    assert {folder.stat().st_uid for folder in (alone, alone / "global")} == {owner}, "cp -a makes it that of the copy"
    here.session.execute("CHECKPOINT")
    assert (here.server.data_dir / CONTROL_FILE).read_bytes() != first[CONTROL_FILE]
    here.succeed(stop, PGHOST="nowhere")
    assert files(alone) == first


def test_nobody_else_can_read_what_it_keeps(here: ShellBesideServer) -> None:
    """A token is all that it takes to end a backup, and an answer has the control file."""
    for line in (START, STOP):
        here.succeed(f"umask 0; {line}")
        state = here.folder / "state"
        assert [file.name for file in (state, *state.iterdir()) if file.stat().st_mode & 0o077] == [], line


def test_an_answer_that_was_lost_is_asked_for_again(here: ShellBesideServer) -> None:
    here.succeed(START)
    with here.losing_an_answer():
        refused(here, STOP, "")
        assert here.states() == ["stopped"]
        assert files(here.copy / "data") == {}
        here.session.execute("SELECT pg_switch_wal()")
        here.succeed(STOP)
    labelfile = here.session.execute("SELECT labelfile FROM shared_backup_stop('nightly')")[0][0]
    assert files(here.copy / "data")["backup_label"].decode() == labelfile


@pytest.mark.parametrize("status", [0, 3])
def test_an_answer_that_is_cut_short_is_not_taken_and_asked_for_again(here: ShellBesideServer, status: int) -> None:
    """A disk was full for a moment, of which psql has told, or has not."""
    here.succeed(START)
    with here.cutting_answers(status):
        refused(here, STOP, "run this again" if status == 0 else "")
        assert files(here.copy / "data") == {}
    here.session.execute("SELECT pg_switch_wal()")
    here.succeed(STOP)
    assert "backup_label" in files(here.copy / "data")


def test_what_somebody_has_psql_do_at_its_start_does_no_harm(here: ShellBesideServer) -> None:
    psqlrc = here.folder / ".psqlrc"
    psqlrc.write_text("\\timing on\n\\echo hello\n", encoding="utf-8")
    here.succeed(f"{START} && {RENEW} && {STOP}")
    psqlrc.unlink()


def test_nothing_needs_a_server_that_remembers(here: ShellBesideServer) -> None:
    """With result_retention = 0, one call has to say it all."""
    here.server.configure({"shared_backup.result_retention": "0"})
    here.server.reload()
    try:
        here.succeed(f"{START} && {STOP}")
        assert here.states() == []
    finally:
        here.server.configure({"shared_backup.result_retention": None})
        here.server.reload()
    assert set(files(here.copy / "data")) == {"backup_label", "tablespace_map"}


def test_a_stop_in_mid_copy_is_found_out(here: ShellBesideServer) -> None:
    here.succeed(START)
    here.session.execute(STRAY)
    here.session.execute("SELECT pg_switch_wal()")
    for _ in range(2):
        refused(here, STOP, "before the copy was complete")
    assert files(here.copy / "data") == {}
    here.succeed(f"{ABORT} && {START} && {STOP}")


def test_what_comes_late_does_nothing_to_the_next_backup(here: ShellBesideServer) -> None:
    here.succeed(f"{START} && cp state/nightly.token late")
    here.session.execute("SELECT shared_backup_abort('nightly')")
    here.session.execute("SELECT shared_backup_start('nightly', true)")
    for late in (STOP, RENEW, ABORT):
        done = here.run(f"cp late state/nightly.token && {late}")
        assert "does not have the token" in done.stderr
        assert (done.returncode == 0) is (late == ABORT), late
        assert here.states() == ["active"]
    assert files(here.copy / "data") == {}


def test_a_backup_that_has_expired_is_told_and_cleared_away(here: ShellBesideServer) -> None:
    here.succeed(START, SHARED_BACKUP_TTL="1 second")
    here.server.wait_until(lambda: here.states() == ["expired"], 60, "the backup to expire")
    refused(here, STOP, "has expired")
    refused(here, RENEW, "has expired")
    here.succeed(f"{ABORT} && {START} && {RENEW} && {STOP}")


def test_without_the_server_all_fail_and_keep_what_they_know(here: ShellBesideServer) -> None:
    refused(here, START, "", PGHOST="nowhere")
    assert list((here.folder / "state").iterdir()) == []
    here.succeed(START)
    for script in (STOP, RENEW, ABORT):
        refused(here, script, "", PGHOST="nowhere")
    here.succeed(STOP)


def test_who_may_not_abort_keeps_the_token(here: ShellBesideServer) -> None:
    here.session.execute("CREATE ROLE stranger LOGIN")
    here.succeed(START)
    refused(here, ABORT, "permission denied", PGUSER="stranger")
    assert here.states() == ["active"]
    here.succeed(STOP)


def test_a_database_without_the_extension_is_named(here: ShellBesideServer) -> None:
    refused(
        here, START, 'database "template1" does not have the extension.*\nHINT: .*PGDATABASE', PGDATABASE="template1"
    )


def test_any_schema_will_do(here: ShellBesideServer) -> None:
    here.session.execute('CREATE SCHEMA "An odd one"')
    here.session.execute("DROP EXTENSION shared_backup")
    here.session.execute('CREATE EXTENSION shared_backup SCHEMA "An odd one"')
    try:
        here.succeed(f"{START} && {RENEW} && {ABORT} && {START} && {STOP}")
    finally:
        here.session.execute("DROP EXTENSION shared_backup")
        here.session.execute("CREATE EXTENSION shared_backup")


def test_a_label_must_be_good_for_a_name_of_a_file(here: ShellBesideServer) -> None:
    refused(here, "shared-backup.sh start ../nightly", "as it names files")


def test_on_a_standby_it_does_the_same(instrumented: Build, tally: Tally) -> None:
    """Where no location of the WAL tells what was copied."""
    with shell_beside_server(instrumented, tally, tablespace=False) as here, open_standby(here.server) as standby:
        copy = make_copy(here)
        there = {"PGHOST": standby.parameters()["host"], "PGDATA": standby.data_dir}
        here.succeed(f"{START} && {STOP}", **there)
        assert b"BACKUP FROM: standby" in files(copy)["backup_label"]
        (copy / "backup_label").unlink()
        here.succeed(START, **there)
        session = standby.connect()
        session.execute(STRAY)
        session.close()
        refused(here, STOP, "before the copy was complete", **there)
        assert files(copy) == {}
        here.succeed(ABORT, **there)
        alone = here.folder / "files"
        alone.mkdir()
        (alone / "tablespace_map").write_text("16385 /of/an/earlier/backup\n", encoding="utf-8")
        here.succeed(f"{START} && shared-backup.sh stop nightly files", **there)
        assert set(files(alone)) == {"backup_label", CONTROL_FILE}
        tally.steps += 7
