"""Paired comparison: the candidates take turns, round after round, in an order that keeps changing."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import rest
from benchmarks.scale import Pace

Turn = Callable[[], Mapping[str, float]]
"""A candidate's turn; it returns what it timed, in milliseconds."""

Samples = dict[str, dict[str, list[float]]]
"""By what was timed, then by candidate: a number for each round. The n-th numbers of the candidates are a pair."""

WARM_UP = 1.0
"""Seconds of rounds that do not count: until WAL segments are recycled, and caches are warm."""
FEWEST_WARM_UPS = 2


def take_turns(
    benchmark: BenchmarkFixture, turns: Mapping[str, Turn], pace: Pace, watch: Callable[[int, int], None]
) -> Samples:
    """Runs rounds in which each candidate has its turn; ``watch`` is told how many of how many have been run."""
    samples: Samples = {}
    orders = changing_orders(list(turns))
    done = 0

    def one_round() -> None:
        nonlocal done
        for name in next(orders):
            rest()
            for what, taken in turns[name]().items():
                samples.setdefault(what, {one: [] for one in turns})[name].append(taken)
        done += 1
        watch(done, rounds)

    rounds = 0
    rounds = pace.rounds(warm_up(one_round))
    samples.clear()
    done = 0
    benchmark.pedantic(one_round, rounds=rounds)
    return samples


def changing_orders(names: Sequence[str], seed: int = 1) -> Iterator[tuple[str, ...]]:
    """Orders of the candidates, without end: every one equally often, itself in random order."""
    chance = random.Random(seed)
    orders = list(itertools.permutations(names))
    while True:
        chance.shuffle(orders)
        yield from orders


def warm_up(one_round: Callable[[], None]) -> float:
    """Runs rounds for a while; returns how many seconds one took, on average."""
    began, number = time.perf_counter(), 0
    while number < FEWEST_WARM_UPS or time.perf_counter() - began < WARM_UP:
        one_round()
        number += 1
    return (time.perf_counter() - began) / number
