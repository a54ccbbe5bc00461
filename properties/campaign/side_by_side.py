"""Campaigns on several PostgreSQL side by side: what goes into ``versions.json`` (``harness.schema.versions``)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import asdict

from harness.machine.postgres import Postgres
from harness.running.results import run_anywhere
from harness.schema.campaign import Campaign, Property, Verdict
from harness.schema.run import Server
from harness.schema.versions import Compared, Standing, Version, Versions, standing_of
from properties.recording.verdict import count

IN_BOTH = set(Version.__struct_fields__) & set(Campaign.__struct_fields__)
WORST_FIRST = (Verdict.FAILS, Verdict.CRASHED, Verdict.NOT_CHECKED, Verdict.INTERRUPTED, Verdict.NOT_RUN, Verdict.HOLDS)
TOLD = {
    Verdict.HOLDS: "holds",
    Verdict.FAILS: "fails",
    Verdict.CRASHED: "crashed",
    Verdict.NOT_CHECKED: "was not checked",
    Verdict.INTERRUPTED: "was interrupted",
    Verdict.NOT_RUN: "was not run",
}


class Ended(NamedTuple):
    """A campaign that has ended."""

    folder: str
    """The name of its results folder."""
    campaign: Campaign


def side_by_side(when: datetime, named: Sequence[Postgres], ended: Sequence[Ended], interrupted: bool) -> Versions:
    """All of them together; ``ended``: in the order of ``named``, of the last of which there may be none."""
    names = names_of(named)
    found = dict(zip(names, ended, strict=False))
    versions = [version_of(name, postgres, found.get(name)) for name, postgres in zip(names, named, strict=True)]
    properties = compared({name: one.campaign for name, one in found.items()})
    verdict, reason = conclusion(versions, properties, interrupted)
    first = ended[0].campaign
    return Versions(
        **asdict(run_anywhere(when, (datetime.now(UTC) - when).total_seconds())),
        implementation=first.implementation.name,
        profile=first.profile,
        selection=first.selection,
        verdict=verdict,
        reason=reason,
        campaigns=tuple(versions),
        properties=properties,
    )


def names_of(named: Sequence[Postgres]) -> list[str]:
    """Their numbers, such as ``15.20``; several builds of one version are told apart."""
    numbers = [one.version_string.split()[0] for one in named]
    return [
        number if numbers.count(number) == 1 else f"{number} ({numbers[:place].count(number) + 1})"
        for place, number in enumerate(numbers)
    ]


def version_of(name: str, postgres: Postgres, ended: Ended | None) -> Version:
    """What is told of a campaign beside the others; None: there was none."""
    if ended is None:
        return Version(name=name, postgresql=Server(postgres.version_string, postgres.bundled))
    return Version(
        name=name,
        folder=ended.folder,
        counts=dict(Counter(one.verdict for one in ended.campaign.properties)),
        **{field: getattr(ended.campaign, field) for field in IN_BOTH},
    )


def compared(campaigns: Mapping[str, Campaign]) -> tuple[Compared, ...]:
    """Every property that one of the campaigns has, which are named after their versions."""
    found: dict[str, dict[str, Property]] = {}
    for name, campaign in campaigns.items():
        for one in campaign.properties:
            found.setdefault(one.test, {})[name] = one
    return tuple(beside(some, campaigns) for some in found.values())


def beside(some: Mapping[str, Property], campaigns: Mapping[str, Campaign]) -> Compared:
    """One property on all versions. Where a campaign has none at all, it was not run, for that campaign's reason."""
    one = next(iter(some.values()))
    empty = {name: campaign.reason for name, campaign in campaigns.items() if not campaign.properties}
    verdicts = {**dict.fromkeys(empty, Verdict.NOT_RUN), **{name: each.verdict for name, each in some.items()}}
    return Compared(
        name=one.name,
        sentence=one.sentence,
        group=one.group,
        test=one.test,
        standing=standing_of({verdicts.get(name) for name in campaigns}),
        verdicts=verdicts,
        reasons={**empty, **{name: each.reason for name, each in some.items() if each.reason}},
    )


def conclusion(versions: Sequence[Version], properties: Sequence[Compared], interrupted: bool) -> tuple[Verdict, str]:
    """The verdict on all of them, and the reason unless it holds."""
    on: dict[Verdict, list[str]] = {}
    for one in versions:
        on.setdefault(one.verdict, []).append(one.name)
    worst = Verdict.INTERRUPTED if interrupted else next(verdict for verdict in WORST_FIRST if verdict in on)
    if worst is Verdict.HOLDS:
        return worst, ""
    differing = sum(one.standing is Standing.DIFFERS for one in properties)
    some = "hold on one PostgreSQL and not" if differing != 1 else "holds on one PostgreSQL and not"
    said = [f"{count(differing, 'property')} {some} on another"] if differing else []
    said += [f"it {TOLD[verdict]} on {', '.join(on[verdict])}" for verdict in WORST_FIRST if verdict in on]
    return worst, "; ".join(["the campaign was interrupted"] * interrupted + said)
