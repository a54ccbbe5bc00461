"""The benchmarks' statistics, targets and gate; no server is needed."""

import json
import random
from collections import Counter
from itertools import islice, permutations
from pathlib import Path

import msgspec
import pytest

from benchmarks.__main__ import main
from benchmarks.fleet import Timed, before_and_meanwhile
from benchmarks.gate import compared, complaints, doubts, read_baseline, write_baseline
from benchmarks.measurement import measured
from benchmarks.scale import Pace
from benchmarks.spread import median_interval, ratios, spread
from benchmarks.targets import TARGETS
from benchmarks.turns import changing_orders
from harness.machine.postgres import SetupError
from harness.schema.benchmarks import Benchmark, Verdict


def starts(shared: list[float], stock: list[float], fsync: bool = False) -> Benchmark:
    """A measurement of starts."""
    samples = {"shared": shared, "stock": stock}
    return measured("start_latency", "", samples, compare=[("shared", "stock")], parameters={"fsync": fsync})


# Statistics


def test_the_spread_is_the_median_and_the_percentiles() -> None:
    samples = [float(number) for number in range(101)]
    random.Random(1).shuffle(samples)
    assert (spread(samples).p5, spread(samples).median, spread(samples).p95) == (5.0, 50.0, 95.0)


def test_a_single_outlier_moves_no_median() -> None:
    assert spread([1.0] * 99 + [1000.0]).median == 1.0


def test_the_interval_holds_the_true_median_95_times_in_a_hundred() -> None:
    chance = random.Random(1)
    draws = [median_interval([chance.expovariate(1.0) for _ in range(60)]) for _ in range(2000)]
    held = sum(low <= 0.6931 <= high for low, high in draws)  # the median of that distribution is ln 2
    assert 0.93 <= held / 2000 <= 0.98


def test_no_samples_have_no_spread() -> None:
    with pytest.raises(ValueError, match="no samples"):
        spread([])


def test_ratios_are_taken_pair_by_pair() -> None:
    assert ratios([2.0, 30.0], [1.0, 10.0]) == [2.0, 3.0]


def test_a_machine_that_slows_down_halfway_changes_no_ratio() -> None:
    one = starts([2.0] * 50 + [20.0] * 50, [1.0] * 50 + [10.0] * 50)
    assert (one.ratios[0].p5, one.ratios[0].median, one.ratios[0].p95) == (2.0, 2.0, 2.0)


def test_a_single_sample_is_paired_with_each_of_the_other() -> None:
    assert ratios([6.0], [2.0, 3.0]) == [3.0, 2.0]


def test_samples_that_are_no_pairs_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="not pairs"):
        ratios([1.0, 2.0], [1.0, 2.0, 3.0])


def test_every_order_of_the_candidates_comes_equally_often() -> None:
    names = ["shared", "stock", "floor"]
    orders = Counter(islice(changing_orders(names), 60))
    assert orders == Counter(dict.fromkeys(permutations(names), 10))


@pytest.mark.parametrize(("seconds", "rounds"), [(0.1, 50), (10.0, 5), (0.0001, 200)])
def test_as_many_rounds_as_fit_into_the_time_within_bounds(seconds: float, rounds: int) -> None:
    assert Pace(seconds=5, fewest=5, most=200).rounds(seconds) == rounds


def test_latencies_during_an_expiry_are_paired_with_those_just_before() -> None:
    work = [Timed("start", at, 100.0) for at in (1.0, 2.0, 3.0, 3.95, 4.2, 5.0)]
    work[2] = Timed("start", 3.0, 300.0)
    found = before_and_meanwhile(work, deadline=4.0, done=4.5)
    assert found["start"] == {"meanwhile": [100.0, 100.0], "before": [100.0, 300.0]}
    assert found["stop"] == {"meanwhile": [], "before": []}


# Targets


def test_a_target_holds_for_its_parameters() -> None:
    assert starts([1.40], [1.0], fsync=False).ratios[0].verdict is Verdict.MET
    assert starts([1.40], [1.0], fsync=True).ratios[0].verdict is Verdict.MISSED


def test_stock_has_no_target_to_keep() -> None:
    samples = {"shared": [1.0], "stock": [9.0], "floor": [1.0]}
    one = measured("stop_latency", "", samples, compare=[("stock", "floor"), ("shared", "floor")])
    assert {ratio.verdict for ratio in one.ratios} == {Verdict.NONE}


def test_a_value_has_a_bound_from_below_or_from_above() -> None:
    few = measured("backups_held", "", parameters={"asked for": 10_000}, values={"held": 9_999, "held by stock": 20})
    assert [(limit.value, limit.verdict) for limit in few.limits] == [("held", Verdict.MISSED)]
    assert measured("expiry", "", values={"seconds until core was released": 0.9}).limits[0].verdict is Verdict.MET


def test_every_target_bounds_either_a_ratio_or_a_value() -> None:
    for target in TARGETS:
        assert bool(target.against) != bool(target.value)
        assert (target.at_most is None) != (target.at_least is None)


# The gate


def test_the_gate_names_each_target_that_is_missed() -> None:
    found = complaints([starts([1.6], [1.0]), starts([1.1], [1.0], fsync=True), starts([2.0], [1.0], fsync=True)], {})
    assert found == [
        "start_latency, fsync off: 1.6 (1.6 to 1.6) × stock, at most 1.5 is the target",
        "start_latency, fsync on: 2 (2 to 2) × stock, at most 1.2 is the target",
    ]


def test_the_gate_stays_open_and_says_so_when_the_pairs_cannot_tell() -> None:
    noisy = starts([0.85 + 0.01 * number for number in range(140)], [1.0] * 140)
    assert noisy.ratios[0].verdict is Verdict.MISSED
    assert complaints([noisy], {}) == []
    assert doubts([noisy]) == ["start_latency, fsync off: 1.545 (1.42 to 1.67) × stock, at most 1.5 is the target"]


def test_the_gate_names_each_value_that_is_missed() -> None:
    found = complaints([measured("memory", "", values={"shared: bytes per backup": 4096})], {})
    assert found == ["memory: shared: bytes per backup is 4,096, at most 2,048 is the target"]


def test_the_gate_shuts_when_a_ratio_is_worse_than_its_baseline_by_more_than_its_spread(tmp_path: Path) -> None:
    before = starts([0.5, 0.6, 0.7], [1.0, 1.0, 1.0])
    write_baseline([before], tmp_path / "baseline.json")
    baseline = read_baseline(tmp_path / "baseline.json")
    assert complaints([starts([0.68], [1.0])], baseline) == []
    assert complaints([starts([0.2], [1.0])], baseline) == []
    assert complaints([starts([0.8], [1.0])], baseline) == [
        "start_latency, fsync off: 0.8 × stock, in the baseline 0.6 (0.51 to 0.69)"
    ]


def test_what_the_baseline_does_not_know_is_not_compared(tmp_path: Path) -> None:
    write_baseline([starts([0.5], [1.0], fsync=True)], tmp_path / "baseline.json")
    baseline = read_baseline(tmp_path / "baseline.json")
    assert complaints([starts([0.9], [1.0], fsync=False)], baseline) == []
    assert compared([starts([0.9], [1.0], fsync=False), starts([0.9], [1.0], fsync=True)], baseline) == 1


def test_a_skipped_benchmark_does_not_shut_the_gate() -> None:
    assert complaints([Benchmark(name="start_latency", title="", skipped="no disk")], {}) == []


# The baseline


def test_there_need_not_be_a_baseline(tmp_path: Path) -> None:
    assert read_baseline(tmp_path / "none.json") == {}


def test_a_new_baseline_replaces_what_was_measured_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_baseline([starts([0.5], [1.0]), starts([0.9], [1.0], fsync=True)], path)
    write_baseline([starts([0.7], [1.0])], path)
    assert sorted(spread.median for spread in read_baseline(path).values()) == [0.7, 0.9]


def test_the_baseline_has_no_times(tmp_path: Path) -> None:
    write_baseline([starts([123.0], [456.0])], tmp_path / "baseline.json")
    assert not {"123", "456"} & set((tmp_path / "baseline.json").read_text().replace(".", " ").split())


@pytest.mark.parametrize("content", ["", "[]", '{"ratios": [{}]}', '{"ratios": 3}'])
def test_a_baseline_that_cannot_be_read_gets_one_sentence(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "baseline.json").write_text(content)
    with pytest.raises(SetupError, match=r"baseline.*--save-baseline"):
        read_baseline(tmp_path / "baseline.json")


# The results


def test_a_measurement_in_json_has_all_that_the_reports_need() -> None:
    written = json.loads(msgspec.json.encode(starts([1.2, 1.4], [1.0, 1.0])))
    assert written["candidates"]["shared"] == {"median": 1.3, "p5": 1.21, "p95": 1.39, "samples": [1.2, 1.4]}
    ratio = written["ratios"][0]
    assert (ratio["pairs"], ratio["target"], ratio["verdict"]) == (2, {"at_most": 1.5}, "met")


def test_a_wrong_server_gets_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--pg-config", str(tmp_path / "none"), "--results", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
