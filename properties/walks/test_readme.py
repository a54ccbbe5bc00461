"""What the extension's README tells people to run does what it says: a shell runs the lines, taken out of its text."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.implementation import SHARED, without_instruments
from harness.machine.scratch import temporary_folder
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import archive_all, big_update, checkpoint, open_with_workload, transfers
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from properties.recording.tally import Tally
from properties.support.hooks import Hooks, hooks, run_in_shell
from properties.support.readme import rows_of
from properties.support.restoring import check_restore
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

STRAY = "SELECT shared_backup_stop('nightly', token => (SELECT token FROM shared_backups))"
REPEATED = 'shared backup "nightly" had already been stopped'
RELEASED = without_instruments(SHARED)
SERVER = {"shared_preload_libraries": "shared_backup", "shared_buffers": "1MB", "full_page_writes": "on"}


@pytest.fixture
def lines() -> Hooks:
    """The pieces of the section that are to be run."""
    return hooks()


class ShellBesideServer:
    """A server with the workload and a tablespace, its WAL archived, and somebody who runs lines beside it."""

    def __init__(self, server: Cluster, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.copy = folder / "copy"
        self.session = server.connect()

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs lines in a shell, as a hook is run."""
        return run_in_shell(self.server, script, self.folder, {"COPY": str(self.copy / "data")})

    def succeed(self, script: str) -> str:
        """Runs lines that must do without an error; returns what they have said nevertheless."""
        done = self.run(script)
        assert done.returncode == 0, f"{script}\nends with {done.returncode}: {done.stderr}"
        return done.stderr

    def copied(self, in_mid_copy: Callable[[], object]) -> Snapshot:
        """The server's data directory, copied while the server works; something else is done in the middle of it."""
        chance = Random(1)
        steps = (checkpoint, big_update, transfers, checkpoint)
        work = [lambda step=step: step(self.session, chance) for step in steps]
        return copy_while(self.server, self.copy, [*work, in_mid_copy, *work], Pace(1))

    def restart(self) -> None:
        """The server restarts, and its backups come back."""
        self.session.close()
        self.session = durable.restart(self.server, "fast")

    def states(self) -> list[str]:
        """Of the backups."""
        return [row[0] for row in self.session.execute("SELECT state FROM shared_backups")]


@contextmanager
def shell_beside_server(
    build: Build, tally: Tally, settings: dict[str, str] | None = None
) -> Iterator[ShellBesideServer]:
    """A fresh one; all is gone when the block ends."""
    with (
        tally.example(),
        temporary_folder() as folder,
        open_with_workload(build, {**SERVER, **(settings or {})}, RELEASED, tablespace=True) as server,
    ):
        yield ShellBesideServer(server, folder)


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
        assert here.succeed(lines.after).count(REPEATED) == 2, "of three calls, two repeat the first"
        told = "SELECT lsn::text, labelfile, spcmapfile FROM shared_backup_stop('nightly')"
        stop_lsn, labelfile, spcmapfile = here.session.execute(told)[0]
        assert (snapshot.data / "backup_label").read_text() == labelfile
        assert (snapshot.data / "tablespace_map").read_text() == spcmapfile
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
        assert re.search(f"{REPEATED} at .*\n.*What was copied after that time is not covered", done.stderr)
        assert not (snapshot.data / "backup_label").exists()
        tally.steps += 2


def test_a_hook_that_comes_late_does_nothing_to_the_next_backup(
    instrumented: Build, tally: Tally, lines: Hooks
) -> None:
    """What one job gives up, it gives up; but by none of its lines does it touch the backup of another one."""
    with shell_beside_server(instrumented, tally) as here:
        here.succeed(lines.before)
        here.succeed(lines.abort)
        assert here.states() == []
        here.session.execute("SELECT shared_backup_start('nightly', true)")
        (here.copy / "data").mkdir(parents=True)
        for late in (lines.after, lines.abort, lines.renew):
            done = here.run(late)
            assert done.returncode != 0, f"{late}\nis content with another job's backup"
            assert "does not have the token" in done.stderr, done.stderr
            assert here.states() == ["active"]
        assert not (here.copy / "data" / "backup_label").exists()
        tally.steps += 5


def test_the_hooks_fail_without_a_server(instrumented: Build, tally: Tally, lines: Hooks) -> None:
    with shell_beside_server(instrumented, tally) as here:
        here.succeed(lines.before)
        (here.copy / "data").mkdir(parents=True)
        here.session.close()
        here.server.stop()
        for script in (lines.before, lines.after, lines.abort, lines.renew):
            assert here.run(script).returncode != 0, f"{script}\nis content without a server"
        tally.steps += 4


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
        for view in ("shared_backups", "shared_backup_starters"):
            columns = [(name, in_its_words(kind)) for name, kind in session.execute(COLUMNS, (view,))]
            told = [pair for row in rows_of(f"The view `{view}`") for pair in zip(*map(names_in, row[:2]), strict=True)]
            assert columns == told
        settings = {(name, value, CHANGED_BY[context]) for name, value, context in session.execute(SETTINGS)}
        assert settings == {(*names_in(row[0]), *names_in(row[1]), row[2]) for row in rows_of("Settings")}
        session.close()
