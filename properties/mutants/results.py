"""What a run of the mutants leaves in its folder: ``mutants.json``, and in ``kills/`` what each property said."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from msgspec.structs import asdict, replace

from harness.running.results import write_json, writing
from harness.schema.mutants import Mutant as Record
from harness.schema.mutants import Mutants, Outcome, Suite, Verdict
from harness.schema.run import Run
from properties.mutants.catalogue import Mutant
from properties.mutants.trials import record_of

RESULTS_FILE = "mutants.json"
TRIED = (Outcome.KILLED, Outcome.SURVIVED, Outcome.HUNG)


def equivalent(mutant: Mutant, reason: str) -> Record:
    """A mutant that does the same as the original, for that reason."""
    return record_of(mutant, Outcome.EQUIVALENT, reason)


def disproved(one: Record, failed: dict[str, str]) -> Record:
    """The same, unless it was killed by one of these properties, which fail (with the reasons) without it, too."""
    if one.kill is None or one.kill.test not in failed:
        return one
    reason = f"without it, {one.kill.test} does not hold either: {failed[one.kill.test]}"
    return replace(one, outcome=Outcome.BROKEN, kill=None, reason=reason)


def results_of(
    records: Sequence[Record], interrupted: bool, suite: Suite, profile: str, chosen: str, about: Run
) -> Mutants:
    """What goes into mutants.json."""
    kills = [one.kill for one in records if one.kill]
    passed = all(one.outcome in (Outcome.KILLED, Outcome.EQUIVALENT) for one in records)
    return Mutants(
        **asdict(about),
        verdict=Verdict.INTERRUPTED if interrupted else Verdict.ALL_KILLED if passed else Verdict.NOT_ALL_KILLED,
        suite=suite,
        profile=profile,
        chosen=chosen,
        mutants=tuple(records),
        killed=len(kills),
        tried=sum(one.outcome in TRIED for one in records),
        median_steps=middle([one.steps for one in kills if one.steps is not None]),
        median_seconds=middle([one.seconds for one in kills]),
    )


def middle(values: Sequence[float]) -> float | None:
    """The median, if there is one."""
    return round(median(values), 3) if values else None


def write_results(folder: Path, results: Mutants) -> None:
    """Writes all of it, and leads ``latest`` here; raises SetupError."""
    with writing(folder):
        for one in results.mutants:
            if one.kill:
                file = folder / "kills" / f"{one.name}.txt"
                file.parent.mkdir(parents=True, exist_ok=True)
                said = f"{one.name}: {one.mistake}\n\n{one.kill.test}\n\n{one.kill.finding}\n"
                file.write_text(said, encoding="utf-8", errors="replace")
        write_json(folder / RESULTS_FILE, results)
