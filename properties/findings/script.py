"""Runs a finding's script as a person would, and reads what it says in the end."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.machine.postgres import Postgres, as_user, server_user
from harness.machine.processes import end_with_parent
from harness.machine.scratch import temporary_folder
from harness.server.node import give_all

PATIENCE = 600.0
"""Seconds that a script may take, which takes ten, before it is taken for one that hangs."""
CLEARING_UP = 60.0
"""Seconds for a script to remove its servers."""
BETWEEN_SIGNALS = 1.0
"""Seconds."""
BEGINNINGS = {0: "shown: ", 1: "not shown: "}
"""Of the last line, by exit status."""


class ScriptError(Exception):
    """The script came to no answer; the message is everything that it said."""


@dataclass(frozen=True)
class Answer:
    """What a script says in the end."""

    shown: bool
    sentence: str
    """Its last line, without the word that says so."""
    said: str
    """Everything."""


def run(script: Path, postgres: Postgres) -> Answer:
    """Runs it, and what it sources from its folder, as the server's user; raises ScriptError."""
    with temporary_folder() as folder:
        scripts = folder / "scripts"
        shutil.copytree(script.parent, scripts)  # the user may not be able to read the project's folder
        give_all(folder, server_user())
        with running(scripts / script.name, postgres, folder) as process:
            try:
                said, _ = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                raise ScriptError(f"the script did not end within {PATIENCE:.0f} s") from None
    return answer(process.returncode, said)


def answer(status: int, said: str) -> Answer:
    """What a script with that exit status has said; raises ScriptError if that is no answer."""
    last = said.rstrip().rpartition("\n")[2]
    beginning = BEGINNINGS.get(status)
    if beginning is None or not last.startswith(beginning):
        raise ScriptError(f"exit status {status}: {said}")
    return Answer(status == 0, last.removeprefix(beginning), said)


@contextlib.contextmanager
def running(script: Path, postgres: Postgres, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A script that has ended when the block has, with its servers."""
    process = subprocess.Popen(
        as_user(server_user(), "bash", script),
        env={
            **postgres.environment(),
            "PATH": os.environ.get("PATH", os.defpath),
            "PG_BIN": str(postgres.bindir),
            "TMPDIR": str(folder),
        },
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is ours to pass on
        preexec_fn=end_with_parent,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            end(process)


def end(process: "subprocess.Popen[str]") -> None:
    """Has a script remove its servers and end; kills one that does not.

    It is told so again and again: a program that the shell is about to run, forked but not yet itself, loses a signal.
    """
    for number in (*[signal.SIGTERM] * int(CLEARING_UP / BETWEEN_SIGNALS), signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=BETWEEN_SIGNALS)
            return
