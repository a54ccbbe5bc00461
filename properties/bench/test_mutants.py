"""The runner of mutants tells the truth: a kill is a kill, and whatever is none fails the run, by name and reason."""

import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

from harness.machine.postgres import Postgres, SetupError
from harness.machine.processes import hear_signals
from harness.machine.project import ROOT
from harness.machine.scratch import program_folder
from harness.schema.mutants import Outcome, Verdict
from properties.bench.made_mutants import Tried, made_diff, made_patch, made_room, try_toys
from properties.mutants import attempt, selection
from properties.mutants.__main__ import main
from properties.mutants.attempt import Plan, rank
from properties.mutants.catalogue import HERE, Catalogue, Mutant, gathered, handwritten, read_catalogue, read_patch
from properties.mutants.order import AREAS, FILES, likely, plans
from properties.mutants.tree import StaleError, apply
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
HOW = Plan(tests="properties", shrink=1)
COMMITTED = handwritten(HERE / "patches")


def mutant(area: str, *files: str) -> Mutant:
    """One of which only this matters."""
    return Mutant(area, "one", "It is wrong.", "", "".join(f"+++ b/{file}\n" for file in files))


# What is committed


@pytest.mark.parametrize("one", COMMITTED, ids=lambda one: one.name)
def test_every_patch_applies_to_the_tree(one: Mutant) -> None:
    apply(one.diff, ROOT, only_check=True)


def test_what_is_tried_first_is_there() -> None:
    known = [start for starts in [*AREAS.values(), *FILES.values()] for start in starts]
    for name in {*known, *read_catalogue(HERE).killers.values()}:
        file, _, test = name.partition("::")
        assert (ROOT / file).exists(), f"{name} is not there any more"
        assert not test or f"def {test.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), name


# The catalogue


@pytest.mark.parametrize("sentence", ["", "it has no full stop", "diff --git a/model/numbers.py b/model/numbers.py"])
def test_a_patch_without_a_sentence_is_refused(tmp_path: Path, sentence: str) -> None:
    file = made_patch(tmp_path, "wordless", made_diff("TOY = 1"), sentence)
    with pytest.raises(SetupError, match=r"wordless.patch is not in the form that it is to have: a sentence"):
        read_patch(file)


def test_a_patch_without_a_diff_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="and a unified diff"):
        read_patch(made_patch(tmp_path, "idle", ""))


def test_a_patch_of_what_is_no_implementation_is_refused(tmp_path: Path) -> None:
    diff = "--- a/properties/walks/test_ttl.py\n+++ b/properties/walks/test_ttl.py\n@@ -1 +1 @@\n-a\n+b\n"
    with pytest.raises(SetupError, match=r"changes properties/walks/test_ttl.py: it is to change files in harness/ext"):
        read_patch(made_patch(tmp_path, "cheat", diff))


def test_two_mutants_of_one_name_are_refused() -> None:
    with pytest.raises(SetupError, match="Two mutants have the name registry/one"):
        gathered([mutant("registry", "a")], [mutant("registry", "b")])


# The order


def test_what_killed_it_last_comes_first_then_what_is_likely_to_then_what_kills_most() -> None:
    one = mutant("errors", "harness/extension/registry.c")
    killers = {
        one.name: "a.py::test_it[x]",
        "other/1": "c.py::test_rare",
        "other/2": "b.py::test_b",
        "more": "b.py::test_b",
    }
    first, everything = plans(one, killers, HOW)
    assert first.only == first.only[:1] + tuple(likely(one)) == ("a.py::test_it[x]", *likely(one))
    assert likely(one)[: len(AREAS["errors"])] == list(AREAS["errors"])
    assert set(likely(one)) == {*AREAS["errors"], *FILES["registry"]}
    rest = everything.order[len(first.only) :]
    assert (everything.only, rest) == ((), ("b.py::test_b", "a.py::test_it[x]", "c.py::test_rare"))


@pytest.mark.parametrize(
    ("file", "folder", "on_a_server", "only"),
    [
        ("harness/extension/shared_backup--1.0.sql", "shared_backup", True, ()),
        ("model/linearizability/linearize.py", "linearizability", False, ()),
        ("properties/concurrency/porcupine.py", "concurrency", False, ("properties/concurrency",)),
    ],
)
def test_where_there_is_no_area_the_file_or_its_folder_tells(
    file: str, folder: str, on_a_server: bool, only: tuple[str, ...]
) -> None:
    one = mutant("of no such area", file)
    assert likely(one) == list(dict.fromkeys(FILES[folder]))
    _first, everything = plans(one, {}, HOW)
    assert (everything.on_a_server, everything.only) == (on_a_server, only)


def test_a_name_that_only_begins_the_same_is_another() -> None:
    order = ("p/test_a.py::test_x", "p/test_a.py", "p")
    names = ["p/test_a.py::test_x[1]", "p/test_a.py::test_xy", "p/test_b.py::test_x", "pp/test_c.py::test_x"]
    assert [rank(name, order) for name in names] == [0, 1, 2, 3]


# Which


def chosen(**options: object) -> Namespace:
    """A command line."""
    return Namespace(**{"selection": None, "since": None, "all": False, "profile": "gate", **options})


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["a/one", "c/one"]),
        ({"all": True}, ["a/one", "b/one", "c/one"]),
        ({"profile": "nightly"}, ["a/one", "b/one", "c/one"]),
        ({"selection": "B/ nothing"}, ["b/one"]),
        ({"selection": "a/ b/", "since": "HEAD"}, ["a/one"]),
    ],
)
def test_a_gate_tries_what_a_change_may_have_made_survive(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], names: list[str]
) -> None:
    monkeypatch.setattr(selection, "changed_since", lambda commit: {"model/state.py", "properties/x.py", "README.md"})
    mutants = [mutant("a", "model/state.py"), mutant("b", "model/tour.py"), mutant("c", "model/tour.py")]
    catalogue = Catalogue(
        Path(), mutants, {}, {"c/one": "properties/x.py::test_it", "b/one": "properties/y.py::test_it"}
    )
    assert [one.name for one in selection.select(catalogue, chosen(**options)).mutants] == names


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-k", "nothing-like-that"], "No mutant has one of these words"),
        (["--since", "nowhere"], "There is no commit nowhere"),
        (["--all", "--pg-config", "/nowhere/pg_config"], "There is no pg_config at /nowhere/pg_config"),
        (["--all", "--results", "/dev/null/out"], "The results folder /dev/null/out cannot be written to"),
    ],
)
def test_wrong_arguments_get_one_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


# A run


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with some of everything."""
    folder = tmp_path_factory.mktemp("toys")
    room = made_room(folder, "killed", "survivor", "unknown", "same", equivalent="'toys/same' = 'it is one'")
    made_patch(room, "stale", made_diff("TOY = 1", context="What is not there.\n"))
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
    assert (
        "Survivors: no property fails, though\n  toys/survivor: A toy was left in the model. Nothing much."
        in run.output
    )
    assert "nothing_of_that_name" in run.one("broken").reason
    assert "patch failed: model/numbers.py" in run.one("stale").reason
    assert "toys/same: A toy was left in the model. Nothing much. (it is one)" in run.output
    told = "NOT ALL KILLED: 2 killed, 1 survived, 1 broken, 1 does not apply, 1 equivalent"
    assert f"Verdict  {told}" in " ".join(run.output.split("\n"))


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


def test_a_mutant_that_hangs_is_no_kill(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = try_toys(tmp_path, made_room(tmp_path, "sleeper"), capfd, "--silence=2")
    assert (run.status, run.one("sleeper").outcome) == (1, Outcome.HUNG)
    assert "nothing has gone on for 2 s" in run.output


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
    while "toys/a" not in process.stdout.readline():
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
    (one,) = [one for one in COMMITTED if one.name == "packaging/abort-not-revoked"]
    room = made_room(tmp_path)
    made_patch(room, "of-the-script", one.diff)
    server = [] if postgres.bundled else [f"--pg-config={postgres.pg_config}"]
    run = try_toys(tmp_path, room, capfd, *server, properties=ON_A_SERVER)
    assert run.status == 0, run.output + run.errors
    kill = run.one("of-the-script").kill
    assert kill is not None
    assert (kill.property, kill.before) == ("not everybody may abort", 1)


def test_a_patch_that_does_not_apply_leaves_the_tree_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "numbers.py").write_text("Another.\n", encoding="utf-8")
    with pytest.raises(StaleError, match="patch failed"):
        apply(made_diff("TOY = 1"), tmp_path)
    assert (tmp_path / "model" / "numbers.py").read_text(encoding="utf-8") == "Another.\n"
