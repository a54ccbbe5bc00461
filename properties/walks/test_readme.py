"""What the extension's README tells people to run does what it says: a shell runs the lines, taken out of its text."""

import re
from random import Random

import pytest

from harness.building.build import Build
from harness.restore.restore import BackupFiles
from harness.restore.workload import archive_all, transfers
from harness.server import durable
from harness.server.cluster import open_cluster
from properties.recording.tally import Tally
from properties.support.hooks import Hooks, hooks
from properties.support.readme import rows_of
from properties.support.restoring import check_restore
from properties.support.shell import shell_beside_server

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

STRAY = "SELECT shared_backup_stop('nightly', token => (SELECT token FROM shared_backups))"


@pytest.fixture
def lines() -> Hooks:
    """The pieces of the section that are to be run."""
    return hooks()


@pytest.mark.parametrize("settings", [None, durable.SETTINGS], ids=["no restart", "across a restart"])
def test_a_copy_made_between_the_two_hooks_is_restored(
    instrumented: Build, tally: Tally, lines: Hooks, settings: dict[str, str] | None
) -> None:
    """With the files as the second hook has put them into it; it is renewed in between."""
    with shell_beside_server(instrumented, tally, settings) as here:
        here.succeed(lines.before)

        def half_way() -> None:
            here.succeed(lines.renew)
            if settings:
                here.restart()

        snapshot = here.copied(half_way)
        controls = snapshot.data / "global" / "pg_control"
        as_copied = controls.read_bytes()
        here.succeed(lines.after)
        told = "SELECT lsn::text, labelfile, spcmapfile FROM shared_backup_stop('nightly')"
        stop_lsn, labelfile, spcmapfile = here.session.execute(told)[0]
        assert (snapshot.data / "backup_label").read_bytes() == labelfile.encode()
        assert (snapshot.data / "tablespace_map").read_bytes() == spcmapfile.encode()
        transfers(here.session, Random(2))
        archive_all(here.server, here.session)
        assert (controls.read_bytes() != as_copied) is bool(settings), "the control file should come with a restart"
        files = BackupFiles(stop_lsn, None, spcmapfile)  # which the restore leads to other places
        scenario = f"by the README's lines, {'across a' if settings else 'no'} restart"
        check_restore(tally, scenario, here.server, snapshot, files)
        tally.steps += 2


def test_the_second_hook_fails_after_a_stop_in_mid_copy(instrumented: Build, tally: Tally, lines: Hooks) -> None:
    """... loudly, and leaves no label file in the copy."""
    with shell_beside_server(instrumented, tally) as here:
        here.succeed(lines.before)
        snapshot = here.copied(lambda: here.session.execute(STRAY))
        done = here.run(lines.after)
        assert done.returncode != 0, "the copy is handed out as a whole one"
        assert "before the copy was complete" in done.stderr
        assert not (snapshot.data / "backup_label").exists()
        tally.steps += 2


def test_the_hooks_give_up_what_was_started(instrumented: Build, tally: Tally, lines: Hooks) -> None:
    """... and fail without it, and without a server."""
    with shell_beside_server(instrumented, tally) as here:
        here.succeed(lines.before)
        here.succeed(lines.abort)
        assert here.states() == []
        (here.copy / "data").mkdir(parents=True)
        for late in (lines.after, lines.renew):
            assert here.run(late).returncode != 0, f"{late}\nis content without a backup"
        here.succeed(lines.before)
        here.session.close()
        here.server.stop()
        for script in (lines.before, lines.after, lines.abort, lines.renew):
            assert here.run(script).returncode != 0, f"{script}\nis content without a server"
        tally.steps += 8


@pytest.mark.parametrize("stopped", [False, True], ids=["covered", "stopped in mid-copy"])
def test_the_statements_tell_whether_the_copy_is_covered(
    instrumented: Build, tally: Tally, lines: Hooks, stopped: bool
) -> None:
    """In any session, with all that belongs into the copy."""
    marker = "-- the snapshot\n"
    assert marker in lines.sql
    meanwhile = f"{STRAY} \\g /dev/null\n" if stopped else ""
    script = lines.sql.replace(marker, f"\\connect\n{meanwhile}SELECT FROM pg_switch_wal();\n\\connect\n")
    with shell_beside_server(instrumented, tally) as here:
        (here.folder / "lines.sql").write_text(f"{script}\\echo :covered\n\\echo :labelfile :spcmapfile :controlfile\n")
        said = here.run("psql -X -q -A -t -v ON_ERROR_STOP=1 -f lines.sql")
        assert said.returncode == 0, said.stderr
        labelfile, spcmapfile = here.session.execute("SELECT labelfile, spcmapfile FROM shared_backup_stop('nightly')")[
            0
        ]
        assert ("\nf\n" if stopped else "\nt\n") in f"\n{said.stdout}"
        assert f"{labelfile} {spcmapfile} " in said.stdout
        tally.steps += 2


# The tables


DECLARED = (
    "SELECT format('%s(%s)', proname, pg_get_function_arguments(p.oid)) FROM pg_proc p, pg_depend d, pg_extension e"
    " WHERE d.refobjid = e.oid AND d.objid = p.oid AND extname = 'shared_backup' AND proname !~ 'list$'"
)
COLUMNS = (
    "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
)
SETTINGS = "SELECT name, current_setting(name), context FROM pg_settings WHERE name LIKE 'shared\\_backup.%'"
CHANGED_BY = {"sighup": "reload", "postmaster": "restart"}
NAMES = {"timestamp with time zone": "timestamptz", "::interval": "", "::uuid": ""}
"""What the README calls them."""


def names_in(cell: str) -> list[str]:
    return re.findall("`([^`]*)`", cell)


def in_its_words(text: str) -> str:
    for name, word in NAMES.items():
        text = text.replace(name, word)
    return text


def test_the_tables_tell_what_there_is(instrumented: Build) -> None:
    """Functions with the defaults of their arguments, the columns of the views, and the settings as they come."""
    with open_cluster(instrumented, settings={"shared_preload_libraries": "shared_backup"}) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        functions = {in_its_words(declared) for (declared,) in session.execute(DECLARED)}
        assert functions == {names_in(row[0])[0] for row in rows_of("Functions")}
        for view in ("shared_backups", "shared_backup_stats", "shared_backup_starters"):
            columns = [(name, in_its_words(kind)) for name, kind in session.execute(COLUMNS, (view,))]
            told = [pair for row in rows_of(f"The view `{view}`") for pair in zip(*map(names_in, row[:2]), strict=True)]
            assert columns == told
        settings = {(name, value, CHANGED_BY[context]) for name, value, context in session.execute(SETTINGS)}
        assert settings == {(*names_in(row[0]), *names_in(row[1]), row[2]) for row in rows_of("Settings")}
        session.close()
