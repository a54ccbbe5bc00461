"""The verdicts on designs, put together from what was found in each scope."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import asdict

from harness.running.results import run_anywhere
from harness.schema import exploration as schema
from harness.schema.exploration import Verdict
from model.design import Design
from model.promises import PROMISES, Promise
from properties.exploration.records import designed, promised
from properties.exploration.worker import Found, Task

VERDICTS = {
    (True, False): Verdict.HOLDS,
    (True, True): Verdict.BROKEN,
    (False, True): Verdict.NO,
    (False, False): Verdict.UNCLAIMED,
}
"""Is it claimed, and is it broken?"""

RESULTS_FILE = "exploration.json"


def results_of(
    designs: Sequence[Design],
    tasks: Sequence[Task],
    found: dict[Task, Found],
    when: datetime,
    seconds: float,
    interrupted: bool,
    kept: schema.Kept | None = None,
) -> schema.Exploration:
    """What goes into exploration.json."""
    explored = [found[task].explored if task in found else not_begun(task, interrupted) for task in tasks]
    judgements = [
        judge(promise, design, [found[task] for task in tasks if task.design == design and task in found])
        for promise in PROMISES
        for design in designs
    ]
    return schema.Exploration(
        **asdict(run_anywhere(when, seconds)),
        verdict=verdict_of(judgements, explored, interrupted, kept),
        designs=tuple([designed(design) for design in designs]),
        promises=tuple([promised(promise) for promise in PROMISES]),
        explored=tuple(explored),
        judgements=tuple(judgements),
        kept=kept,
    )


def not_begun(task: Task, interrupted: bool) -> schema.Explored:
    """A scope that nobody came to."""
    scope = task.in_full()
    return schema.Explored(
        design=task.design.name,
        scope=task.scope,
        phases=scope.phases,
        symmetry=scope.symmetry,
        states=0,
        transitions=0,
        depth=0,
        seconds=0.0,
        complete=False,
        why="interrupted" if interrupted else "the time was up",
    )


def judge(promise: Promise, design: Design, found: Iterable[Found]) -> schema.Judgement:
    """How a design stands to a promise, with the shortest of the counterexamples."""
    broken = [one.broken[promise.name] for one in found if promise.name in one.broken]
    claimed = promise.claimed_by(design)
    verdict = VERDICTS[claimed, bool(broken)]
    shortest = min(broken, key=lambda one: len(one.steps), default=None)
    return schema.Judgement(promise=promise.name, design=design.name, verdict=verdict, counterexample=shortest)


def verdict_of(
    judgements: Iterable[schema.Judgement],
    explored: Iterable[schema.Explored],
    interrupted: bool,
    kept: schema.Kept | None,
) -> schema.Conclusion:
    """That of the run."""
    if any(one.verdict is Verdict.BROKEN for one in judgements):
        return schema.Conclusion.BROKEN
    if interrupted:
        return schema.Conclusion.INTERRUPTED
    complete = all(one.complete for one in explored) and (kept is None or kept.complete)
    return schema.Conclusion.HOLDS if complete else schema.Conclusion.PARTIAL
