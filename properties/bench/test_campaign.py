"""The campaign tells the truth: only what holds passes, and everything else is named, explained and written down.

Each campaign here runs in a process of its own over a folder of made-up properties, without a server.
"""

import os
import pty
import signal
import subprocess
import time
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.clients.implementation import Implementation
from harness.machine.processes import hear_signals
from harness.machine.project import ROOT
from harness.running.results import new_folder
from harness.schema.campaign import Verdict
from properties.bench.made_campaigns import HOLDING, PATIENCE, WITH_PAGE, Ended, campaign, command, ended, written
from properties.campaign.__main__ import main
from properties.recording.verdict import Property, Recorder, failure_file

MIXED = """
import pytest
from hypothesis import given, strategies as st
from model.tour import TransitionClass
from harness.clients.client import Violation
from harness.server.session import SqlError
from harness.schema.campaign import SurvivalCase
from properties.recording.tally import attempt

SEEN, MISSED = TransitionClass("Stop", "active", "owner", "ok"), TransitionClass("Renew", "expired", "other", "55000")

def test_one_is_even():
    assert 1 % 2 == 0

def test_a_violation_shows_its_history(tally):
    with tally.example():
        raise Violation("the view shows nothing\\n\\nTo see it by hand:\\n0 root:     SELECT 1;")

@given(number=st.integers())
def test_every_number_is_small(number):
    assert number < 1000

def test_the_server_refuses_what_it_may_not():
    raise SqlError("XX000", "something is rotten")

def test_the_checker_has_a_bug():
    raise KeyError("what")

@pytest.fixture
def broken():
    raise RuntimeError("no ground to stand on")

def test_what_stands_on_a_broken_fixture(broken):
    pass

@pytest.fixture
def untidy():
    yield
    raise RuntimeError("cannot clear up")

def test_what_leaves_a_mess(untidy):
    pass

def test_what_nobody_can_check():
    pytest.skip("nobody can")

@pytest.mark.parametrize("number", [2, 4])
def test_each_is_even(number, tally):
    with tally.example():
        tally.steps += number
        tally.saved += ["one that was not decided\\n"] * number

def test_a_tour_with_a_hole(tally):
    with tally.example():
        tally.classes.add(SEEN)
        tally.reachable |= {SEEN, MISSED}

def test_backups_are_restored(tally):
    with tally.example():
        tally.restores += [
            attempt("plain", True, "", 1207, 0.5),
            attempt("without its label file", False, "PANIC:  no", 3, 1.5),
            attempt("lost", True, "FATAL:  no", 2, 0.75),
        ]
        for _ in range(2):
            tally.refused(SurvivalCase("durable", ("fast shutdown",), "WAL reset"), SqlError("55000", "lost", "no WAL"))

def test_what_looks_at_nothing(tally):
    pass
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A campaign with some of everything."""
    return campaign(
        tmp_path_factory.mktemp("mixed"), test_mixed=MIXED, test_broken_file="import nothing_of_that_name\n"
    )


def test_what_fails_is_named_and_is_no_pass(mixed: Ended) -> None:
    assert mixed.status == 1
    assert mixed.json["verdict"] == "fails"
    assert mixed.one("one is even")["verdict"] == "fails"
    assert "fails: one is even" in mixed.output
    assert "assert (1 % 2) == 0" in mixed.one("one is even")["reason"]
    assert mixed.one("the server refuses what it may not")["verdict"] == "fails"
    assert "Traceback" not in mixed.output
    assert mixed.errors == ""


def test_a_failure_shows_what_a_person_needs(mixed: Ended) -> None:
    assert "To see it by hand:\n0 root:     SELECT 1;\n" in mixed.output
    assert mixed.one("a violation shows its history")["reason"] == "the view shows nothing"
    assert "number=1000" in mixed.output
    assert "nox -s verify -- --profile=dev -k test_one_is_even" in mixed.output
    file = mixed.results / "latest" / mixed.one("one is even")["failure"]
    assert "test_mixed.py" in file.read_text()
    assert ">       assert 1 % 2 == 0" in file.read_text()


def test_every_history_that_is_to_be_looked_at_is_kept(mixed: Ended) -> None:
    kept = sorted((mixed.results / "latest" / "histories").glob("*.calls.jsonl"))
    assert len(kept) == 2 + 4, kept
    assert {file.read_text() for file in kept} == {"one that was not decided\n"}


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("the checker has a bug", "KeyError: 'what'"),
        ("what stands on a broken fixture", "in its set-up: RuntimeError: no ground to stand on"),
        ("what leaves a mess", "in clearing up: RuntimeError: cannot clear up"),
        ("test_broken_file.py can be loaded", "nothing_of_that_name"),
        ("what looks at nothing", "without looking at a single example"),
    ],
)
def test_what_crashed_is_no_pass(mixed: Ended, sentence: str, says: str) -> None:
    assert mixed.one(sentence)["verdict"] == "crashed"
    assert says in mixed.one(sentence)["reason"]
    assert f"crashed: {sentence}" in mixed.output


def test_a_skip_is_listed_with_its_reason(mixed: Ended) -> None:
    skipped = mixed.one("what nobody can check")
    assert (skipped["verdict"], skipped["reason"]) == ("skipped", "nobody can")
    assert "Skipped, because\n  nobody can (1 property)\n" in mixed.output


def test_missing_classes_fail_and_are_named(mixed: Ended) -> None:
    hole = mixed.one("a tour with a hole")
    assert hole["verdict"] == "fails"
    assert hole["classes"]["missing"] == [["Renew", "expired", "other", "55000"]]
    assert hole["classes"]["seen"] == [["Stop", "active", "owner", "ok"]]
    missing = [["Renew", "expired", "other", "55000"]]
    assert mixed.json["coverage"] == {"percent": 50.0, "reachable": 2, "seen": 1, "missing": missing}
    assert "Coverage  50.0 % of 2 transition classes" in mixed.output
    assert "missing: Renew | expired | other | 55000" in mixed.output


def test_what_was_counted_is_told(mixed: Ended) -> None:
    both = [mixed.one(f"each is even: {number}") for number in (2, 4)]
    assert [(one["verdict"], one["examples"], one["steps"]) for one in both] == [("holds", 1, 2), ("holds", 1, 4)]
    assert mixed.one("one is even")["steps"] is None
    assert mixed.json["steps"] == 6
    (row,) = [line.split() for line in mixed.output.splitlines() if line.startswith("  each is even (2 cases)")]
    assert row[5:7] == ["2", "6"]
    assert row[8] == "holds"


def test_restores_are_told_one_by_one_and_together(mixed: Ended) -> None:
    restores = mixed.one("backups are restored")["restores"]
    assert [(one["scenario"], one["restorable"], one["as_expected"]) for one in restores] == [
        ("plain", True, True),
        ("without its label file", False, True),
        ("lost", True, False),
    ]
    assert (restores[1]["said"], restores[1]["torn_pages"], restores[1]["seconds"]) == ("PANIC:  no", 3, 1.5)
    assert mixed.json["restores"] == {
        "made": 3, "restored": 1, "refused": 1, "against": 1, "torn_pages": 1207, "median": 0.75, "longest": 1.5
    }  # fmt: skip
    counts = "1 restored whole, 1 refused as expected, 1 against the model, 1,207 torn pages survived"
    assert f"Restores  {counts}, median 0.8 s" in mixed.output


def test_stops_that_said_no_are_told_with_their_reason(mixed: Ended) -> None:
    assert mixed.one("backups are restored")["refusals"] == [
        {"design": "durable", "across": ["fast shutdown"], "but": "WAL reset", "sqlstate": "55000", "reason": "no WAL",
         "refused": 2}
    ]  # fmt: skip
    assert mixed.json["refusals"] == {"made": 2}


def test_a_campaign_without_restores_says_so(tmp_path: Path) -> None:
    run = campaign(tmp_path, test_good=HOLDING)
    assert "Restores  none was made" in run.output
    assert (run.json["restores"]["made"], run.json["restores"]["median"]) == (0, None)


def test_junit_says_the_same(mixed: Ended) -> None:
    suite = ElementTree.parse(mixed.results / "latest" / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert "hostname" not in suite.attrib
    cases = list(suite.iter("testcase"))
    bad = {case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None}
    good = {case.get("name") for case in cases} - bad
    assert good == {
        "test_each_is_even[2]",
        "test_each_is_even[4]",
        "test_backups_are_restored",
        "test_what_nobody_can_check",
    }


def test_results_are_whole_when_everything_holds(tmp_path: Path) -> None:
    run = campaign(tmp_path, WITH_PAGE, test_good=HOLDING)
    assert run.status == 0, run.output
    results = run.json
    assert (results["schema"], results["verdict"], results["reason"]) == (1, "holds", "")
    assert (results["profile"], results["implementation"]["name"]) == ("dev", "shared")
    assert results["implementation"]["design"]["settings"]["stop_policy"] == "any"
    assert results["hypothesis"]["max_examples"] == 30
    assert results["postgresql"]["settings"]["full_page_writes"] == "off"
    assert set(results["machine"]) == {"cpu", "cores", "memory", "os", "kernel", "architecture"}
    assert set(results["implementation"]) == {one.name for one in fields(Implementation)}
    assert (run.results / "latest" / "index.html").is_file()
    assert run.one("two is even")["description"] == "Which is well known."
    assert "Verdict   HOLDS: 1 holds" in run.output
    assert "\x1b" not in run.output


def test_latest_leads_to_the_newest(tmp_path: Path) -> None:
    first = campaign(tmp_path, test_good=HOLDING).json["when"]
    second = ended(tmp_path, command(tmp_path, tmp_path / "made_up"))
    assert second.json["when"] >= first
    folders = sorted(path.name for path in second.results.iterdir() if not path.is_symlink())
    assert len(folders) == 2
    assert (second.results / "latest").readlink() == Path(folders[-1])
    assert not (second.results / "latest" / "failures").exists()
    assert not (second.results / "latest" / "index.html").exists(), "it was run with --no-report"


@pytest.mark.parametrize(
    ("selection", "says"),
    [("nothing_like_that", "no property was found to run"), ("nobody", "every property was skipped")],
)
def test_a_campaign_that_checks_nothing_is_no_pass(tmp_path: Path, selection: str, says: str) -> None:
    skipped = "import pytest\n\ndef test_what_nobody_can_check():\n    pytest.skip('nobody can')\n"
    run = campaign(tmp_path, "-k", selection, test_good=HOLDING, test_skipped=skipped)
    assert run.status == 1
    assert (run.json["verdict"], run.json["selection"]) == ("fails", selection)
    assert says in run.output


def test_a_set_up_that_fails_is_one_sentence(tmp_path: Path) -> None:
    needs = "import pytest\nfrom harness.machine.postgres import SetupError\n"
    needs += "from properties.support.servers import setting_up\n"
    needs += "@pytest.fixture\n@setting_up()\ndef compiler():\n    raise SetupError('There is no compiler: get one.')\n"
    run = campaign(tmp_path, test_needy=needs + "def test_it(compiler): pass\n" + HOLDING)
    assert run.status == 2
    assert run.errors == "There is no compiler: get one.\n"
    assert (run.json["verdict"], run.json["reason"]) == ("crashed", "There is no compiler: get one.")
    assert {one["verdict"] for one in run.json["properties"]} == {"interrupted"}


def test_what_is_interrupted_is_written_down(tmp_path: Path) -> None:
    slow = HOLDING + "def test_it_takes_long():\n    print('now', flush=True)\n    import time\n    time.sleep(600)\n"
    slow += "def test_never_begun():\n    pass\n"
    program = command(tmp_path, written(tmp_path, test_slow=slow))
    pipe = subprocess.PIPE
    process = subprocess.Popen(program, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=hear_signals)
    assert process.stdout is not None
    while "two is even" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(0.3)  # for the next one to begin; if it has not, it is interrupted all the same
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    run = Ended(process.returncode, output, errors, tmp_path / "out")
    assert run.status == 130
    assert errors == ""
    assert run.json["verdict"] == "interrupted"
    verdicts = [(one["name"], one["verdict"]) for one in run.json["properties"]]
    assert verdicts == [("two is even", "holds"), ("it takes long", "interrupted"), ("never begun", "interrupted")]
    assert ElementTree.parse(run.results / "latest" / "junit.xml")
    assert "Verdict   INTERRUPTED" in output


def test_on_a_terminal_progress_is_live(tmp_path: Path) -> None:
    terminal, inside = pty.openpty()
    slow = HOLDING + "def test_it_takes_a_second():\n    import time\n    time.sleep(1)\n"
    program = command(tmp_path, written(tmp_path, test_slow=slow))
    with subprocess.Popen(program, cwd=ROOT, stdin=inside, stdout=inside, stderr=inside) as process:
        os.close(inside)
        shown = read_all(terminal)
    assert process.returncode == 0
    assert "of 2 properties" in shown
    assert "slow: it takes a second" in shown
    assert "HOLDS" in shown


def read_all(terminal: int) -> str:
    """What a program writes to a terminal until it ends."""
    text = b""
    while True:
        try:
            text += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            os.close(terminal)
            return text.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--pg-config", "/nowhere/pg_config"], "There is no pg_config at /nowhere/pg_config"),
        (["--implementation", "shraed"], 'There is no implementation "shraed"'),
        (["--implementation", "/nowhere/mine.toml"], "/nowhere/mine.toml cannot be read"),
        (["--results", "/dev/null/out"], "The results folder /dev/null/out cannot be written to"),
    ],
)
def test_wrong_arguments_get_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main([f"--results={tmp_path / 'out'}", *arguments], tmp_path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(says)
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ctrl_c_before_the_properties_begin_is_an_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.running.commandline.find_postgres", interrupted)
    assert main([f"--results={tmp_path / 'out'}"], tmp_path) == 130
    assert capsys.readouterr() == ("", "")


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    when = datetime(2026, 11, 22, 19, 40, 5, tzinfo=UTC)
    names = [new_folder(tmp_path, when).name for _ in range(3)]
    assert names == ["2026-11-22T19-40-05Z", "2026-11-22T19-40-05Z-2", "2026-11-22T19-40-05Z-3"]


def test_a_wrong_expression_gets_one_sentence(tmp_path: Path) -> None:
    run = campaign(tmp_path, "-k", "labels and (", test_good=HOLDING)
    assert run.status == 2
    assert run.errors.startswith("Wrong expression passed to '-k': labels and (")
    assert run.errors.count("\n") == 1
    assert list(run.results.iterdir()) == []


def test_until_it_has_ended_a_property_is_no_pass() -> None:
    recorder = Recorder(properties=[Property("a", "b", "c")])
    assert recorder.verdict()[0] is Verdict.INTERRUPTED
    assert Recorder(properties=[Property("a", "b", "c", verdict=Verdict.HOLDS)]).verdict() == (Verdict.HOLDS, "")


def test_failures_have_files_of_their_own() -> None:
    one, other = (Property("a " * 100, "b", f"t[{case}]", case) for case in ("x/y", "x z"))
    assert failure_file(one) != failure_file(other)
    assert max(len(failure_file(one)), len(failure_file(other))) < 200


def test_the_tests_of_the_bench_itself_are_no_properties() -> None:
    """... and the campaign runs every other folder's."""
    recorder, here = Recorder(), Path(__file__).parent
    assert recorder.pytest_ignore_collect(here)
    folders = {file.parent for file in here.parent.rglob("test_*.py")} - {here}
    assert len(folders) > 3
    assert not any(recorder.pytest_ignore_collect(folder) for folder in folders)
