"""The page of a results folder, made by the program that makes it again later: ``nox -s report``."""

import subprocess
import sys
from pathlib import Path

from harness.machine.project import ROOT
from harness.running.commandline import last_line

PAGE = "index.html"
NOTHING = 2
"""The program's exit status where there is nothing to make it of."""


def report(folder: Path) -> str:
    """Writes the page with the figures; returns where it is or, in words, why there is none.

    Whatever goes wrong here, the run keeps its results and its exit status.
    """
    program = [sys.executable, "-m", "reports", str(folder.absolute())]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    if run.returncode == 0:
        return str(folder / PAGE)
    said = last_line(run.stderr)
    return (
        f"none: {said}" if run.returncode == NOTHING else f"none, it broke down ({said}): `nox -s report` shows where"
    )
