"""Survivors tried together: many mutants in one tree, and all properties once, where one by one it would be as often.

That is group testing (R. Dorfman, "The detection of defective members of large populations", 1943). What holds with
all of them in the tree kills none of them; when a property fails, halving finds a mutant that it kills alone. A kill is
always of one mutant alone. Two mutants may hide one another, so that a survivor may be one only in company: a run errs
towards "survived", which fails it.
"""

from collections.abc import Iterator, Sequence
from itertools import count

from msgspec.structs import replace

from harness.schema.mutants import Kill, Outcome
from harness.schema.mutants import Mutant as Record
from properties.mutants.attempt import Plan
from properties.mutants.catalogue import Mutant
from properties.mutants.tree import StaleError, apply
from properties.mutants.trials import Trial, Trials, record_of

COMPANY = "in company"
"""The area of mutants that are made up of several."""
_numbers = count(1)


def groups(trials: Trials, mutants: Sequence[Mutant], workers: int) -> list[list[Mutant]]:
    """The mutants in as few groups as can share a tree, but in as many as there are workers."""
    result: list[list[Mutant]] = [[] for _ in range(min(workers, len(mutants)))]
    for mutant in mutants:
        fitting = (group for group in sorted(result, key=len) if fit(trials, [*group, mutant]))
        group = next(fitting, None)
        if group is None:
            result.append([mutant])
        else:
            group.append(mutant)
    return [group for group in result if group]


def fit(trials: Trials, mutants: Sequence[Mutant]) -> bool:
    """Do all of them apply to one tree?"""
    try:
        apply(merged(mutants).diff, trials.original, only_check=True)
    except StaleError:
        return len(mutants) == 1  # to be tried, and told so
    return True


def merged(mutants: Sequence[Mutant]) -> Mutant:
    """All of them in one."""
    if len(mutants) == 1:
        return mutants[0]
    return Mutant(
        COMPANY, str(next(_numbers)), "Several developers made mistakes.", "", "".join(m.diff for m in mutants)
    )


def try_together(trials: Trials, group: Sequence[Mutant], plan: Plan) -> Iterator[tuple[Mutant, Trial]]:
    """Tries all of them on what the plan has; yields what became of each, with the properties that held in company."""
    left, seconds = list(group), 0.0
    while left:
        trial = trials.record(merged(left), plan)
        seconds += trial.record.seconds
        if len(left) == 1:
            yield left[0], trial
            return
        if trial.record.outcome in (Outcome.SURVIVED, Outcome.NOT_RUN):
            yield from ((one, as_all(one, trial, plan, seconds)) for one in left)
            return
        found = culprit(trials, left, plan, trial.record.kill) if trial.record.kill else None
        if found is None:  # it takes several of them to fail, to break down or to hang
            half = len(left) // 2
            yield from try_together(trials, left[:half], plan)
            yield from try_together(trials, left[half:], plan)
            return
        one, alone = found
        yield one, Trial(in_company(alone, trial, seconds), ())
        left.remove(one)
        plan = replace(plan, held=(*plan.held, *trial.held))


def as_all(one: Mutant, trial: Trial, plan: Plan, seconds: float) -> Trial:
    """What became of one of them, as of all, in so many seconds."""
    record = record_of(one, trial.record.outcome, trial.record.reason, seconds=seconds)
    return Trial(record, (*plan.held, *trial.held))


def culprit(trials: Trials, group: Sequence[Mutant], plan: Plan, kill: Kill) -> tuple[Mutant, Trial] | None:
    """One of them that this property kills alone, by halving; None: there is none on that way."""
    just_that = replace(plan, only=(kill.test,), order=(kill.test,), held=())
    suspects = list(group)
    while len(suspects) > 1:
        half = len(suspects) // 2
        first = trials.record(merged(suspects[:half]), just_that)
        suspects = suspects[:half] if first.record.kill else suspects[half:]
    alone = trials.record(suspects[0], just_that)
    return (suspects[0], alone) if alone.record.kill else None


def in_company(alone: Trial, trial: Trial, seconds: float) -> Record:
    """A kill, with the seconds for which it was tried in company until then, and what held there."""
    record = alone.record
    assert record.kill is not None
    before = record.kill.before + len(trial.held)
    kill = replace(record.kill, seconds=round(record.kill.seconds + seconds, 3), before=before)
    return replace(record, kill=kill, seconds=round(record.seconds + seconds, 3))
