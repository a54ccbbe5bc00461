"""A night's examples are drawn in parts, by whoever has time; each part can be drawn again, alone."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis, RedisError

from properties.bench.dask_processes import free_port, kill
from properties.bench.made_campaigns import HOLDING, PATIENCE, Ended, campaign, command, ended
from properties.support.profiles import PARTS

NIGHTLY, PART = "--profile=nightly", PARTS["nightly"]
EACH = 4
"""Examples in a part."""
DRAWN = """
import time
from hypothesis import given, settings, strategies as st
from properties.support.profiles import examples

drawn = st.integers(0, 1 << 40)

@settings(max_examples=examples({each} / 1250))
@given(drawn)
def test_drawn_by_the_test(number):
    note("one", number)

def test_drawn_inside(tally):
    @settings(max_examples=examples({each} / 1250))
    @given(drawn)
    def check(number):
        with tally.example():
            note("two", number)
            assert number % 19 != 7

    time.sleep(0.1)  # so that seconds are seen that are counted twice
    check()

def note(name, number):
    with open({folder!r} + name, "a") as file:
        file.write(f"{{number}}\\n")
"""


def night(folder: Path, *arguments: str) -> Ended:
    """A campaign with properties that draw, and one that does not."""
    folder.mkdir()
    text = DRAWN.format(each=EACH, folder=f"{folder}/")
    return campaign(folder, NIGHTLY, *arguments, test_drawn=text, test_plain=HOLDING)


def drawn(folder: Path, name: str) -> list[str]:
    """What was drawn, in any order."""
    return sorted((folder / name).read_text().split())


@pytest.fixture(autouse=True)
def nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path / "remembered"))


def test_a_seed_draws_the_same_whoever_draws_it_and_another_does_not(tmp_path: Path) -> None:
    runs = [
        night(tmp_path / name, f"--seed={seed}", f"--workers={workers}")
        for name, seed, workers in (("a", 5, 1), ("b", 5, 2), ("c", 6, 2))
    ]
    assert [run.json["seed"] for run in runs] == [5, 5, 6]
    for run in runs:
        took = sum(shard["seconds"] for shard in run.json["shards"])
        assert sum(one["seconds"] for one in run.json["properties"]) <= took, "some parts were counted twice"
    one, two, three = (drawn(tmp_path / name, "one") for name in "abc")
    assert len(one) == PART * EACH
    assert len(set(one)) > PART, "the parts draw different examples"
    assert one == two != three


def test_the_part_that_fails_is_told_and_fails_again_alone(tmp_path: Path) -> None:
    run = night(tmp_path / "whole", "--seed=1", "--workers=2")
    one = run.one("drawn inside")
    assert one["verdict"] == "fails", run.output
    assert one["part"] in range(1, PART + 1)
    assert run.one("drawn by the test")["verdict"] == run.one("two is even")["verdict"] == "holds"
    (again,) = re.findall(r"To run again: +nox -s verify -- (.*)", run.output)
    assert f"--part={one['part']}" in again
    alone = ended(tmp_path, command(tmp_path, tmp_path / "whole" / "made_up", *shlex.split(again)))
    assert alone.one("drawn inside")["verdict"] == "fails"
    assert "1 fail" in alone.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seed=1"], "--seed is for --profile nightly"),
        (["--part=1"], "--part is for --profile nightly"),
        ([NIGHTLY, "--part=1"], "--part needs a number from 1 to"),
        ([NIGHTLY, "--part=99", "--seed=1"], "--part needs a number from 1 to"),
        (["--examples=redis://127.0.0.1:9"], "--examples is for --profile nightly"),
        ([NIGHTLY, "--examples=redis://127.0.0.1:9"], "There is no Redis at"),
        ([NIGHTLY, "--examples=here"], "There is no Redis at here"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    run = campaign(tmp_path, *arguments, test_a=HOLDING)
    assert run.status == 2
    assert run.errors.startswith(says)
    assert run.errors.count("\n") == 1


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis of the test's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        kill(server)


def answers(port: int) -> bool:
    """Is it there?"""
    try:
        return bool(Redis(port=port).ping())
    except RedisError:
        return False


def test_what_one_machine_has_found_another_tries_first(
    tmp_path: Path, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = night(tmp_path / "one", "--seed=1", f"--examples={redis}")
    assert first.one("drawn inside")["verdict"] == "fails"
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path / "elsewhere"))
    elsewhere = [NIGHTLY, "--part=1", "--seed=3"]  # where nothing fails that is drawn
    for more, verdict in ([], "holds"), ([f"--examples={redis}"], "fails"):
        run = ended(tmp_path, command(tmp_path, tmp_path / "one" / "made_up", *elsewhere, *more))
        assert run.one("drawn inside")["verdict"] == verdict
