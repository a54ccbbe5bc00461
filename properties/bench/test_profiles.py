"""What a nightly campaign has found, the next one tries first."""

from pathlib import Path

import pytest

from properties.bench.made_campaigns import Ended, campaign, command, ended

SEARCHING = """
import os
from pathlib import Path
from hypothesis import given, settings, strategies as st
from properties.support.profiles import UNSHRUNK

def search(limit, tried):
    @settings(max_examples=200, phases=UNSHRUNK)
    @given(st.integers(0, 1_000_000))
    def check(number):
        with Path(os.environ["HYPOTHESIS_STORAGE_DIRECTORY"], tried).open("a") as file:
            print(number, file=file)
        assert number < limit
    check()

def test_all_are_small(): search(2_000_000, "small")
def test_all_are_tiny(): search(10, "tiny")
"""


def numbers(found: Path, tried: str) -> list[int]:
    """What was tried, in order, since somebody last asked."""
    file = found / tried
    told = [int(line) for line in file.read_text().splitlines()]
    file.unlink()
    return told


def fails_as_it_should(run: Ended) -> bool:
    return [one["verdict"] for one in run.json["properties"]] == ["holds", "fails"]


@pytest.mark.parametrize("ci", ["", "true"], ids=["at home", "in CI"])
def test_what_failed_is_tried_first_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str) -> None:
    """... also if other properties, which hold, share the function, and where Hypothesis sees that it runs in CI."""
    found = tmp_path / "found"
    found.mkdir()
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(found))
    if ci:
        monkeypatch.setenv("CI", ci)
    else:
        monkeypatch.delenv("CI", raising=False)
    assert fails_as_it_should(campaign(tmp_path, "--profile=nightly", test_searching=SEARCHING))
    first = numbers(found, "tiny")
    assert fails_as_it_should(ended(tmp_path, command(tmp_path, tmp_path / "made_up", "--profile=nightly")))
    assert numbers(found, "tiny")[0] == first[-1], "the example that failed is to be the first one"
    assert len({*numbers(found, "small")}) > 100, "there is more to be tried than what is known"
