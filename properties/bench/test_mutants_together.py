"""Survivors are tried together, and still each is told apart: a kill is of one mutant alone."""

from pathlib import Path

import pytest

from harness.machine.project import ROOT
from harness.schema.mutants import Outcome
from properties.bench.made_mutants import diff_of, made_patch, made_room, try_toys
from properties.mutants.catalogue import read_catalogue
from properties.mutants.together import groups
from properties.mutants.tree import copy_work_tree
from properties.mutants.trials import Trials

FILES = {
    "first": "model/numbers.py",
    "second": "model/outcomes.py",
    "third": "model/design.py",
    "fourth": "model/state.py",
    "fifth": "model/operations.py",
}
BROKEN = "model/promises/__init__.py"
PROPERTIES = """
import model.promises
from importlib import import_module

FILES = {files}
planted = {{name for name, file in FILES.items() if hasattr(import_module(file[:-3].replace("/", ".")), "TOY")}}

def test_the_third_is_not_there():
    assert "third" not in planted

def test_the_fifth_is_not_there():
    assert "fifth" not in planted

def test_the_first_and_the_fourth_are_not_both_there():
    assert not {{"first", "fourth"}} <= planted
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A catalogue with a toy in each of five files."""
    result = made_room(tmp_path)
    for name, file in FILES.items():
        before = (ROOT / file).read_text(encoding="utf-8")
        made_patch(result, name, diff_of(file, before, f"{before}TOY = 1\n"))
    return result


def test_each_is_told_apart_in_company(tmp_path: Path, room: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """... also of one that breaks all properties."""
    before = (ROOT / BROKEN).read_text(encoding="utf-8")
    made_patch(room, "broken", diff_of(BROKEN, before, f"{before}import nothing_of_that_name\n"))
    run = try_toys(tmp_path, room, capfd, "--record", properties=PROPERTIES.format(files=FILES))
    outcomes = {one.name.removeprefix("toys/"): one.outcome for one in run.results.mutants}
    killed = dict.fromkeys(["third", "fifth"], Outcome.KILLED)
    assert outcomes == dict.fromkeys(FILES, Outcome.SURVIVED) | killed | {"broken": Outcome.BROKEN}, run.output
    killers = {name: test.rpartition("::")[2] for name, test in read_catalogue(room).killers.items()}
    assert killers == {"toys/third": "test_the_third_is_not_there", "toys/fifth": "test_the_fifth_is_not_there"}
    assert len(run.results.mutants) == len(outcomes), "one is told twice"


def test_what_changes_the_same_lines_is_tried_apart(tmp_path: Path, room: Path) -> None:
    before = (ROOT / FILES["first"]).read_text(encoding="utf-8")
    made_patch(room, "rival", diff_of(FILES["first"], before, f"{before}TOY = 2\n"))
    copy_work_tree(tmp_path / "tree")
    found = groups(Trials(tmp_path / "tree", silence=60.0), read_catalogue(room).mutants, workers=1)
    names = [{one.own_name for one in group} for group in found]
    assert len(names) == 2
    assert not any({"first", "rival"} <= group for group in names)
