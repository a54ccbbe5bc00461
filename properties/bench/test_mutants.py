"""The runner of mutants tells the truth: a kill is a kill, and whatever is none fails the run, by name and reason."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.machine.postgres import Postgres
from harness.machine.processes import hear_signals, titled
from harness.machine.project import ROOT
from harness.machine.scratch import program_folder
from harness.schema.mutants import Outcome, Verdict
from properties.bench.made_mutants import FILE, Tried, diff_of, made_diff, made_patch, made_room, try_toys
from properties.mutants import __main__ as program
from properties.mutants import attempt, trials
from properties.mutants.catalogue import read_catalogue
from properties.recording.tally import Tally
from properties.recording.verdict import Property, Recorder

ON_A_SERVER = """
import pytest

def test_what_needs_no_server_is_left_out():
    assert False

@pytest.mark.server
def test_all_is_well(clean_session):
    assert clean_session.execute("SELECT 1") == [(1,)]

@pytest.mark.server
def test_not_everybody_may_abort(clean_session):
    asked = "SELECT has_function_privilege('public', 'shared_backup_abort(text, uuid)', 'EXECUTE')"
    assert clean_session.execute(asked) == [(False,)]
"""
PATIENCE = 120  # seconds for a run of two mutants to end


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with some of everything."""
    folder = tmp_path_factory.mktemp("toys")
    room = made_room(folder, "killed", "survivor", "unknown", "same", equivalent="'toys/same' = 'it is one'")
    made_patch(room, "stale", diff_of(FILE, "What is not there.\n", "TOY = 1\n"))
    made_patch(room, "broken", made_diff("import nothing_of_that_name"))
    return room


def test_every_toy_meets_its_end(tmp_path: Path, toys: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = try_toys(tmp_path, toys, capfd, "--record")
    assert run.status == 1, run.errors
    outcomes = {one.name.removeprefix("toys/"): one.outcome for one in run.results.mutants}
    assert outcomes == {
        "broken": Outcome.BROKEN,
        "killed": Outcome.KILLED,
        "same": Outcome.EQUIVALENT,
        "stale": Outcome.STALE,
        "survivor": Outcome.SURVIVED,
        "unknown": Outcome.KILLED,
    }
    check_kills(run)
    check_words(run)
    killers = read_catalogue(toys).killers
    assert {name: test.rpartition("::")[2] for name, test in killers.items()} == {
        "toys/killed": "test_the_model_is_no_toy",
        "toys/unknown": "test_the_checker_knows_all_toys",
    }
    assert list(program_folder().glob("tmp*")) == [], "a copy of the tree was left behind"


def check_kills(run: Tried) -> None:
    """A kill is told with its steps, a crash as one."""
    kill, crash = run.one("killed").kill, run.one("unknown").kill
    assert kill is not None
    assert crash is not None
    assert (kill.property, kill.examples, kill.steps, kill.before) == ("the model is no toy", 4, 8, 0)
    assert 0 < kill.seconds <= run.one("killed").seconds
    assert "number 3" in kill.reason
    assert (kill.crashed, crash.crashed, crash.examples, crash.before) == (False, True, None, 1)
    assert (run.results.killed, run.results.tried, run.results.median_steps) == (2, 3, 8)
    assert "number 3" in (run.folder / "latest" / "kills" / "toys" / "killed.txt").read_text(encoding="utf-8")


def check_words(run: Tried) -> None:
    """What a person reads."""
    assert "test_toy.py::test_the_model_is_no_toy, example 4, step 8, after" in run.output
    assert "toys/unknown (crashed)" in run.output
    assert "Survivors: nothing fails, though\n  toys/survivor: A toy was left in the model. Nothing much." in run.output
    assert "nothing_of_that_name" in run.one("broken").reason
    assert "patch failed: model/numbers.py" in run.one("stale").reason
    assert "toys/same: A toy was left in the model. Nothing much. (it is one)" in run.output
    told = "NOT ALL KILLED: 2 killed, 1 survived, 1 broken, 1 does not apply, 1 equivalent"
    assert f"Verdict  {told}" in " ".join(run.output.split("\n"))


def test_a_mutant_that_no_file_of_properties_can_be_loaded_with_is_killed_by_that_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a file asks the model when it is loaded is part of its properties."""
    run = try_toys(tmp_path, made_room(tmp_path, "fallen"), capfd)
    assert run.status == 0, run.errors + run.output
    kill = run.one("fallen").kill
    assert kill is not None
    assert (kill.crashed, Path(kill.test).name) == (True, "test_toy.py")
    assert "fallen" in kill.reason


def test_a_run_that_kills_all_is_a_pass(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = try_toys(tmp_path, made_room(tmp_path, "killed"), capfd)
    assert (run.status, run.results.verdict) == (0, Verdict.ALL_KILLED), run.output


def test_what_fails_without_a_mutant_kills_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = "def test_one_is_even():\n    assert 1 % 2 == 0\n"
    run = try_toys(tmp_path, made_room(tmp_path, "survivor"), capfd, properties=wrong)
    assert run.status == 1
    one = run.one("survivor")
    assert (one.outcome, one.kill) == (Outcome.BROKEN, None)
    assert "test_one_is_even does not hold either: assert (1 % 2) == 0" in one.reason


def test_a_known_killer_that_fails_without_a_mutant_stops_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    room = made_room(tmp_path, "killed")
    assert try_toys(tmp_path, room, capfd, "--record").status == 0
    wrong = "def test_the_model_is_no_toy():\n    assert 1 % 2 == 0\n"
    run = try_toys(tmp_path, room, capfd, properties=wrong)
    assert run.status == 2
    assert run.errors.startswith("Without any mutant, "), run.errors
    assert "test_toy.py::test_the_model_is_no_toy does not hold (assert (1 % 2) == 0" in run.errors
    assert len(list((tmp_path / "out").glob("2*"))) == 1, "a folder without results was left"


def test_a_known_killer_that_is_not_there_any_more_stops_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    room = made_room(tmp_path, "killed", killers={"toys/killed": "nothing.py::test_of_that_name"})
    assert try_toys(tmp_path, room, capfd).status == 0


def test_a_property_that_hangs_with_a_mutant_kills_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = try_toys(tmp_path, made_room(tmp_path, "sleeper"), capfd, "--silence=2")
    kill = run.one("sleeper").kill
    assert run.status == 0
    assert kill is not None
    assert kill.crashed
    assert "nothing has gone on for 2 s" in kill.reason


def test_an_attempt_that_hangs_is_no_kill(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """... nor if it does not end when it is told to."""
    monkeypatch.setattr(trials, "PATIENCE", 1)
    monkeypatch.setattr(program, "CLEARING_UP", 1)
    run = try_toys(tmp_path, made_room(tmp_path, "deaf"), capfd, "--silence=4")
    assert (run.status, run.one("deaf").outcome) == (1, Outcome.HUNG)
    assert "nothing has gone on for 5 s" in run.output
    assert titled(os.getpid(), "properties.mutants.attempt") == set()


def test_what_counts_steps_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "BEAT", 0.02)
    one, file = Property("it goes on", "toys", "test_toy.py::test_it", tally=Tally()), tmp_path / "alive"
    with attempt.touching(file, Recorder(properties=[one])):
        wait_for(file)
        file.unlink()
        time.sleep(0.5)
        assert not file.exists(), "nothing has gone on"
        assert one.tally is not None
        one.tally.steps += 1
        wait_for(file)


def wait_for(file: Path) -> None:
    """Waits until the file is there."""
    deadline = time.monotonic() + PATIENCE
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_the_budget_leaves_out_is_not_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = try_toys(tmp_path, made_room(tmp_path, "sleeper", "killed"), capfd, "--budget=2")
    assert (run.status, run.results.verdict) == (1, Verdict.NOT_ALL_KILLED)
    assert run.one("sleeper").outcome is Outcome.NOT_RUN
    assert "the time was up" in run.one("sleeper").reason


def test_what_is_interrupted_ends_at_once_and_tells_what_it_knows(tmp_path: Path) -> None:
    room = made_room(tmp_path, "a", "sleeper")
    program = "import sys, pathlib; from properties.bench.made_mutants import *; print('begun', flush=True)\n"
    program += "class Output:\n    def readouterr(self): return type('Said', (), {'out': '', 'err': ''})\n"
    program += "sys.exit(try_toys(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), Output()).status)"
    process = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path, room],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("killed"):
        assert process.poll() is None
    time.sleep(0.3)  # for the next to begin; if it has not, it is interrupted all the same
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "INTERRUPTED: 1 killed, 1 not run" in output


# With a server


@pytest.mark.server
def test_a_mutant_of_the_extension_is_built_and_met_by_its_properties(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], only_the_extension: None, postgres: Postgres
) -> None:
    script = "harness/extension/shared_backup--1.0.sql"
    before = (ROOT / script).read_text(encoding="utf-8")
    revoked = "REVOKE ALL ON FUNCTION shared_backup_abort(text, uuid) FROM PUBLIC;\n"
    assert revoked in before
    room = made_room(tmp_path)
    made_patch(room, "of-the-script", diff_of(script, before, before.replace(revoked, "")))
    server = [] if postgres.bundled else [f"--pg-config={postgres.pg_config}"]
    run = try_toys(tmp_path, room, capfd, *server, properties=ON_A_SERVER)
    assert run.status == 0, run.output + run.errors
    kill = run.one("of-the-script").kill
    assert kill is not None
    assert (kill.property, kill.before) == ("not everybody may abort", 1)
