"""Two rounds: every mutant is tried on what is likely to kill it, and then the survivors, together, on the rest."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

from msgspec.structs import replace

from harness.schema.mutants import Kill, Outcome
from harness.schema.mutants import Mutant as Record
from properties.mutants.attempt import Plan
from properties.mutants.catalogue import Mutant
from properties.mutants.together import groups, try_together
from properties.mutants.trials import Trial, Trials

Tell = Callable[[Mutant, Trial], None]
Job = Callable[[], Iterator[tuple[Mutant, Trial]]]

SO_FAR = "what is likely to kill it does not"
NOTHING = "no property was found to try it with"


def try_all(
    trials: Trials,
    plans: Mapping[Mutant, tuple[Plan, Plan]],
    workers: int,
    tell: Callable[[Record], None],
    one_round: bool = False,
) -> tuple[list[Record], bool]:
    """Tries mutants, so many at once, and tells of each what has become of it, unless it was not run.

    ``one_round``: all together from the beginning. Returns that, in their order, and whether it was interrupted.
    """
    if one_round:
        everything = {mutant: plan for mutant, (_first, plan) in plans.items()}
        at_once = second_round(trials, everything, {}, workers, lambda mutant, one: tell(one.record))
        return [at_once[mutant].record for mutant in plans], trials.stop.is_set()
    first = {mutant: plan for mutant, (plan, _everything) in plans.items()}
    tried = in_a_round(trials, first, workers, lambda mutant, one: tell(so_far(one.record)))
    rest = {mutant: plans[mutant][1] for mutant in plans if tried[mutant].record.outcome is Outcome.SURVIVED}
    held = {mutant: tried[mutant].held for mutant in rest}
    again = second_round(trials, rest, held, workers, lambda mutant, one: tell(together(tried[mutant], one)))
    records = [together(one, again[mutant]) if mutant in again else one.record for mutant, one in tried.items()]
    return records, trials.stop.is_set()


def second_round(
    trials: Trials, plans: Mapping[Mutant, Plan], held: Mapping[Mutant, Sequence[str]], workers: int, tell: Tell
) -> dict[Mutant, Trial]:
    """Tries mutants together that are tried on the same properties, but for those that ``held`` with each."""
    kinds: dict[tuple[tuple[str, ...], bool], list[Mutant]] = {}
    for mutant, plan in plans.items():
        kinds.setdefault((plan.only, plan.on_a_server), []).append(mutant)
    jobs = [
        (group, replace(plans[group[0]], held=held_by_all(held.get(mutant, ()) for mutant in group)))
        for kind in kinds.values()
        for group in groups(trials, kind, workers)
    ]
    return carried_out(trials, [partial(try_together, trials, *job) for job in jobs], workers, tell)


def held_by_all(held: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The properties that hold with each of them."""
    return tuple(sorted(set.intersection(*map(set, held))))


def try_once(
    trials: Trials, mutants: Sequence[Mutant], plan: Plan, workers: int, tell: Callable[[Record], None]
) -> tuple[list[Record], bool]:
    """The same in one round, with the same plan for all."""
    tried = in_a_round(trials, dict.fromkeys(mutants, plan), workers, lambda mutant, one: tell(one.record))
    return [one.record for one in tried.values()], trials.stop.is_set()


def so_far(one: Record) -> Record:
    """What is told of a mutant after the first round."""
    return replace(one, reason=f"{SO_FAR}; the rest comes later") if one.outcome is Outcome.SURVIVED else one


def in_a_round(trials: Trials, plans: Mapping[Mutant, Plan], workers: int, tell: Tell) -> dict[Mutant, Trial]:
    """Tries mutants one by one, so many at once, and tells of each that was run."""

    def alone(mutant: Mutant, plan: Plan) -> Iterator[tuple[Mutant, Trial]]:
        yield mutant, trials.record(mutant, plan)

    return carried_out(trials, [partial(alone, *job) for job in plans.items()], workers, tell)


def carried_out(trials: Trials, jobs: Iterable[Job], workers: int, tell: Tell) -> dict[Mutant, Trial]:
    """Does all that, so much at once, and tells of each mutant that was run; returns what became of them."""

    def do(job: Job) -> dict[Mutant, Trial]:
        result = {}
        for mutant, one in job():
            result[mutant] = one
            if one.record.outcome is not Outcome.NOT_RUN:
                tell(mutant, one)
        return result

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(do, job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
        except KeyboardInterrupt:
            trials.stop.set()
        except BaseException:
            trials.stop.set()
            raise
    return {mutant: one for future in futures for mutant, one in future.result().items()}


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
