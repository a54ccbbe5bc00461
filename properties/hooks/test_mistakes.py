"""What the page on restoring says that the log says if something was forgotten: each mistake is made once."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.restore.workload import archive_all
from harness.server import durable
from harness.server.cluster import ClusterError
from harness.server.controldata import CONTROL_FILE
from harness.server.node import give, give_all
from properties.hooks.restoring import PAGE, check_restored, restore, started
from properties.recording.tally import Tally
from properties.support.shell import ShellBesideServer, shell_beside_server

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

TITLE = "## What the log says if something was forgotten"
LOST = "was lost in a restart of the server"


class Copies:
    """A server with a backup that has crossed a restart, and its copy, which can be had again and again."""

    def __init__(self, here: ShellBesideServer) -> None:
        self.here = here
        here.succeed("shared-backup.sh start nightly")
        here.work()
        here.restart()
        here.work()
        here.succeed('cp -a "$PGDATA" data && cp -a "$PGDATA/../space" space')
        here.work()
        here.succeed('shared-backup.sh stop nightly "$PWD/files"')
        archive_all(here.server, here.session)

    def fresh(self, name: str) -> Path:
        """A copy ready to be started."""
        new = self.here.folder / name / "data"
        new.parent.mkdir()
        give(new.parent, self.here.server.user)
        self.here.succeed(
            'cp -a data "$NEW" && cp -a files/. "$NEW" && mkdir "$NEW.tablespaces" &&'
            ' cp -a space "$NEW.tablespaces/$(sed "s/ .*//" files/tablespace_map)"',
            NEW=new,
        )
        restore(self.here, new)
        return new

    def archive_without(self, new: Path, which: int) -> None:
        """The copy finds an archive that lacks one of the segments from the start point to the stop point."""
        archive = self.here.server.archive_dir
        assert archive is not None
        shutil.copytree(archive, new.parent / "archive")
        first = re.search(r"\(file (\w+)\)", (new / "backup_label").read_text())
        assert first
        needed = [file for file in sorted((new.parent / "archive").iterdir()) if file.name >= first[1]]
        stop = self.here.session.execute("SELECT pg_walfile_name(stop_lsn) FROM shared_backups")[0][0]
        needed = [file for file in needed if file.name <= stop]
        needed[which].unlink()
        give_all(new.parent / "archive", self.here.server.user)
        settings = new / "postgresql.auto.conf"
        settings.write_text(settings.read_text().replace(str(archive), str(new.parent / "archive")))


@pytest.fixture(scope="module")
def copies(instrumented: Build) -> Iterator[Copies]:
    with shell_beside_server(instrumented, Tally(), durable.SETTINGS) as here:
        yield Copies(here)


def original_pid(copies: Copies, new: Path) -> None:
    shutil.copy(copies.here.server.data_dir / "postmaster.pid", new)
    give(new / "postmaster.pid", copies.here.server.user)


def no_restore_command(copies: Copies, new: Path) -> None:
    (new / "postgresql.auto.conf").write_text("")


def copied_control_file(copies: Copies, new: Path) -> None:
    shutil.copyfile(copies.here.folder / "data" / CONTROL_FILE, new / CONTROL_FILE)


def no_label(copies: Copies, new: Path) -> None:
    """With the control file of a server that was not restarted: the one from a stop names the right checkpoint, too."""
    (new / "backup_label").unlink()
    copied_control_file(copies, new)


def of_another_user(copies: Copies, new: Path) -> None:
    if copies.here.server.user is None:
        pytest.skip("only root can give a folder away")
    os.chown(new, 0, 0)
    new.chmod(0o755)  # or the server's user could not even look


MISTAKES: Mapping[str, Callable[[Copies, Path], None]] = {
    "no `backup_label`": no_label,
    "no `global/pg_control` from the stop, after a restart": copied_control_file,
    "`global/pg_control` is not readable": lambda _, new: (new / CONTROL_FILE).chmod(0),
    "no `tablespace_map`": lambda _, new: (new / "tablespace_map").unlink(),
    "no `recovery.signal`": lambda _, new: (new / "recovery.signal").unlink(),
    "no `restore_command`": no_restore_command,
    "the archive lacks the first segment": lambda copies, new: copies.archive_without(new, 0),
    "the archive lacks the last segment": lambda copies, new: copies.archive_without(new, -1),
    "no `pg_wal`": lambda _, new: (new / "pg_wal").rmdir(),
    "`postmaster.pid` came along, and the original runs": original_pid,
    "the folder is open to others": lambda _, new: new.chmod(0o755),
    "the folder belongs to another user": of_another_user,
}
SILENT = "no `backup_label`, and what was in `pg_wal` came along"


def told(title: str) -> dict[str, str]:
    """The rows of the table: what was forgotten, and what the log says."""
    rows = PAGE.partition(title)[2].partition("\n\nWhat is no mistake")[0].splitlines()
    cells = [(row.split("|")[1].strip(), row.split("|")[2].strip()) for row in rows if row.startswith("| ")]
    return dict(cells[1:])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_log_says_what_the_page_says(copies: Copies, tally: Tally, mistake: str) -> None:
    with tally.example():
        new = copies.fresh("mistaken")
        try:
            MISTAKES[mistake](copies, new)
            with pytest.raises(ClusterError) as refused, started(copies.here.server, new):
                pass
        finally:
            shutil.rmtree(new.parent, ignore_errors=True)
        assert told(TITLE)[mistake].strip("`") in str(refused.value)
        tally.steps += 1


def test_each_mistake_on_the_page_is_made() -> None:
    assert set(told(TITLE)) == {*MISTAKES, SILENT}


def test_without_a_label_file_the_log_says_nothing(copies: Copies, tally: Tally) -> None:
    """The copy is not known as one, and the server starts: nothing tells that it is not whole."""
    with tally.example():
        new = copies.fresh("silent")
        (place,) = Path(f"{new}.tablespaces").iterdir()
        (new / "pg_tblspc" / place.name).symlink_to(place)
        for name in ("backup_label", "tablespace_map"):
            (new / name).unlink()
        copied_control_file(copies, new)
        copies.here.succeed('rm -r "$NEW/pg_wal" && cp -a data/pg_wal "$NEW"', NEW=new)
        with started(copies.here.server, new) as server:
            assert not re.search("WARNING|ERROR|FATAL|PANIC|starting backup recovery", server.log_since(0))
        assert told(TITLE)[SILENT].startswith("**nothing")


def test_a_backup_that_came_along_is_no_reason_to_worry(copies: Copies, tally: Tally) -> None:
    """The log says of it what the page says, and does not say that the copy cannot be used."""
    with tally.example():
        new = copies.fresh("carrying")
        copies.here.succeed('cp -a data/pg_shared_backup "$NEW"', NEW=new)
        assert list((new / durable.STATE_DIR).glob("*.backup"))
        with started(copies.here.server, new) as server:
            session = durable.resumed(server)
            assert session.execute("SELECT lost FROM shared_backup_stats") == [(0,)]
            session.close()
            log = server.log_since(0)
        for words in re.findall("`(.*?)`", PAGE.partition("What is no mistake")[2].partition("While WAL")[0])[1:]:
            assert words in log, words
        [line] = [line for line in log.splitlines() if LOST in line]
        assert "LOG:  " in line
        assert "cannot be used" not in log


def test_without_a_mistake_it_is_whole(copies: Copies, tally: Tally) -> None:
    with tally.example():
        check_restored(copies.here, tally, "by the page on restoring", copies.fresh("whole"))
