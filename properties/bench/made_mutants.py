"""Mutants made up of one line of the model, and properties that go by it: no server is needed."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from harness.machine.project import ROOT
from harness.schema.mutants import Mutant, Mutants
from properties.bench.made_campaigns import CONFTEST, WITH_PAGE
from properties.mutants.__main__ import main

FILE = "model/numbers.py"
TOY = """
import signal
import time
from model import numbers

toy = getattr(numbers, "TOY", "original")
assert toy != "fallen", "what is asked of the model when this is loaded"

def test_the_model_is_no_toy(tally):
    for number in range(5):
        with tally.example():
            tally.steps += 2
            assert toy != "killed" or number < 3, f"number {number}"

def test_the_checker_knows_all_toys():
    {"original": 0, "killed": 0, "survivor": 0, "sleeper": 0, "deaf": 0}[toy]

def test_nobody_sleeps():
    if toy == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(600 if toy in ("sleeper", "deaf") else 0)
"""


def made_diff(line: str) -> str:
    """A diff that adds the line to a file of the model."""
    before = (ROOT / FILE).read_text(encoding="utf-8")
    return diff_of(FILE, before, f"{before}{line}\n")


def diff_of(file: str, before: str, after: str) -> str:
    """The diff between two texts of a file, named from the project's folder."""
    lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(*lines, f"a/{file}", f"b/{file}"))


def made_patch(room: Path, name: str, diff: str, sentence: str = "A toy was left in the model.") -> Path:
    """Puts a mutant into the folder."""
    file = room / "patches" / "toys" / f"{name}.patch"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{sentence}\n\nBreaks: Nothing much.\n\n{diff}", encoding="utf-8")
    return file


def made_room(folder: Path, *toys: str, killers: dict[str, str] | None = None, equivalent: str = "") -> Path:
    """A catalogue of toys."""
    room = folder / "room"
    room.mkdir()
    for toy in toys:
        made_patch(room, toy, made_diff(f'TOY = "{toy}"'))
    (room / "killers.json").write_bytes(msgspec.json.encode(killers or {}))
    (room / "equivalent.toml").write_text(equivalent, encoding="utf-8")
    return room


@dataclass
class Tried:
    """A run that has ended."""

    status: int
    output: str
    errors: str
    folder: Path

    @property
    def results(self) -> Mutants:
        """Its mutants.json."""
        return msgspec.json.decode((self.folder / "latest" / "mutants.json").read_bytes(), type=Mutants)

    def one(self, name: str) -> Mutant:
        """One of its toys."""
        (found,) = [one for one in self.results.mutants if one.name == f"toys/{name}"]
        return found


def try_toys(
    folder: Path, room: Path, capture: pytest.CaptureFixture[str], *arguments: str, properties: str = TOY
) -> Tried:
    """Tries all mutants in the room on these properties; without the page, unless it is asked for."""
    tests = folder / "made_up"
    tests.mkdir(exist_ok=True)
    (tests / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tests / "test_toy.py").write_text(properties, encoding="utf-8")
    capture.readouterr()
    page = [] if WITH_PAGE in arguments else ["--no-report"]
    given = [one for one in arguments if one != WITH_PAGE]
    status = main(["--all", f"--results={folder / 'out'}", *page, *given], room, str(tests))
    said = capture.readouterr()
    return Tried(status, said.out, said.err, folder / "out")
