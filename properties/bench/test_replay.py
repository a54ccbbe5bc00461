"""A replay: what cannot be tried is told in a sentence, today's model says what is expected, Ctrl-C leaves nothing."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.clients.implementation import STOCK
from harness.machine.postgres import Postgres
from harness.machine.processes import hear_signals
from harness.machine.project import ROOT
from harness.schema.counterexample import Counterexample
from model.design import THREAD
from model.operations import (
    Abort,
    Advance,
    Connect,
    Hazard,
    Operation,
    Renew,
    Restart,
    RestartKind,
    SetLimit,
    Start,
    Stop,
)
from properties.bench.planted import made_up
from properties.recording.counterexample_files import json_text
from properties.replay.__main__ import main

ROOT_STARTS = (Connect(0, "root"), Start(0, "a"))
BACKUP = made_up(*ROOT_STARTS, Stop(0, "a"))
PATIENCE = 60  # seconds for a replay to end when it is told to


def written(folder: Path, one: Counterexample) -> Path:
    """The file of a counterexample."""
    file = folder / "one.json"
    file.write_text(json_text(one))
    return file


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """How a replay is refused: in one sentence."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.endswith(".\n")
    return captured.err


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("nowhere.json", None, "cannot be read (No such file or directory)"),
        ("a.json", "not JSON", "is no counterexample (JSON is malformed"),
        ("a.json", "\xff", "is no counterexample"),
        ("a.json", "{}", "is no counterexample (Object missing required field"),
        ("a.jsonl", "{}", "a.jsonl is a history, and no counterexample: name"),
        ("a.calls.jsonl", "{}", "python -m properties.concurrency.linearize"),
    ],
)
def test_what_is_no_counterexample_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="latin-1")
    assert says in refused(capsys, str(tmp_path / name))


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (replace(BACKUP, schema=2), "its schema is 2, and 1 is known"),
        (replace(BACKUP, failed=4), "step 4 failed, and there are 3"),
        (replace(BACKUP, sessions=0), "step 1: there is no session 0"),
        (replace(BACKUP, steps=(replace(BACKUP.steps[0], operation="Jump"),), failed=1), 'no operation "Jump"'),
        (
            replace(BACKUP, steps=(replace(BACKUP.steps[0], arguments={"session": "0", "role": "root"}),), failed=1),
            "step 1: Expected `int`, got `str`",
        ),
        (
            replace(
                BACKUP,
                implementation=replace(BACKUP.implementation, name="mine", design={"name": "odd", "storage": "tape"}),
            ),
            "The implementation mine is not understood",
        ),
    ],
    ids=["schema", "failed", "session", "operation", "arguments", "implementation"],
)
def test_what_is_not_understood_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], one: Counterexample, says: str
) -> None:
    assert says in refused(capsys, str(written(tmp_path, one)))


@pytest.mark.parametrize(
    ("operations", "says"),
    [
        ([SetLimit(1)], "Step 1 needs a setting max_backups, and stock has none"),
        ([*ROOT_STARTS, Abort(0, "a")], "Step 3 needs abort"),
        ([*ROOT_STARTS, Renew(0, "a")], "Step 3 needs renew"),
        ([Advance(1)], "Step 1 needs a clock that can be moved"),
        ([Restart(RestartKind.FAST, Hazard.COPY)], "Step 1 needs durable backups"),
        ([*ROOT_STARTS, Stop(0, "a", BACKUP.steps[1].start)], "Step 3 needs a fence"),  # type: ignore[arg-type]
        ([Connect(0, "root"), Start(0, "a", 10)], "Step 2 needs a time to live"),
    ],
)
def test_what_an_implementation_lacks_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], operations: list[Operation], says: str
) -> None:
    assert refused(capsys, str(written(tmp_path, made_up(*operations))), "--implementation=stock").startswith(says)


def test_phases_need_the_points_where_they_are_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = replace(BACKUP, steps=(*BACKUP.steps[:2], replace(BACKUP.steps[2], phase=1)))
    assert "Step 3 needs instruments" in refused(capsys, str(written(tmp_path, held)), "--implementation=stock")


def test_phases_that_the_design_does_not_have_are_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = replace(BACKUP, steps=(*BACKUP.steps[:2], replace(BACKUP.steps[2], phase=1)))
    assert refused(capsys, str(written(tmp_path, held))).startswith("In the design shared these operations have other")


@pytest.mark.server
def test_another_implementation_is_held_to_its_own_design(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], postgres: Postgres
) -> None:
    """Core's own functions do not let another session stop a backup, and by their design need not."""
    one = made_up(Connect(0, "root"), Connect(1, "root"), Start(0, "a"), Stop(1, "a"))
    arguments = [str(written(tmp_path, one)), "--implementation=stock", f"--pg-config={postgres.pg_config}"]
    assert main(arguments) == 0
    told = capfd.readouterr().out
    assert "tried with stock on PostgreSQL" in told
    assert "Step 4: expected is 55000 object_not_in_prerequisite_state; when this was found it was ok" in told
    assert told.endswith("mended: every step came as expected\n")


@pytest.mark.server
def test_an_implementation_of_ones_own_comes_along_in_the_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], postgres: Postgres
) -> None:
    """... and what it does otherwise than its design says is told, with what it said."""
    mine = dataclasses.replace(STOCK, name="mine", design=THREAD)
    one = made_up(Connect(0, "root"), Stop(0, "a"), implementation=mine)
    assert main([str(written(tmp_path, one)), f"--pg-config={postgres.pg_config}"]) == 1
    told = capfd.readouterr().out
    assert "tried with mine on PostgreSQL" in told
    assert "returned 55000 object_not_in_prerequisite_state\n  expected 42704 undefined_object" in told
    assert told.endswith("still fails at step 2\n")


@pytest.mark.server
def test_ctrl_c_leaves_nothing(tmp_path: Path, copies: Path, postgres: Postgres) -> None:
    file = str(written(tmp_path, BACKUP))
    process = subprocess.Popen(
        [sys.executable, "-m", "properties.replay", file, f"--pg-config={postgres.pg_config}"],
        cwd=ROOT,
        env=os.environ | {"BENCH_SCRATCH": str(copies)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )
    assert process.stdout is not None
    while "tried with" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "")
    assert list(copies.iterdir()) == []
