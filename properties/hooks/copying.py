"""What the examples copy with: the server works while the tool does, and may restart."""

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from textwrap import dedent

import pytest

from properties.support.hooks import EXAMPLES
from properties.support.shell import ShellBesideServer

PATIENCE = 60.0

HELD = """\
#!/bin/sh
# In place of a tool: when it is first asked to copy, somebody hears of it, and it ends when he says so.
case " $* " in *{asked}*) ;; *) exec {tool} "$@" ;; esac
mkdir {folder}/held 2> /dev/null || exec {tool} "$@"
{sooner}
{tool} "$@"
status=$?
touch {folder}/begun {folder}/ended
while [ ! -e {folder}/go ]; do sleep 0.05; done
exit $status
"""


SNAPSHOT = """\
#!/bin/sh
# Plays the snapshot. That one would be of a moment: whatever vanishes meanwhile would be in it, or not.
mkdir -p "$FOLDER"
cp -a --reflink=auto "$PGDATA" "$PGDATA/../space" "$FOLDER" || :
"""


@dataclass(frozen=True)
class Example:
    """One of them: a script, and the tool that it copies with."""

    script: str
    tool: str
    asked: str
    """What the tool is called with where it is to copy."""
    arguments: str = ""
    before: str = ""
    """What makes a repository, once."""
    quick: bool = True
    """It takes no seconds of the processor for its keys and indexes: such a one is tried over restarts alone."""
    steady: bool = False
    """The tool does not take it that files vanish: the server works when it is done, and the copy is not."""

    @property
    def file(self) -> Path:
        """The script."""
        return EXAMPLES / self.script

    def restoring(self) -> str:
        """The lines in its header that restore what it has made."""
        return dedent("".join(re.findall(r"^#( {5}.*\n)", self.file.read_text(encoding="utf-8"), re.MULTILINE)))


TOOLS = (
    Example("rsync.sh", "rsync", "--exclude-from", '"$FOLDER"'),
    Example("tar.sh", "tar", "--exclude-from", '"$FOLDER"'),
    Example("restic.sh", "restic", "backup", before="restic init", quick=False),
    Example("borg.sh", "borg", "create", before="borg init --encryption none", quick=False),
    Example("snapshot.sh", "cp", "", "take-snapshot", steady=True),
)


def find_tool(example: Example) -> str:
    """Where the tool is; the test is skipped where it is not."""
    return shutil.which(example.tool) or pytest.skip(f"{example.tool} is not installed")


def variables(here: ShellBesideServer) -> dict[str, str]:
    """What the examples find set, beside what all lines do."""
    folder = here.folder
    return {
        "FOLDER": f"{folder}/backups",
        "FILES": f"{folder}/files",
        "SNAPSHOT": f"{folder}/backups/data",
        "NEW": f"{folder}/new/data",
        "RESTIC_REPOSITORY": f"{folder}/restic",
        "RESTIC_PASSWORD": "secret",
        "BORG_REPO": f"{folder}/borg",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }


def run_while(here: ShellBesideServer, example: Example, meanwhile: Callable[[], object]) -> CompletedProcess[str]:
    """Runs the example, and does something while its tool copies; then the server works until the stop."""
    folder, tool, name = here.folder, find_tool(example), example.tool
    if example.steady:
        here.put_program("snapshot", SNAPSHOT)
        tool, name = str(here.programs / "snapshot"), "take-snapshot"
    words = {"tool": shlex.quote(tool), "folder": shlex.quote(str(folder)), "asked": example.asked}
    sooner = "" if example.steady else f"touch {words['folder']}/begun"
    here.put_program(name, HELD.format(**words, sooner=sooner))
    process = here.begin(f"{example.script} {example.arguments}", **variables(here))

    def reached(moment: str) -> bool:
        file = folder / moment
        here.server.wait_until(lambda: file.exists() or process.poll() is not None, PATIENCE, f"{moment}: the copy")
        return file.exists()

    if reached("begun"):
        meanwhile()
    if reached("ended"):
        here.work()
    (folder / "go").touch()
    said, complaints = process.communicate()
    return CompletedProcess(example.script, process.returncode, said, complaints)
