"""Two results folders side by side: what changed beyond its spread.

A ratio or a median has changed if each of the two medians lies outside the other run's spread (from its 5th to its 95th
percentile). Ratios are taken within one run and can be compared between runs; absolute times say as much about the
machine's mood, so they are told apart.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from msgspec.structs import asdict

from harness.schema.benchmarks import Benchmark, Benchmarks, Ratio, Spread
from harness.schema.campaign import Campaign
from harness.schema.run import Run
from reports.bench import benchmarks_of, limits_of
from reports.bench import ratios_of as all_ratios
from reports.campaign import properties_of, restores_of
from reports.folder import Results
from reports.mutant_pairs import Pairs, pairs_of
from reports.restores import scenarios
from reports.words import commit, ratio_name, setting, short

T = TypeVar("T")


@dataclass(frozen=True)
class SpreadChange:
    """A ratio or a median in both runs."""

    name: str
    unit: str
    before: Spread
    after: Spread

    @property
    def changed(self) -> bool:
        """Beyond the spread of either run."""
        return outside(self.after.median, self.before) and outside(self.before.median, self.after)

    @property
    def direction(self) -> str:
        """``lower`` is better, for times, bytes and ratios of them."""
        return "higher" if self.after.median > self.before.median else "lower"

    @property
    def percent(self) -> float | None:
        """By how much the median changed; None if it was nothing."""
        return (self.after.median / self.before.median - 1) * 100 if self.before.median else None


@dataclass(frozen=True)
class WordChange:
    """Something that has no spread: a verdict, a setting, a value, a version."""

    name: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Is it any different?"""
        return self.before != self.after


@dataclass(frozen=True)
class Changes:
    """All of it."""

    verdicts: list[WordChange]
    """Of properties; only those that changed."""
    coverage: list[WordChange]
    restores: list[WordChange]
    """What became of the backups of each scenario; only what changed."""
    ratios: list[SpreadChange]
    targets: list[WordChange]
    """Verdicts on targets; only those that changed."""
    medians: list[SpreadChange]
    mutants: Pairs | None
    """None: they are not in both."""
    values: list[WordChange]
    """Only those that differ."""
    surroundings: list[WordChange]
    """Machine, versions, settings, commit; only those that differ."""
    missing: list[str]
    """What only one of the folders has."""

    @property
    def beyond(self) -> int:
        """How many ratios and medians changed beyond their spread."""
        return sum(one.changed for one in [*self.ratios, *self.medians])


def compared(before: Results, after: Results) -> Changes:
    """Everything that is in both, and what is not."""
    campaigns, benches = (before.campaign, after.campaign), (before.bench, after.bench)
    ratios = [by_name(ratios_of(bench)) for bench in benches]
    medians = [by_name([*medians_of(one), *seconds_of(other)]) for one, other in zip(benches, campaigns, strict=True)]
    return Changes(
        verdicts=changed_words([by_name(verdicts_of(one)) for one in campaigns], absent="not there"),
        coverage=changed_words([dict(coverage_of(one)) for one in campaigns]) if all(campaigns) else [],
        restores=changed_words([dict(outcomes_of(one)) for one in campaigns], absent="not there"),
        ratios=spread_changes(*ratios),
        targets=changed_words([by_name(targets_of(bench)) for bench in benches], both=True),
        medians=spread_changes(*medians),
        mutants=pairs_of((before.mutants, after.mutants), (before.name, after.name)),
        values=changed_words([by_name(values_of(bench)) for bench in benches], both=True),
        surroundings=list(
            dict.fromkeys(
                change
                for pair in (campaigns, benches, (before.mutants, after.mutants))
                for change in changed_words([surroundings(one) for one in pair])
            )
        ),
        missing=[*missing_parts(before, after), *only_in_one(*ratios)],
    )


def outside(value: float, spread: Spread) -> bool:
    """Beyond what nine in ten measurements showed."""
    return not spread.p5 <= value <= spread.p95


def by_name(found: Iterable[tuple[str, T]]) -> dict[str, T]:
    """What was found, by name; things of the same name are numbered."""
    result: dict[str, T] = {}
    for name, value in found:
        number, unique = 1, name
        while unique in result:
            number, unique = number + 1, f"{name} [{number + 1}]"
        result[unique] = value
    return result


def in_both(before: Mapping[str, T], after: Mapping[str, T]) -> Iterator[tuple[str, T, T]]:
    """What both have, in the order of the first."""
    return ((name, value, after[name]) for name, value in before.items() if name in after)


def spread_changes(
    before: Mapping[str, tuple[str, Spread]], after: Mapping[str, tuple[str, Spread]]
) -> list[SpreadChange]:
    """Ratios or medians that both have."""
    return [SpreadChange(name, unit, first, second) for name, (unit, first), (_, second) in in_both(before, after)]


def changed_words(found: Sequence[Mapping[str, str]], absent: str = "none", both: bool = False) -> list[WordChange]:
    """What differs before and after; ``both``: only of what both have. Nothing if either has nothing at all."""
    before, after = found
    if not before or not after:
        return []
    names = [name for name in dict.fromkeys([*before, *after]) if not both or (name in before and name in after)]
    changes = [WordChange(name, before.get(name, absent), after.get(name, absent)) for name in names]
    return [change for change in changes if change.changed]


# What is compared


def verdicts_of(campaign: Campaign | None) -> Iterator[tuple[str, str]]:
    """Of each property; with the group, for some sentences are in several."""
    for one in properties_of(campaign):
        yield f"{one.group}: {one.name}", one.verdict


def coverage_of(campaign: Campaign | None) -> Iterator[tuple[str, str]]:
    """In numbers, and what is missing."""
    if campaign is None:
        return
    yield "reachable transition classes", f"{campaign.coverage.reachable:,}"
    yield "transition classes missing", f"{len(campaign.coverage.missing):,}"
    for found in campaign.coverage.missing:
        yield " | ".join(found), "missing"


def outcomes_of(campaign: Campaign | None) -> Iterator[tuple[str, str]]:
    """Of each scenario, not how many: that is a matter of the profile."""
    for one in scenarios(restores_of(campaign)):
        yield one.name, ", ".join(one.outcomes)


def seconds_of(campaign: Campaign | None) -> Iterator[tuple[str, tuple[str, Spread]]]:
    """Of the restores of each scenario."""
    for one in scenarios(restores_of(campaign)):
        low, high = np.percentile(one.seconds, [5, 95])
        yield f"restore, {one.name}", ("s", Spread(median=one.median, p5=float(low), p95=float(high)))


def ratios_of(bench: Benchmarks | None) -> Iterator[tuple[str, tuple[str, Spread]]]:
    """Of each pair of candidates."""
    for one, ratio in all_ratios(bench):
        yield ratio_of(one, ratio), ("", ratio)


def ratio_of(one: Benchmark, ratio: Ratio) -> str:
    """A ratio's name."""
    return f"{short(one)}: {ratio_name(ratio)}"


def targets_of(bench: Benchmarks | None) -> Iterator[tuple[str, str]]:
    """The verdicts on everything that has a target."""
    for one, ratio in all_ratios(bench):
        if ratio.target:
            yield ratio_of(one, ratio), ratio.verdict
    for one, limit in limits_of(bench):
        yield f"{short(one)}: {limit.value}", limit.verdict


def medians_of(bench: Benchmarks | None) -> Iterator[tuple[str, tuple[str, Spread]]]:
    """Of each candidate."""
    for one in benchmarks_of(bench):
        for name, spread in one.candidates.items():
            yield f"{short(one)}: {name}", (one.unit, spread)


def values_of(bench: Benchmarks | None) -> Iterator[tuple[str, str]]:
    """Numbers without a spread."""
    for one in benchmarks_of(bench):
        for name, value in one.values.items():
            yield f"{short(one)}: {name}", f"{value:,.4g}"


def surroundings(run: Run | None) -> dict[str, str]:
    """Everything about a run that may explain a change."""
    if run is None:
        return {}
    result = {"commit": commit(run), "implementation": run.implementation.name, "PostgreSQL": run.postgresql.version}
    known = (("machine", asdict(run.machine)), ("version of", run.versions), ("setting", run.postgresql.settings))
    for kind, values in known:
        result |= {f"{kind} {name}": setting(value) for name, value in values.items()}
    return result


def missing_parts(before: Results, after: Results) -> Iterator[str]:
    """A campaign, benchmarks or mutants that only one folder has."""
    for what, first, second in (
        ("a campaign", before.campaign, after.campaign),
        ("benchmarks", before.bench, after.bench),
        ("mutants", before.mutants, after.mutants),
    ):
        if (first is None) != (second is None):
            yield f"Only {(before if second is None else after).name} has {what}."
    had, has = restores_of(before.campaign), restores_of(after.campaign)
    if before.campaign and after.campaign and bool(had) != bool(has):
        yield f"Only {(before if had else after).name} has restores."


def only_in_one(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """Ratios that only one run has, where both ran benchmarks."""
    if before and after:
        yield from (f"Only before: {name}." for name in before if name not in after)
        yield from (f"Only after: {name}." for name in after if name not in before)
