"""What a campaign found, of all its properties together; nothing where there was no campaign."""

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping

from harness.schema.campaign import Campaign, Injections, Interleavings, Property, Restore, Verdict
from reports.at_once import Histories
from reports.survival import End


def properties_of(campaign: Campaign | None) -> tuple[Property, ...]:
    """All of them."""
    return campaign.properties if campaign else ()


def restores_of(campaign: Campaign | None) -> list[Restore]:
    """Of all properties."""
    return [restore for one in properties_of(campaign) for restore in one.restores]


def ends_of(campaign: Campaign | None) -> list[End]:
    """What became of the backups of which it is known what they went through."""
    restored = [End(one.survival_case, one.said) for one in restores_of(campaign) if one.survival_case is not None]
    refused = [refusal for one in properties_of(campaign) for refusal in one.refusals]
    return restored + [End(one, one.reason, one.refused, one.sqlstate) for one in refused]


def injections_of(campaign: Campaign | None) -> list[Injections]:
    """Of all properties."""
    return [injections for one in properties_of(campaign) for injections in one.faults]


def interleavings_of(campaign: Campaign | None) -> list[Interleavings]:
    """Of all properties."""
    return [interleavings for one in properties_of(campaign) for interleavings in one.interleavings]


def histories_of(campaign: Campaign | None) -> list[Histories]:
    """Those that were linearized, by property."""
    return [Histories(one.name, one.linearized) for one in properties_of(campaign) if one.linearized]


def bad(campaign: Campaign | None) -> list[Property]:
    """What does not hold."""
    return [one for one in properties_of(campaign) if one.bad]


def anchor(test: str) -> str:
    """The name of the place on the page where the failure of a test is shown."""
    return f"failure-{zlib.crc32(test.encode()):08x}"


def skipped(campaign: Campaign | None) -> list[Property]:
    """What was not checked."""
    return [one for one in properties_of(campaign) if one.verdict is Verdict.SKIPPED]


def told(campaign: Campaign) -> str:
    """How many there are of each verdict: ``119 hold, 2 skipped``."""
    return counts_told(Counter(one.verdict for one in campaign.properties)) or "no property ran"


def counts_told(numbers: Mapping[Verdict, int]) -> str:
    """The same of what was counted; empty if nothing was."""
    words = {Verdict.HOLDS: ("holds", "hold"), Verdict.FAILS: ("fails", "fail")}
    found = [(verdict, numbers[verdict]) for verdict in Verdict if numbers.get(verdict)]
    return ", ".join(f"{n:,} {words.get(verdict, (verdict, verdict))[n != 1]}" for verdict, n in found)


def groups(campaign: Campaign | None) -> Iterator[tuple[str, list[list[Property]]]]:
    """The properties by what they are about; those that are cases of one sentence together."""
    found: dict[str, dict[str, list[Property]]] = {}
    for one in properties_of(campaign):
        found.setdefault(one.group, {}).setdefault(one.sentence, []).append(one)
    for group, sentences in found.items():
        yield group, list(sentences.values())
