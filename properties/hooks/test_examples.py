"""The examples, each run as it stands, with its tool, and as its header says restored."""

from pathlib import Path

import pytest

from harness.building.build import Build
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import EMPTY
from harness.restore.workload import archive_all
from harness.server import durable
from harness.server.controldata import CONTROL_FILE
from harness.server.node import give
from properties.hooks.copying import TOOLS, Example, find_tool, run_while, variables
from properties.hooks.restoring import check_restored, restore
from properties.recording.tally import Tally
from properties.support.shell import ShellBesideServer, shell_beside_server

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

RUNS = [
    (example, restarts) for example in TOOLS for restarts in ((), ("fast", "immediate")) if restarts or example.quick
]


@pytest.mark.parametrize(
    ("example", "restarts"), RUNS, ids=[f"{one.script} {'over restarts' * bool(two)}" for one, two in RUNS]
)
def test_what_an_example_copies_is_restored(
    instrumented: Build, tally: Tally, example: Example, restarts: tuple[str, ...]
) -> None:
    """By the lines in its head, and the page; the server works meanwhile, and restarts if it is to."""
    find_tool(example)
    with shell_beside_server(instrumented, tally, durable.SETTINGS if restarts else None) as here:
        given = variables(here)
        here.succeed(example.before, **given)

        def meanwhile() -> None:
            here.work()
            for kind in restarts:
                here.restart(kind)
                here.work()

        done = run_while(here, example, meanwhile)
        assert done.returncode == 0, done.stderr
        new, files = Path(given["NEW"]), handed_out(here)
        new.parent.mkdir()
        give(new.parent, here.server.user)
        here.succeed(f"set -eu\n{example.restoring()}", **given)
        assert bool(files.controlfile) is bool(restarts), "the control file should come with a restart"
        check_files(new, files, (here.server.data_dir / CONTROL_FILE).read_bytes())
        check_left_out(new, example)
        if example.steady:
            copy_tablespaces(here, given)
        archive_all(here.server, here.session)
        restore(here, new)
        check_restored(here, tally, f"by {example.script}, {len(restarts)} restarts", new)
        tally.steps += 2


def handed_out(here: ShellBesideServer) -> BackupFiles:
    """What the server says when it is asked again."""
    asked = "SELECT lsn::text, labelfile, spcmapfile, controlfile FROM shared_backups, shared_backup_stop(label)"
    return BackupFiles(*here.session.execute(asked)[0])


def check_files(copy: Path, files: BackupFiles, last_control_file: bytes) -> None:
    """They are in the copy, byte for byte, and the server's user may read them as he may the other ones."""
    assert (copy / "backup_label").read_bytes() == (files.labelfile or "").encode()
    assert (copy / "tablespace_map").read_bytes() == (files.spcmapfile or "").encode()
    controls = (copy / CONTROL_FILE).read_bytes()
    assert controls == (files.controlfile or last_control_file), "a standby's has to be copied last"
    like = (copy / "PG_VERSION").stat()
    for name in ("backup_label", "tablespace_map", CONTROL_FILE):
        found = (copy / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode) == (like.st_uid, like.st_gid, like.st_mode), name


def check_left_out(copy: Path, example: Example) -> None:
    """What does not belong into a copy is not in it, except in a snapshot, which has everything."""
    unwelcome = [copy / name for name in ("postmaster.pid", "postmaster.opts", "pg_shared_backup/mark")]
    unwelcome += [file for folder in (*EMPTY, durable.STATE_DIR) for file in (copy / folder).glob("*")]
    found = [file for file in unwelcome if file.exists()]
    assert bool(found) is (example.script == "snapshot.sh"), found


def copy_tablespaces(here: ShellBesideServer, given: dict[str, str]) -> None:
    """Of a snapshot, which has them where they are on the server."""
    oid = (Path(given["NEW"]) / "tablespace_map").read_text().split()[0]
    here.succeed(f'mkdir "$NEW.tablespaces" && cp -a "$FOLDER/space" "$NEW.tablespaces/{oid}"', **given)
