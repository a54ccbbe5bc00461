"""Two rounds: every mutant is tried on what is likely to kill it, and then the survivors on the rest."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from msgspec.structs import replace

from harness.schema.mutants import Kill, Outcome
from harness.schema.mutants import Mutant as Record
from properties.mutants.attempt import Plan
from properties.mutants.catalogue import Mutant
from properties.mutants.trials import Trial, Trials

SO_FAR = "what is likely to kill it does not"
NOTHING = "no property was found to try it with"


def try_all(
    trials: Trials, plans: Mapping[Mutant, tuple[Plan, Plan]], workers: int, tell: Callable[[Record], None]
) -> tuple[list[Record], bool]:
    """Tries mutants, so many at once, and tells of each when it is known what has become of it.

    Returns that, in their order, and whether it was interrupted.
    """
    first = {mutant: plan for mutant, (plan, _everything) in plans.items()}
    tried = in_a_round(trials, first, workers, lambda one: None if one.outcome is Outcome.SURVIVED else tell(one))
    left = {
        mutant: replace(everything, held=tried[mutant].held)
        for mutant, (_plan, everything) in plans.items()
        if tried[mutant].record.outcome is Outcome.SURVIVED
    }
    again = in_a_round(trials, left, workers, tell)
    records = [together(one.record, again.get(mutant), len(one.held)) for mutant, one in tried.items()]
    return records, trials.stop.is_set()


def try_once(
    trials: Trials, mutants: Sequence[Mutant], plan: Plan, workers: int, tell: Callable[[Record], None]
) -> tuple[list[Record], bool]:
    """The same in one round, with the same plan for all."""
    tried = in_a_round(trials, dict.fromkeys(mutants, plan), workers, tell)
    return [one.record for one in tried.values()], trials.stop.is_set()


def in_a_round(
    trials: Trials, plans: Mapping[Mutant, Plan], workers: int, tell: Callable[[Record], None]
) -> dict[Mutant, Trial]:
    """Tries mutants, so many at once."""
    with ThreadPoolExecutor(workers) as pool:
        futures = {mutant: pool.submit(trials.record, mutant, plan) for mutant, plan in plans.items()}
        try:
            for future in as_completed(futures.values()):
                tell(future.result().record)
        except KeyboardInterrupt:
            trials.stop.set()
        except BaseException:
            trials.stop.set()
            raise
    return {mutant: future.result() for mutant, future in futures.items()}


def together(first: Record, second: Trial | None, held: int) -> Record:
    """What became of a mutant in both rounds, in the first of which so many properties held."""
    if second is None:
        return first
    last = second.record
    if last.outcome is Outcome.SURVIVED and not held and not second.held:
        return replace(last, outcome=Outcome.BROKEN, reason=NOTHING)
    return replace(
        last,
        reason=f"{SO_FAR}, and then {last.reason}" if last.outcome is Outcome.NOT_RUN else last.reason,
        kill=later(last.kill, first.seconds, held) if last.kill else None,
        seconds=round(first.seconds + last.seconds, 3),
    )


def later(kill: Kill, seconds: float, held: int) -> Kill:
    """A kill after other properties were tried, for so long."""
    return replace(kill, seconds=round(kill.seconds + seconds, 3), before=kill.before + held)
