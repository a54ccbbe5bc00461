"""Workers, their scheduler or their processes are lost: it is tried again, and what nobody checked does not hold."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine.processes import hear_signals
from harness.machine.project import ROOT
from properties.bench.dask_processes import Machines, kill, machines
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

WAITS = """
import pathlib, time

def test_it_waits{too}():
    pathlib.Path({mark!r}).touch()
    time.sleep(2)
"""
STOPS = """
import os, pathlib, signal

def test_it_is_stopped_{how}():
    if {always} or not pathlib.Path({mark!r}).exists():
        pathlib.Path({mark!r}).touch()
        os.kill(os.getpid(), signal.SIGSTOP)
"""
SILENCE = 10
"""Seconds: what is lost is noticed soon."""


@contextlib.contextmanager
def half_way(folder: Path, there: Machines, *arguments: str, **files: str) -> Iterator[subprocess.Popen[str]]:
    """A campaign on the workers whose first property has begun."""
    begun = folder / "begun"
    made = {"test_a": WAITS.format(too="", mark=str(begun)), "test_b": WAITS.format(too="_too", mark=str(begun))}
    program = command(folder, written(folder, **made, **files), f"--scheduler={there.address}", *arguments)
    pipe = subprocess.PIPE
    with subprocess.Popen(program, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=hear_signals) as process:
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield process
        if process.poll() is None:
            process.kill()


def run_to_its_end(process: subprocess.Popen[str], folder: Path) -> Ended:
    """What came of the campaign."""
    output, errors = process.communicate(timeout=PATIENCE)
    assert errors == ""
    return Ended(process.returncode, output, errors, folder / "out")


def verdicts(run: Ended) -> list[str]:
    """Of its properties, in order."""
    return [one["verdict"] for one in run.json["properties"]]


@pytest.fixture(scope="module")
def there() -> Iterator[Machines]:
    """A scheduler that soon gives up machines which stand still; each test has workers of its own."""
    with machines(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=f"{SILENCE}s") as found:
        yield found


def test_a_worker_is_killed_half_way_and_the_verdict_is_right(tmp_path: Path, there: Machines) -> None:
    there.repair()
    with half_way(tmp_path, there, test_c=HOLDING, test_d=FAILING) as process:
        kill(there.workers[1])
        run = run_to_its_end(process, tmp_path)
    assert verdicts(run) == ["holds", "holds", "holds", "fails"]


def test_a_machine_stands_still_and_the_verdict_is_right(tmp_path: Path, there: Machines) -> None:
    there.repair()
    with half_way(tmp_path, there, f"--silence={SILENCE}", test_c=HOLDING, test_d=FAILING) as process:
        there.workers[1].send_signal(signal.SIGSTOP)
        run = run_to_its_end(process, tmp_path)
    assert verdicts(run) == ["holds", "holds", "holds", "fails"]


def test_the_scheduler_is_restarted_and_the_verdict_is_right(tmp_path: Path, there: Machines) -> None:
    there.repair(workers=1)
    with half_way(tmp_path, there, test_c=HOLDING, test_d=FAILING) as process:
        there.start_scheduler_again()
        there.workers[0].wait(PATIENCE)
        there.start_worker()  # as whoever supervises it does
        run = run_to_its_end(process, tmp_path)
    assert verdicts(run) == ["holds", "holds", "holds", "fails"]


@pytest.mark.parametrize("lost", ["the scheduler", "all workers"])
def test_what_nobody_is_left_to_check_is_named_and_does_not_hold(tmp_path: Path, there: Machines, lost: str) -> None:
    there.repair(workers=1)
    with half_way(tmp_path, there, f"--silence={SILENCE}", test_c=HOLDING) as process:
        kill(there.scheduler if lost == "the scheduler" else there.workers[0])
        run = run_to_its_end(process, tmp_path)
    assert run.status == 1
    assert run.json["verdict"] == "not checked", run.output
    assert verdicts(run) == ["not checked"] * 3
    assert "no worker was left" in run.one("it waits")["reason"]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_a_campaign_that_is_ended_leaves_no_process_on_any_machine(
    tmp_path: Path, there: Machines, by: signal.Signals
) -> None:
    there.repair(workers=1)
    with half_way(tmp_path, there, f"--silence={SILENCE}", test_c=SLOW, test_d=SLOW) as process:
        assert left(tmp_path / "made_up")
        process.send_signal(by)
        assert process.wait(PATIENCE) == (130 if by is signal.SIGINT else -by)
        deadline = time.monotonic() + PATIENCE
        while left(tmp_path):
            assert time.monotonic() < deadline, "a process goes on without its campaign"
            time.sleep(0.1)


def test_a_worker_with_several_threads_has_a_process_for_each(tmp_path: Path, there: Machines) -> None:
    there.repair(workers=1, threads=2)
    with half_way(tmp_path, there, test_c=HOLDING, test_d=FAILING) as process:
        run = run_to_its_end(process, tmp_path)
    assert verdicts(run) == ["holds", "holds", "holds", "fails"]


def test_a_scheduler_without_workers_is_one_sentence(tmp_path: Path, there: Machines) -> None:
    there.repair(workers=0)
    run = ended(tmp_path, command(tmp_path, written(tmp_path, test_a=HOLDING), f"--scheduler={there.address}"))
    assert run.status == 2
    assert "has no workers: start some with" in run.errors
    assert run.errors.count("\n") == 1


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A campaign with a test whose process stops once, and one whose process always does."""
    folder = tmp_path_factory.mktemp("stopped")
    made = {how: STOPS.format(how=how, mark=str(folder / how), always=how == "always") for how in ("once", "always")}
    arguments = ["--workers=2", f"--silence={SILENCE}"]
    return campaign(folder, *arguments, test_a=HOLDING, test_b=made["always"], test_c=made["once"])


def test_a_process_that_stands_still_is_begun_again(stopped: Ended) -> None:
    assert stopped.one("it is stopped once")["verdict"] == "holds"


def test_what_stops_every_process_is_named_and_does_not_hold(stopped: Ended) -> None:
    one = stopped.one("it is stopped always")
    assert (one["verdict"], one["reason"]) == (
        "not checked",
        f"what ran it was lost, again and again: it gave no sign of life for {SILENCE} s",
    )
    assert stopped.json["verdict"] == "not checked"
    assert stopped.status == 1


@pytest.mark.parametrize(
    ("scheduler", "says"), [("tcp://127.0.0.1:9", "There is no scheduler at"), ("nowhere", "There is no")]
)
def test_a_scheduler_that_is_not_there_is_one_sentence(tmp_path: Path, scheduler: str, says: str) -> None:
    run = campaign(tmp_path, f"--scheduler={scheduler}", test_a=HOLDING)
    assert run.status == 2
    assert run.errors.startswith(f"There is no scheduler at {scheduler}")
    assert run.errors.count("\n") == 1
