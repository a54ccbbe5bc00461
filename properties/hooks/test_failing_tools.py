"""A tool that fails: its backup is given up, unless it says of nothing but files that have changed or vanished."""

from collections.abc import Iterator

import pytest

from harness.building.build import Build
from properties.hooks.copying import TOOLS, Example, variables
from properties.recording.tally import Tally
from properties.support.shell import ShellBesideServer, shell_beside_server

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

BY_SCRIPT = {example.script: example for example in TOOLS}
SAYS = """\
#!/bin/sh
# In place of a tool, which has this to say, and that status.
cat >&2 <<'END'
{words}
END
exit {status}
"""
INTERRUPTED = """\
#!/bin/sh
# In place of a tool: while it copies, all that runs here is interrupted, as by Ctrl-C or by an administrator.
kill -s {signal} 0
sleep 60
"""
VANISHED = {
    "rsync.sh": (24, "file has vanished: base/5/16400"),
    "tar.sh": (1, "tar: ./base/5/16400: File removed before we read it"),
    "restic.sh": (3, "error: lstat base/5/1: no such file or directory\nWarning: at least one file could not be read"),
    "borg.sh": (1, "base/5/1: file changed while we backed it up\nb: open: [Errno 2] No such file or directory: 'b'"),
}
FAILED = (
    ("rsync.sh", 23, "rsync: read errors mapping base/5/16400: Input/output error (5)"),
    ("tar.sh", 2, "tar: ./base/5/16400: Cannot open: Permission denied"),
    ("restic.sh", 3, f"{VANISHED['restic.sh'][1]}\nerror: open base/5/16401: permission denied"),
    ("borg.sh", 1, f"{VANISHED['borg.sh'][1]}\nc: open: [Errno 13] Permission denied: 'c'"),
    ("snapshot.sh", 1, "cannot create snapshot: out of space"),
    *((script, 137, "Killed") for script in BY_SCRIPT),
)


@pytest.fixture(scope="module")
def here(instrumented: Build) -> Iterator[ShellBesideServer]:
    """One for all: they leave nothing behind."""
    with shell_beside_server(instrumented, Tally(), tablespace=False) as here:
        yield here


def run(here: ShellBesideServer, example: Example, tool: str) -> int:
    """Runs the example with that in place of its tool, and as a job of its own; returns its exit status."""
    name = "take-snapshot" if example.steady else example.tool
    here.put_program(name, tool)
    try:
        here.succeed('mkdir -p "$FOLDER/data/global" && cp -p "$PGDATA/PG_VERSION" "$FOLDER/data"', **variables(here))
        return here.run(f"setsid --wait {example.script} {example.arguments}", **variables(here)).returncode
    finally:
        (here.programs / name).unlink()


def check_given_up(here: ShellBesideServer, tally: Tally, script: str, tool: str) -> None:
    """With that in place of its tool, the example fails, and leaves nothing open."""
    with tally.example():
        assert run(here, BY_SCRIPT[script], tool) != 0
        assert here.states() == []
        assert list((here.folder / "state").iterdir()) == [], "the next start would be refused"
        tally.steps += 1


@pytest.mark.parametrize(("script", "status", "words"), FAILED, ids=[f"{row[0]} {row[1]}" for row in FAILED])
def test_a_backup_whose_copy_failed_is_given_up(
    here: ShellBesideServer, tally: Tally, script: str, status: int, words: str
) -> None:
    check_given_up(here, tally, script, SAYS.format(status=status, words=words))


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM"])
@pytest.mark.parametrize("script", BY_SCRIPT)
def test_a_backup_that_is_interrupted_is_given_up(
    here: ShellBesideServer, tally: Tally, script: str, name: str
) -> None:
    check_given_up(here, tally, script, INTERRUPTED.format(signal=name))


def check_stopped(here: ShellBesideServer) -> None:
    """The backup is, and no other; it is forgotten afterwards."""
    assert here.states() == ["stopped"]
    [(label,)] = here.session.execute("SELECT label FROM shared_backups")
    for call in ("start(%s, true)", "abort(%s)"):
        here.session.execute(f"SELECT shared_backup_{call}", (label,))
    here.succeed("rm -r state")


@pytest.mark.parametrize("script", VANISHED)
def test_files_that_change_or_vanish_are_no_failure(here: ShellBesideServer, tally: Tally, script: str) -> None:
    """They always do, of a server that works."""
    with tally.example():
        status, words = VANISHED[script]
        run(here, BY_SCRIPT[script], SAYS.format(status=status, words=words))
        check_stopped(here)
        tally.steps += 1


@pytest.mark.parametrize("script", BY_SCRIPT)
def test_an_answer_that_is_lost_at_the_end_is_no_failure(here: ShellBesideServer, tally: Tally, script: str) -> None:
    """The copy is complete, and may have taken hours."""
    with tally.example():
        with here.losing_an_answer():
            assert run(here, BY_SCRIPT[script], SAYS.format(status=0, words="")) == 0
        check_stopped(here)
        tally.steps += 1
