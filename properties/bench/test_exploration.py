"""``nox -s explore``: what it prints and keeps, how it ends, and that a compiled model is the same model."""

import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest
from msgspec.structs import replace

from benchmarks import spin
from harness.machine.project import ROOT
from harness.schema.exploration import Conclusion, Exploration, Graph, Kept, Verdict
from model.design import DESIGNS, SHARED
from model.features import Explorer, Search, in_turn
from model.promises import PROMISES
from model.scope import scope_of
from properties.exploration import processes
from properties.exploration.__main__ import main
from properties.exploration.distribution import distribution
from properties.exploration.keeping import explorer, smallest_sets
from properties.exploration.worker import Found, Task

KEPT = "exploration.json"
DEEP = ("--design", "durable", "--scope", "three sessions", "--sessions", "5", "--labels", "5", "--workers", "1")
"""What nobody explores to its end."""


def results(folder: Path) -> Exploration:
    """Those of the latest run."""
    return msgspec.json.decode((folder / "latest" / KEPT).read_bytes(), type=Exploration)


def test_it_prints_verdicts_and_counterexamples_and_keeps_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--design", "catalog", "--scope", "stock", "--scope", "restarts", "--results", str(tmp_path)]
    assert main(arguments) == 0
    printed = capfd.readouterr().out
    assert "success_can_be_restored                 no" in printed
    assert "Each design keeps every promise that it claims." in printed
    assert "   4. session 0: Stop label=a: ok, the backup of start 1, not restorable" in printed
    kept = results(tmp_path)
    assert kept.verdict is Conclusion.HOLDS
    assert [(one.scope, one.complete) for one in kept.explored] == [("stock", True), ("restarts", True)]
    assert {one.promise for one in kept.judgements} == {promise.name for promise in PROMISES}
    (lost,) = [one for one in kept.judgements if one.promise == "success_can_be_restored"]
    assert lost.verdict is Verdict.NO
    assert lost.counterexample is not None
    assert [(step.operation, step.session) for step in lost.counterexample.steps] == [
        ("Start", 0),
        ("Restart", None),
        ("Connect", 0),
        ("Stop", 0),
    ]
    assert lost.counterexample.steps[1].after.backups[0].restorable is False


def test_a_counterexample_between_phases_tells_the_phases(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--design", "catalog", "--scope", "overlapping", "--results", str(tmp_path)]) == 0
    assert "session 0: Start label=a [reserve]: ..." in capfd.readouterr().out
    (stuck,) = [one for one in results(tmp_path).judgements if one.promise == "nothing_is_open_for_ever"]
    assert stuck.counterexample is not None
    first, last = stuck.counterexample.steps
    assert (first.phase, first.outcome, last.operation) == ("reserve", "...", "Restart")
    assert (first.after.sessions[0].amid, first.after.sessions[0].next_phase) == ("Start", "take start point")
    assert last.after.backups[0].state == "starting"


BREAKS = """
import sys
from model import transition
transition.release_core = lambda cluster: cluster
from properties.exploration.worker import main
main()
"""


def test_a_broken_claim_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("properties.exploration.processes.PROGRAM", f"exec({BREAKS!r})")
    assert main(["--design", "shared", "--scope", "stock", "--results", str(tmp_path)]) == 1
    assert "shared claims core_counts_what_runs, and breaks it." in capfd.readouterr().out
    assert results(tmp_path).verdict is Conclusion.BROKEN
    assert [one.why for one in results(tmp_path).explored] == ["a claim is broken"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--design", "none"],
        ["--scope", "none"],
        ["--desing"],
        ["stray"],
        ["--keep", "peace"],
        ["--set", "expiry"],
        ["--workers", "0"],
    ],
    ids=" ".join,
)
def test_bad_arguments_are_refused_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_value_that_no_axis_has_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "expiry=perhaps"]) == 2
    assert capsys.readouterr().err == "--set: expiry is off or on, not perhaps: may a backup have a time to live?.\n"


def test_a_point_among_the_axes_is_explored_as_a_design(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "lease=off", "--scope", "settings", "--results", str(tmp_path)]) == 0
    kept = results(tmp_path)
    assert (kept.designs[0].name, kept.designs[0].axes["lease"]) == ("shared lease=off", "off")
    (killed,) = [one for one in kept.judgements if one.promise == "a_slow_copy_can_go_on"]
    assert killed.verdict is Verdict.NO
    assert "breaks a_slow_copy_can_go_on (not claimed)" in capfd.readouterr().out


def test_the_smallest_sets_of_features_are_printed_and_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--keep", "any_session_stops_it", "--keep", "stop_can_be_asked_again", "--scope", "stock"]
    assert main([*arguments, "--results", str(tmp_path)]) == 0
    assert "retention=600 session_bound=off (cost 4)" in capfd.readouterr().out
    kept = results(tmp_path).kept
    assert kept is not None
    assert [one.features for one in kept.sets] == [("retention=600", "session_bound=off")]
    assert [(one.feature, one.promise) for one in kept.sets[0].without] == [
        ("retention=600", "stop_can_be_asked_again"),
        ("session_bound=off", "any_session_stops_it"),
    ]


@pytest.mark.parametrize(
    "option", [["--design", "stock"], ["--set", "lease=off"], ["--graph"], ["--replay"]], ids=" ".join
)
def test_what_a_search_for_features_does_not_look_at_is_refused_in_one_line(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--keep", "any_session_stops_it", *option, "--results", str(tmp_path)]) == 2
    said = "--keep tries the designs that there are among the axes: leave out %s.\n"
    assert capsys.readouterr().err == said % option[0]
    assert not list(tmp_path.iterdir())


KEPT_PROMISES = [
    ("any_session_stops_it", "stop_can_be_asked_again"),
    ("survives_a_restart", "nothing_is_open_for_ever"),
    ("any_session_stops_it", "live_backups_are_bounded"),
]


def searched(names: tuple[str, ...], explorer: Explorer) -> Kept:
    """The smallest sets of features that keep these, also where operations overlap."""
    promises = tuple([promise for promise in PROMISES if promise.name in names])
    scopes = {name: partial(scope_of, name) for name in ("stock", "amid restarts")}
    kept, interrupted = smallest_sets(Search(promises, scopes, explorer))
    assert kept.complete
    assert not interrupted
    return kept


@pytest.mark.parametrize("names", KEPT_PROMISES, ids=" ".join)
def test_processes_find_the_same_sets_of_features_with_the_same_histories(names: tuple[str, ...]) -> None:
    heard: list[str] = []
    with distribution(2, None, 1 << 40, compiled=False, hear=lambda task, news: heard.append(task.scope)) as there:
        found = searched(names, explorer(there, Task(design=SHARED, scope="")))
    assert found == searched(names, in_turn)
    assert found.sets
    assert set(heard) == {"stock", "amid restarts"}


@pytest.mark.parametrize(
    ("bound", "why"), [(["--budget", "1"], "the time was up"), (["--memory", "1"], "1 MB of memory were not enough")]
)
def test_what_a_bound_ends_early_is_said_to_be_partial(
    bound: list[str], why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*DEEP, *bound, "--results", str(tmp_path)]) == 0
    (explored,) = results(tmp_path).explored
    assert (results(tmp_path).verdict, explored.complete, explored.why) == (Conclusion.PARTIAL, False, why)
    printed = capfd.readouterr().out
    assert "holds (so far)" in printed
    assert "No design breaks a promise that it claims, so far" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (DEEP, "partial: interrupted"),
        (("--keep", "any_session_stops_it", *DEEP[2:]), "There may be other sets: not everything was tried."),
    ],
    ids=["matrix", "features"],
)
def test_ctrl_c_leaves_a_report_of_what_was_explored_and_no_process(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    program = [sys.executable, "-m", "properties.exploration", *arguments, "--results", str(tmp_path)]
    run = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    while not (started := workers_of(run.pid)):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)  # whether they explore by then or not
    printed, _ = run.communicate(timeout=600)
    assert run.returncode == 130
    assert said in printed
    assert results(tmp_path).verdict is Conclusion.INTERRUPTED
    assert not any(psutil.pid_exists(pid) for pid in started)


def test_a_search_that_is_ended_early_says_that_there_may_be_other_sets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deep = ("--scope", "three sessions", "--sessions", "5", "--labels", "5", "--budget", "1")
    assert main(["--keep", "any_session_stops_it", *deep, "--results", str(tmp_path)]) == 0
    assert "There may be other sets: not everything was tried." in capfd.readouterr().out
    kept = results(tmp_path)
    assert kept.verdict is Conclusion.PARTIAL
    assert kept.kept is not None
    assert not kept.kept.complete


def workers_of(pid: int) -> list[int]:
    """The processes that explore for this one."""
    children = psutil.Process(pid).children()
    return [child.pid for child in children if any("properties.exploration.worker" in word for word in child.cmdline())]


def test_a_graph_says_of_each_design_what_the_model_says(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scopes = ["--design", "stock", "--scope", "stock", "--graph"]
    assert main([*scopes, "--results", str(tmp_path)]) == 0
    kept = results(tmp_path)
    drawn = msgspec.json.decode((tmp_path / "latest" / kept.graphs["stock"]).read_bytes(), type=Graph)
    assert (drawn.design, len(drawn.nodes)) == ("stock", len({edge.target for edge in drawn.edges} | {0}))
    broken = {drawn.promises[number].name for edge in drawn.edges for number in edge.broken}
    assert "any_session_stops_it" in broken
    first = [edge for edge in drawn.edges if edge.source == 0 and drawn.steps[edge.step].operation == "Start"]
    assert drawn.nodes[first[0].target].state.core == 1
    capfd.readouterr()


@pytest.mark.slow
def test_a_compiled_model_is_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mypyc", reason="mypyc is not installed: pip install 'mypy[mypyc]'")
    from properties.exploration.compiled import compiled_model

    folder = compiled_model()
    assert list((folder / "model").glob("transition.*.so"))
    assert compiled_model() == folder
    tasks = [
        Task(design=DESIGNS[name], scope=scope)
        for name, scope in (("durable", "overlapping"), ("catalog", "stock"), ("stock", "labels"))
    ]
    plain = timeless(tasks, compiled=False)
    checked = "from model import transition; assert transition.__file__.endswith('.so'); "
    monkeypatch.setattr(processes, "PROGRAM", checked + processes.PROGRAM)
    assert timeless(tasks, compiled=True) == plain


def timeless(tasks: list[Task], *, compiled: bool) -> dict[str, Found]:
    """What a worker finds by either model, but for the time that it takes."""
    with distribution(1, None, None, compiled, hear=lambda _task, _news: None) as there:
        found = {task.design.name: one for task, one in there.explored(tasks)}
    return {name: replace(one, explored=replace(one.explored, seconds=0.0)) for name, one in found.items()}


def test_without_mypyc_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("properties.exploration.compiled.COMPILER", "no-such-compiler")
    assert main(["--compiled", "--results", str(tmp_path)]) == 2
    assert capfd.readouterr().err == "There is no mypyc to compile the model with: pip install 'mypy[mypyc]'.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("spin") is None, reason="there is no Spin: apt-get install spin")
def test_spin_finds_the_same_situations_and_transitions(capfd: pytest.CaptureFixture[str]) -> None:
    assert spin.main(["--sessions", "2", "--labels", "2"]) == 0
    assert capfd.readouterr().out.endswith("They agree.\n")


def test_without_spin_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert spin.main([]) == 0
    assert capfd.readouterr().out == "There is no Spin to compare with: apt-get install spin.\n"
