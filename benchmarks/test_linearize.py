"""The checker of concurrent histories, which goes phase by phase, beside Porcupine's method on whole operations.

The histories are the model's own: sessions that use three labels at once. For the comparison each operation takes place
at one moment, so that both can explain them; where phases interleave, only one of the two is right. How many there are
is fixed, and each is decided once: what comes of it does not depend on how many rounds fit into a time.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import cycle
from random import Random
from time import perf_counter

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.callers import MILLISECONDS
from benchmarks.measurement import measured
from benchmarks.recorder import Recorder
from benchmarks.scale import Pace
from benchmarks.turns import Turn, take_turns
from harness.schema.benchmarks import Benchmark
from model.linearizability.linearize import Call, Explained, linearize
from model.outcomes import Failed, SqlState
from properties.concurrency.porcupine import linearizable
from properties.concurrency.simulation import DESIGN, busy, completed, connected

Keep = Callable[[Benchmark], None]
TITLE = "Explaining a concurrent history, beside Porcupine's method on whole operations"
PATIENCE = 1_000_000
"""Steps after which Porcupine's method is stopped."""
HISTORIES = {(100, 8): 30, (100, 16): 20, (1_000, 8): 10}
"""How many are decided, by the numbers of operations and of sessions."""
LONG_HISTORIES = 3
"""How many of the others, each of which may take a minute."""


@pytest.mark.parametrize("sessions", [8, 16])
def test_linearize(operations: int, sessions: int, recorder: Recorder, benchmark: BenchmarkFixture, keep: Keep) -> None:
    first, histories = connected(DESIGN, sessions, limit=2), HISTORIES.get((operations, sessions), LONG_HISTORIES)
    stopped: set[int] = set()

    @lru_cache(maxsize=1)
    def history(seed: int) -> list[Call]:
        return completed(first, busy("abc", expiry=True), operations, Random(seed), atomic=True)

    def turn(decide: Callable[[int], None]) -> Turn:
        seeds = cycle(range(histories))

        def timed() -> Mapping[str, float]:
            seed = next(seeds)
            history(seed)
            began = perf_counter()
            decide(seed)
            return {"decide": (perf_counter() - began) * MILLISECONDS}

        return timed

    def by_phases(seed: int) -> None:
        assert isinstance(linearize(DESIGN, first, history(seed)), Explained), f"seed {seed}"

    def by_operations(seed: int) -> None:
        found = linearizable(DESIGN, first, history(seed), PATIENCE)
        assert found is not False, f"seed {seed}"
        if found is None:
            stopped.add(seed)

    turns = {"phases": turn(by_phases), "whole operations": turn(by_operations)}
    once_each = Pace(seconds=0, fewest=histories, most=histories)
    samples = take_turns(benchmark, turns, once_each, recorder.watch)["decide"]
    given_up = f"of {histories} histories, whole operations were given up on {len(stopped)}, after {PATIENCE:,} steps"
    keep(
        measured(
            "linearize",
            TITLE,
            samples,
            compare=[("phases", "whole operations")],
            parameters={"operations": operations, "sessions": sessions},
            notes=[given_up] if stopped else [],
        )
    )


def test_linearize_between_phases(operations: int, benchmark: BenchmarkFixture, keep: Keep) -> None:
    """Histories as they are: some operations meet others between their phases (55006), and whole ones never do."""
    first, histories, busy_answers, explained = connected(DESIGN, 8, limit=2), 5, 0, 0

    def decide_all() -> None:
        nonlocal busy_answers, explained
        for seed in range(histories):
            history = completed(first, busy("abc", expiry=True), operations, Random(seed))
            busy_answers += sum(call.outcome == Failed(SqlState.OBJECT_IN_USE) for call in history)
            assert isinstance(linearize(DESIGN, first, history), Explained)
            explained += linearizable(DESIGN, first, history, PATIENCE) is True

    benchmark.pedantic(decide_all, rounds=1)
    values = {
        "histories": histories,
        "answers of 55006": busy_answers,
        "explained by phases": histories,
        "explained by whole operations": explained,
    }
    keep(measured("linearize_between_phases", TITLE, parameters={"operations": operations}, values=values))
