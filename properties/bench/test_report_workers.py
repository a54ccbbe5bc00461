"""The report tells what more workers would bring, and what stops that."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.schema.campaign import Campaign
from properties.bench.made_results import a_campaign, a_folder, words_of
from reports.__main__ import main
from reports.report import PAGE
from reports.sharing import ON_PAPER, curve, handed_out


def a_shard(
    seconds: float, set_up: float = 0.0, test: str = "properties/test_made_up.py::test_short"
) -> dict[str, Any]:
    return {"tests": [test], "seconds": seconds, "set_up": set_up}


SHARDS = [a_shard(32, 2), a_shard(64, 4, "properties/test_made_up.py::test_long"), *[a_shard(2)] * 100]
"""300 seconds, and the time in which two processes were set up."""


def campaign(**more: Any) -> Campaign:
    return msgspec.convert(a_campaign(**more), Campaign)


def test_each_shard_goes_to_the_worker_that_is_free_first() -> None:
    took = [4.0, 3.0, 2.0, 1.0]
    assert [handed_out(took, workers, 0.5) for workers in (1, 2, 4, 8)] == [10.5, 5.5, 4.5, 4.5]


def test_no_number_of_workers_gets_below_the_longest_shard() -> None:
    found = curve(campaign(shards=SHARDS, workers=2))
    assert found is not None
    assert found.work == 290
    assert found.set_up == 4
    assert found.longest.tests == ("properties/test_made_up.py::test_long",)
    assert found.floor == 64
    assert found.expected[1] == 294
    assert list(found.expected.values()) == sorted(found.expected.values(), reverse=True)
    assert found.expected[ON_PAPER[-1]] == found.floor
    assert found.enough == 8


@pytest.mark.parametrize("shards", [(), SHARDS], ids=["in one process", "on workers"])
def test_the_page_says_so_of_a_campaign_that_was_shared(tmp_path: Path, shards: list[dict[str, Any]]) -> None:
    folder = a_folder(tmp_path / "it", a_campaign(shards=shards, workers=2))
    assert main([str(folder)]) == 0
    words = words_of(folder / PAGE)
    assert ("102 shards, 4 min 50 s of work, ran on 2 workers" in words) is bool(shards)
    assert ("test_made_up.py::test_long" in words) is bool(shards)
    assert (folder / "figures" / "workers.png").exists() is bool(shards)
