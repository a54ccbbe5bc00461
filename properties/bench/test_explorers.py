"""Explorations say the same on whatever workers; whatever ends them, nothing holds that nobody has explored."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import psutil
import pytest
from msgspec.structs import replace

from harness.machine.processes import orderly_end, runs
from harness.machine.project import ROOT
from harness.running.workers import each_as_it_ends, on_each, workers
from harness.schema.exploration import Conclusion, Exploration
from model.design import DURABLE, STOCK
from model.scope import scope_of
from properties.bench.dask_processes import Machines, machines
from properties.bench.made_explorations import DESIGNS, WHEN, explored
from properties.exploration import distribution as distributed
from properties.exploration.__main__ import main
from properties.exploration.distribution import Distribution, distribution
from properties.exploration.keeping import explorer
from properties.exploration.processes import Work, carry_out, end
from properties.exploration.results import results_of
from properties.exploration.worker import Found, Progress, Task

PATIENCE = 60  # seconds for processes to be gone
EXPLORER = "properties.exploration.worker"
MATRIX = (
    "--design",
    "stock",
    "--design",
    "thread",
    "--scope",
    "stock",
    "--scope",
    "restarts",
    "--scope",
    "overlapping",
)
KEEP = (
    "--keep",
    "any_session_stops_it",
    "--keep",
    "stop_can_be_asked_again",
    "--scope",
    "stock",
    "--scope",
    "restarts",
)
ENDLESS = ("--design", "durable", "--scope", "three sessions", "--sessions", "5", "--labels", "5")
DEEP = Task(design=DURABLE, scope="three sessions", sessions=5, labels=5)
"""What nobody explores to its end."""
QUICK = Task(design=STOCK, scope="stock")


@pytest.fixture(scope="module")
def there() -> Iterator[Machines]:
    """A scheduler and two workers, which all tests share that leave them alone."""
    with machines(workers=2) as found:
        yield found


def results(folder: Path) -> Exploration:
    """All of the latest results that is no time."""
    kept = msgspec.json.decode((folder / "latest" / "exploration.json").read_bytes(), type=Exploration)
    timeless = [replace(one, seconds=0.0) for one in kept.explored]
    return replace(kept, when="", seconds=0.0, explored=tuple(timeless))


def explore(folder: Path, *arguments: str) -> Exploration:
    """The results of a run without mishaps."""
    assert main([*arguments, "--no-report", "--results", str(folder)]) == 0
    return results(folder)


def program(folder: Path, *arguments: str) -> list[str]:
    """The same as a program."""
    return [sys.executable, "-m", "properties.exploration", *arguments, "--no-report", "--results", str(folder)]


def explorers(*of: int) -> list[psutil.Process]:
    """The processes that explore for these ones."""
    found = []
    for child in [child for pid in of for child in psutil.Process(pid).children()]:
        with suppress(psutil.Error):  # it has just ended
            found += [child] if any(EXPLORER in word for word in child.cmdline()) else []
    return found


def begun(run: "subprocess.Popen[bytes]", *of: int) -> psutil.Process:
    """One of them, when the program has had it begun."""
    while not (found := explorers(*of)):
        assert run.poll() is None, "the program has ended before"
        time.sleep(0.02)
    return found[0]


def gone(process: psutil.Process) -> bool:
    """Has it ended, or does it soon?"""
    deadline = time.monotonic() + PATIENCE
    while runs(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not runs(process.pid)


@pytest.mark.parametrize("arguments", [MATRIX, KEEP], ids=["matrix", "features"])
def test_one_worker_two_and_those_of_a_scheduler_say_the_same(
    tmp_path: Path, there: Machines, arguments: tuple[str, ...]
) -> None:
    one = explore(tmp_path, *arguments, "--workers", "1")
    assert explore(tmp_path, *arguments, "--workers", "2") == one
    assert explore(tmp_path, *arguments, "--scheduler", there.address) == one


def test_the_order_in_which_scopes_end_does_not_choose_the_counterexample() -> None:
    tasks = [replace(QUICK, design=design, scope=scope) for design in DESIGNS for scope in ("first", "second")]
    found = {task: explored(task) for task in tasks}
    late = dict(reversed(found.items()))
    one, other = (results_of(DESIGNS, tasks, each, WHEN, 1.0, interrupted=False) for each in (found, late))
    assert one.judgements == other.judgements
    assert {each.counterexample.scope for each in one.judgements if each.counterexample} == {"first"}


class Backwards(Distribution):
    """Whose last scope ends first."""

    def explored(self, tasks: Sequence[Task]) -> Generator[tuple[Task, Found], None, None]:
        yield from reversed(list(super().explored(tasks)))


def test_a_search_is_told_of_scopes_in_their_order() -> None:
    scopes = {name: scope_of(name, STOCK) for name in ("stock", "restarts", "settings")}
    with distribution(2, None, None, compiled=False, hear=lambda _task, _news: None) as two:
        backwards = Backwards(two.client, two.compiled, two.memory, two.hear)
        assert [name for name, _ in explorer(backwards, QUICK)(scopes, ())] == [*scopes]


def test_a_worker_is_killed_half_way_and_the_results_are_the_same(tmp_path: Path) -> None:
    arguments = ("--design", "catalog", "--scope", "stock")
    with machines(workers=2) as there:
        run = subprocess.Popen(program(tmp_path, *arguments, "--scheduler", there.address), cwd=ROOT)
        orphan = begun(run, *[one.pid for one in there.workers])
        psutil.Process(orphan.ppid()).kill()
        assert run.wait(PATIENCE) == 0
        assert gone(orphan)
        assert results(tmp_path) == explore(tmp_path, *arguments)


def killing(mark: Path, *, always: bool) -> str:
    """A program that is killed, at its first time or always."""
    kills = f"import os, pathlib; again = pathlib.Path({str(mark)!r}).exists(); pathlib.Path({str(mark)!r}).touch(); "
    return f"{kills}again and not {always} or os.kill(os.getpid(), 9); from {EXPLORER} import main; main()"


def test_a_process_that_is_killed_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ("--design", "stock", "--scope", "stock", "--scope", "restarts", "--workers", "1")
    whole = explore(tmp_path, *small)
    monkeypatch.setattr("properties.exploration.processes.PROGRAM", killing(tmp_path / "mark", always=False))
    assert explore(tmp_path, *small) == whole
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("said", ["", "print('{', end='', flush=True); "], ids=["at once", "in mid-sentence"])
def test_what_is_killed_again_and_again_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], said: str
) -> None:
    monkeypatch.setattr("properties.exploration.processes.PROGRAM", said + killing(tmp_path / "mark", always=True))
    assert main(["--design", "stock", "--scope", "stock", "--results", str(tmp_path / "out")]) == 2
    assert capfd.readouterr().err == (
        "The exploration of stock, stock, has broken down, again and again (signal 9): "
        "if it was killed for want of memory, allow it less with --memory.\n"
    )
    assert not list((tmp_path / "out").iterdir())


def test_what_a_process_has_said_before_it_broke_down_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: Machines, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("properties.exploration.processes.PROGRAM", "raise KeyError('what')")
    assert main(["--design", "stock", "--scope", "stock", "--results", str(tmp_path)]) == 2
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("Traceback")
    assert said[-2] == "KeyError: 'what'"
    assert said[-1].startswith("The exploration of stock, stock, has broken down, again and again (status 1)")


@pytest.mark.parametrize("where", ["here", "there"])
def test_ctrl_c_ends_every_process_with_what_it_has_found_so_far(there: Machines, where: str) -> None:
    found: list[Found] = []

    def hear(task: Task, news: Progress | Found) -> None:
        if isinstance(news, Found):
            found.append(news)
        elif news.states > 1:
            os.kill(os.getpid(), signal.SIGTERM)  # which ends a program as Ctrl-C does, also in the background

    tasks = [DEEP, replace(DEEP, scope="labels"), replace(DEEP, scope="owners")]
    scheduler = there.address if where == "there" else None
    with orderly_end(), distribution(2, scheduler, None, compiled=False, hear=hear) as both:
        with pytest.raises(KeyboardInterrupt):
            deque(both.explored(tasks))
        assert not explorers(os.getpid(), *[one.pid for one in there.workers])
    assert "interrupted" in {one.explored.why for one in found}
    assert max(one.explored.states for one in found) > 1
    assert len(found) <= 2, "one had not begun"


def test_ctrl_c_on_a_scheduler_leaves_results_and_no_process(tmp_path: Path, there: Machines) -> None:
    run = subprocess.Popen(program(tmp_path, *ENDLESS, "--scheduler", there.address), cwd=ROOT)
    explorer = begun(run, *[one.pid for one in there.workers])
    run.send_signal(signal.SIGTERM)
    assert run.wait(PATIENCE) == 130
    assert results(tmp_path).verdict is Conclusion.INTERRUPTED
    assert gone(explorer)


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_program_that_is_killed_leaves_no_process(tmp_path: Path, there: Machines, where: str) -> None:
    scheduler = ["--scheduler", there.address] if where == "there" else []
    run = subprocess.Popen(program(tmp_path, *ENDLESS, *scheduler), cwd=ROOT)
    explorer = begun(run, *([one.pid for one in there.workers] if scheduler else [run.pid]))
    run.kill()
    run.wait()
    assert gone(explorer), "a process goes on without its program"


def test_who_has_seen_enough_ends_what_is_under_way_and_nothing_else_begins() -> None:
    heard: list[Task] = []
    tasks = [QUICK, DEEP, replace(DEEP, scope="labels")]
    with distribution(2, None, None, compiled=False, hear=lambda task, news: heard.append(task)) as two:
        with closing(two.explored(tasks)) as found:
            assert next(found)[0] == QUICK
        assert not explorers(os.getpid())
        assert [task for task, _ in two.explored([QUICK])] == [QUICK], "they are free for what comes next"
        assert not explorers(os.getpid())
    assert tasks[2] not in heard


def test_what_comes_to_a_worker_too_late_does_not_begin() -> None:
    late = Work("over", 0, DEEP, {}, compiled=False)
    with workers(1) as client:
        on_each(client, end, late.run)
        assert list(each_as_it_ends(client, carry_out, deque([late]))) == [(late, None)]


def test_a_machine_is_divided_among_the_workers_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory(of: Distribution) -> list[int]:
        return sorted(of.memory.values())

    def nobody(_task: Task, _news: Progress | Found) -> None:
        pass

    monkeypatch.setattr(distributed, "SHARE_OF_MEMORY", 0.5)
    monkeypatch.setattr(distributed, "look", lambda worker, _: ("the same", 1000))
    with distribution(2, None, None, compiled=False, hear=nobody) as two:
        assert memory(two) == [250, 250]
    monkeypatch.setattr(distributed, "look", lambda worker, _: (worker, 1000))
    with distribution(2, None, None, compiled=False, hear=nobody) as two:
        assert memory(two) == [500, 500]
    with distribution(2, None, 300, compiled=False, hear=nobody) as two:
        assert memory(two) == [300, 300]


def test_a_scheduler_that_is_not_there_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--scheduler", "tcp://127.0.0.1:9", "--results", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    assert said.startswith("There is no scheduler at tcp://127.0.0.1:9")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_workers_without_the_project_are_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with machines(workers=1, PYTHONSAFEPATH="1") as strangers:
        assert main(["--scheduler", strangers.address, "--results", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    assert "No module named 'properties'" in said
    assert "need this project in their folder" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
