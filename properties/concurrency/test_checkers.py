"""The two checkers of concurrent histories answer the same about thousands that the model makes, good and corrupted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from random import Random

import pytest

from model.numbers import StartPoint
from model.operations import Advance, Operation, Renew, Start
from model.outcomes import Ok, Outcome
from properties.concurrency import handwritten, porcupine
from properties.concurrency.checkers import PHASES, WHOLE, Answers, answers, difference, told
from properties.concurrency.porcupine import linearizable
from properties.concurrency.recorded import Recorded, read
from properties.concurrency.simulation import DESIGN, busy, completed, connected, corrupted, other_outcomes
from properties.recording.tally import Tally

SEEDS = {"dev": 100, "gate": 250, "nightly": 20_000}
"""How many seeds are looked at, by profile: always the same ones, from zero."""
SESSIONS = (2, 3, 4, 5, 6, 8, 16)
BUDGET = 500
"""After so much a checker is stopped: with many sessions and no explanation, it may take minutes."""

ATOMIC, INTERLEAVED, CORRUPTED = "operations at one moment", "interleaved phases", "another outcome"


def made(seed: int, *, atomic: bool) -> Recorded:
    """A good history. A restart would cut off what is between two phases: Porcupine's method does not know of that."""
    chance = Random(seed)
    first = connected(DESIGN, chance.choice(SESSIONS), chance.choice((None, 1, 2)))
    expiry, stock, changes = (chance.random() < 0.5 for _ in range(3))
    what = busy("abc"[: chance.randint(1, 3)], expiry=expiry, stock=stock, changes=changes and atomic)
    return Recorded(first, tuple(completed(first, what, chance.randint(20, 100), chance, atomic=atomic)))


def with_another_outcome(history: Recorded, seed: int) -> Recorded:
    """The same, but for what came of one call."""
    chance = Random(seed)
    number = chance.randrange(len(history.calls))
    known = history.calls[number].outcome
    another = chance.choice([outcome for outcome in other_outcomes(history.calls, number) if outcome != known])
    return replace(history, calls=tuple(corrupted(history.calls, number, another)))


def histories(seed: int) -> dict[str, Recorded]:
    """Two good ones, and one that most often is not, by kind."""
    atomic, interleaved = made(seed, atomic=True), made(seed, atomic=False)
    return {
        ATOMIC: atomic,
        INTERLEAVED: interleaved,
        CORRUPTED: with_another_outcome((atomic, interleaved)[seed % 2], seed),
    }


# Made by the model


EXPLAINED_BY = {ATOMIC: (PHASES, WHOLE), INTERLEAVED: (PHASES,), CORRUPTED: ()}
"""What a history of that kind must be explained by."""


def test_both_checkers_answer_the_same(profile: str, tally: Tally) -> None:
    counts: Counter[tuple[str, str, Answers]] = Counter()
    for seed in range(SEEDS[profile]):
        for kind, history in histories(seed).items():
            with tally.example():
                found = answers(history, BUDGET)
                assert not difference(found), f"Seed {seed}, {kind}. {told(history, BUDGET)}"
                for what in EXPLAINED_BY[kind]:
                    assert False not in found[what], f"Seed {seed}, {kind}, by {what}: {found}\n{history.text()}"
            counts.update((kind, what, one) for what, one in found.items())
    for kind, what in product(EXPLAINED_BY, (PHASES, WHOLE)):
        explained, not_explained = (counts[kind, what, Answers(one, one)] for one in (True, False))
        tally.notes.append(f"{kind}, by {what}: {explained:,} explained by both checkers, {not_explained:,} by neither")
        assert explained + not_explained > SEEDS[profile] / 2, f"{kind}, by {what}: most were not decided, {counts}"


def test_a_difference_is_told_by_a_smallest_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a method that takes the deadline that a renewal returns for a start point."""

    def any_number(operation: Operation, outcome: Outcome | None) -> StartPoint | None:
        value = outcome.value if isinstance(outcome, Ok) else None
        return StartPoint(value) if isinstance(value, int) else None

    first = connected(DESIGN, 8, limit=2)
    calls = completed(first, busy("abc", expiry=True), 100, Random(114), atomic=True)
    history = Recorded(first, tuple(calls))
    assert not difference(answers(history, BUDGET))
    monkeypatch.setattr(porcupine, "start_point", any_number)
    said = told(history, BUDGET)
    assert said.startswith("By whole operations it is explained: True; by Porcupine's method: False.")
    fewest = read(said[said.index("{") :])
    assert difference(answers(fewest, BUDGET)), "what is printed is not what was found"
    times = [type(call.operation) for call in fewest.calls if not isinstance(call.operation, Advance)]
    assert times == [Start, Renew, Start]


# Written by hand


def known(kind: str) -> list[str]:
    """The histories in which every outcome is known: of no others does Porcupine's method know."""
    found = {name: handwritten.read(kind, name) for name in handwritten.names(kind)}
    return [name for name, history in found.items() if all(call.outcome for call in history.calls)]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in ("good", "bad") for name in known(kind)])
def test_both_checkers_are_right_about_a_history_written_by_hand(kind: str, name: str) -> None:
    found, good = answers(handwritten.read(kind, name), 10_000), kind == "good"
    assert found[PHASES] == Answers(good, good)
    assert not difference(found)


def test_an_unknown_outcome_is_refused() -> None:
    history = made(1, atomic=True)
    calls = [replace(history.calls[0], outcome=None), *history.calls[1:]]
    with pytest.raises(ValueError, match="does not know of unknown outcomes"):
        linearizable(DESIGN, history.first, calls, BUDGET)
