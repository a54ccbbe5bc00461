"""Several processes check what one does and say the same; if one of them is lost, what it left does not pass."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.machine.processes import hear_signals
from harness.machine.project import ROOT
from properties.bench.made_campaigns import (
    FAILING,
    HOLDING,
    PATIENCE,
    SLOW,
    Ended,
    campaign,
    command,
    ended,
    left,
    written,
)

TWO = "--workers=2"
MIXED = """
import os, pytest
from model.tour import TransitionClass
from harness.schema.campaign import SurvivalCase
from harness.server.session import SqlError
from properties.recording.tally import attempt

@pytest.fixture(scope="session")
def shared():
    yield os.getpid()

@pytest.mark.parametrize("number", [1, 2])
def test_each_is_even(number):
    assert number % 2 == 0

def test_the_checker_has_a_bug(shared):
    raise KeyError("what")

def test_what_nobody_can_check():
    pytest.skip("nobody can")

def test_what_is_counted(tally, shared):
    with tally.example():
        tally.steps += 3
        tally.classes.add(TransitionClass("Stop", "active", "owner", "ok"))
        tally.reachable |= tally.classes
        tally.restores += [attempt("plain", True, "", 1207, 0.5)]
        tally.refused(SurvivalCase("durable", ("fast shutdown",), "WAL reset"), SqlError("55000", "lost", "no WAL"))
"""
KILLED = """
import os, pathlib, signal

def test_what_kills_its_process_{how}():
    if {always} or not pathlib.Path({mark!r}).exists():
        pathlib.Path({mark!r}).touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""
LATE = """
import pytest

@pytest.fixture(scope="session")
def shared():
    yield
    pytest.fail("a server had crashed")

def test_it_uses_what_all_share(shared):
    pass
"""


def told(run: Ended) -> Any:
    """Everything of the results that is no time."""
    timed = {"seconds", "stepping", "steps_per_second", "when", "failure"}
    told = [{name: value for name, value in one.items() if name not in timed} for one in run.json["properties"]]
    totals = {
        name: run.json[name] for name in ("verdict", "reason", "coverage", "restores", "refusals", "examples", "steps")
    }
    return told, totals


def test_two_say_the_same_as_one(tmp_path: Path) -> None:
    files = {"test_mixed": MIXED, "test_b": HOLDING, "test_broken_file": "import nothing_of_that_name\n"}
    one = campaign(tmp_path, **files)
    two = ended(tmp_path, command(tmp_path, tmp_path / "made_up", TWO))
    assert one.status == two.status == 1
    assert told(one) == told(two)
    junit = [(run / "junit.xml").read_text().count("<testcase") for run in sorted((tmp_path / "out").glob("2*"))]
    assert junit == [7, 7]


@pytest.fixture(scope="module")
def mishaps(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A campaign with a test that kills its process once, and one that always does."""
    folder = tmp_path_factory.mktemp("mishaps")
    made = {how: KILLED.format(how=how, mark=str(folder / how), always=how == "always") for how in ("once", "always")}
    return campaign(folder, TWO, test_a=HOLDING, test_b=made["always"], test_c=made["once"])


def test_a_process_that_dies_is_begun_again(mishaps: Ended) -> None:
    assert mishaps.one("what kills its process once")["verdict"] == "holds"
    assert (mishaps.results.parent / "once").exists()


def test_what_kills_every_process_is_named_and_does_not_hold(mishaps: Ended) -> None:
    killer = mishaps.one("what kills its process always")
    assert (killer["verdict"], killer["reason"]) == ("not checked", "what ran it was lost, again and again: signal 9")
    assert mishaps.one("two is even")["verdict"] == "holds"
    assert mishaps.status == 1


def test_what_is_found_when_all_has_been_run_is_a_failure(tmp_path: Path) -> None:
    run = campaign(tmp_path, TWO, test_late=LATE)
    assert "a server had crashed" in run.one("it uses what all share")["reason"]
    assert run.status == 1


def test_a_set_up_that_fails_is_one_sentence(tmp_path: Path) -> None:
    needs = "import pytest\nfrom harness.machine.postgres import SetupError\n"
    needs += "from properties.support.servers import setting_up\n"
    needs += "@pytest.fixture\n@setting_up()\ndef compiler():\n    raise SetupError('There is no compiler: get one.')\n"
    run = campaign(tmp_path, TWO, test_needy=needs + "def test_it(compiler): pass\n", test_z=HOLDING)
    assert run.status == 2
    assert run.errors == "There is no compiler: get one.\n"


def test_at_the_first_failure_all_processes_stop(tmp_path: Path) -> None:
    run = campaign(tmp_path, TWO, "-x", test_a=FAILING, test_b=SLOW)
    assert run.status == 1
    assert run.json["verdict"] == "fails"
    assert run.one("it takes long")["verdict"] == "not run"
    assert not left(tmp_path)


@pytest.mark.parametrize("to", ["the campaign", "all of it"])
def test_ctrl_c_ends_every_process(tmp_path: Path, to: str) -> None:
    program = command(tmp_path, written(tmp_path, test_a=HOLDING, test_b=SLOW, test_c=SLOW), TWO)
    pipe = subprocess.PIPE
    with subprocess.Popen(program, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=hear_signals) as process:
        assert process.stdout
        while "two is even" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT if to == "the campaign" else signal.SIGKILL)
        process.wait(PATIENCE)
    if to == "the campaign":
        run = Ended(process.returncode, "", "", tmp_path / "out")
        assert run.status == 130
        assert [one["verdict"] for one in run.json["properties"]] == ["holds", "interrupted", "interrupted"]
    deadline = time.monotonic() + PATIENCE
    while left(tmp_path):
        assert time.monotonic() < deadline, "a process goes on without its campaign"
        time.sleep(0.1)
