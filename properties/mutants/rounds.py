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
    """Tries mutants, so many at once, and tells of each what has become of it, unless it was not run.

    Returns that, in their order, and whether it was interrupted.
    """
    first = {mutant: plan for mutant, (plan, _everything) in plans.items()}
    tried = in_a_round(trials, first, workers, lambda mutant, one: tell(so_far(one.record)))
    left = {
        mutant: replace(everything, held=tried[mutant].held)
        for mutant, (_plan, everything) in plans.items()
        if tried[mutant].record.outcome is Outcome.SURVIVED
    }
    again = in_a_round(trials, left, workers, lambda mutant, one: tell(together(tried[mutant], one)))
    records = [together(one, again[mutant]) if mutant in again else one.record for mutant, one in tried.items()]
    return records, trials.stop.is_set()


def try_once(
    trials: Trials, mutants: Sequence[Mutant], plan: Plan, workers: int, tell: Callable[[Record], None]
) -> tuple[list[Record], bool]:
    """The same in one round, with the same plan for all."""
    tried = in_a_round(trials, dict.fromkeys(mutants, plan), workers, lambda mutant, one: tell(one.record))
    return [one.record for one in tried.values()], trials.stop.is_set()


def so_far(one: Record) -> Record:
    """What is told of a mutant after the first round."""
    return replace(one, reason=f"{SO_FAR}; the rest comes later") if one.outcome is Outcome.SURVIVED else one


def in_a_round(
    trials: Trials, plans: Mapping[Mutant, Plan], workers: int, tell: Callable[[Mutant, Trial], None]
) -> dict[Mutant, Trial]:
    """Tries mutants, so many at once, and tells of each that was run."""
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(trials.record, mutant, plan): mutant for mutant, plan in plans.items()}
        try:
            for future in as_completed(futures):
                if future.result().record.outcome is not Outcome.NOT_RUN:
                    tell(futures[future], future.result())
        except KeyboardInterrupt:
            trials.stop.set()
        except BaseException:
            trials.stop.set()
            raise
    return {mutant: future.result() for future, mutant in futures.items()}


def together(first: Trial, second: Trial) -> Record:
    """What became of a mutant that survived the first round."""
    last = second.record
    if last.outcome is Outcome.SURVIVED and not first.held and not second.held:
        return replace(last, outcome=Outcome.BROKEN, reason=NOTHING)
    return replace(
        last,
        reason=f"{SO_FAR}, and then {last.reason}" if last.outcome is Outcome.NOT_RUN else last.reason,
        kill=later(last.kill, first) if last.kill else None,
        seconds=round(first.record.seconds + last.seconds, 3),
    )


def later(kill: Kill, first: Trial) -> Kill:
    """A kill after the first round."""
    return replace(kill, seconds=round(kill.seconds + first.record.seconds, 3), before=kill.before + len(first.held))
