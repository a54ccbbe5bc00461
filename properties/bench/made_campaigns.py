"""Campaigns over a folder of made-up properties, each in a process of its own and without a server."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.machine.project import ROOT

PROGRAM = (
    "import sys, pathlib; from properties.campaign.__main__ import main; "
    "sys.exit(main(sys.argv[2:], pathlib.Path(sys.argv[1])))"
)
WITH_PAGE = "with its page"
"""In place of an argument."""

PATIENCE = 60  # seconds for a campaign of a few made-up properties

CONFTEST = "from properties.conftest import *\n"
HOLDING = "def test_two_is_even():\n    '''Which is well known.'''\n    assert 2 % 2 == 0\n"
FAILING = "def test_one_is_even():\n    assert 1 % 2 == 0\n"
SLOW = "def test_it_takes_long():\n    import time\n    time.sleep(600)\n"


@dataclass
class Ended:
    """A campaign that has ended."""

    status: int
    output: str
    errors: str
    results: Path

    @property
    def json(self) -> dict[str, Any]:
        """Its results.json."""
        return dict(json.loads((self.results / "latest" / "results.json").read_text()))

    def one(self, sentence: str) -> dict[str, Any]:
        """One of its properties."""
        (found,) = [each for each in self.json["properties"] if each["name"] == sentence]
        return dict(found)


def written(folder: Path, **files: str) -> Path:
    """A folder of properties."""
    properties = folder / "made_up"
    properties.mkdir()
    for name, text in {"conftest": CONFTEST, **files}.items():
        (properties / f"{name}.py").write_text(text)
    return properties


def command(folder: Path, properties: Path, *arguments: str) -> list[str]:
    """The campaign as a program; without the page, which takes longer than all the rest, unless it is asked for."""
    start = [
        sys.executable,
        "-c",
        PROGRAM,
        str(properties),
        f"--results={folder / 'out'}",
        "--profile=dev",
        "--workers=1",
    ]
    return [
        *start,
        *([] if WITH_PAGE in arguments else ["--no-report"]),
        *(one for one in arguments if one != WITH_PAGE),
    ]


def campaign(folder: Path, *arguments: str, **files: str) -> Ended:
    """Runs a campaign over such files, to its end."""
    return ended(folder, command(folder, written(folder, **files), *arguments))


def ended(folder: Path, program: list[str]) -> Ended:
    """Runs a program that is a campaign, to its end."""
    campaigns = max(1, sum(word.startswith("--pg-config") for word in program))
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE * campaigns)
    return Ended(run.returncode, run.stdout, run.stderr, folder / "out")


def left(folder: Path) -> list[int]:
    """Processes of campaigns over properties in this folder."""
    running = psutil.process_iter(["pid", "cmdline"])
    return [one.pid for one in running if any(str(folder) in word for word in one.info["cmdline"] or [])]
