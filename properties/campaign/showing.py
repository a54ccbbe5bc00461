"""What is shown at the end of campaigns on several PostgreSQL: where they differ, each of them, and the verdict."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.running.terminal import clock
from harness.schema.campaign import Verdict
from harness.schema.versions import Compared, Standing, Version, Versions
from properties.recording.progress import STYLES, percent
from properties.recording.verdict import count
from properties.recording.verdict import told as counts_told

TITLES = {
    Standing.DIFFERS: ("Holds on one, and not on another", STYLES[Verdict.FAILS]),
    Standing.UNCHECKED: ("Holds on one, and was not checked on another", STYLES[Verdict.INTERRUPTED]),
    Standing.NOWHERE: ("Holds on none", STYLES[Verdict.FAILS]),
    Standing.PARTLY: ("Skipped on one, or not there", STYLES[Verdict.SKIPPED]),
}
"""What is named, in this order; of the rest it is told how many they are."""
MOST_NAMED = 20


def show(console: Console, results: Versions, facts: dict[str, str]) -> None:
    """All of it."""
    console.print()
    console.rule(Text("Side by side", style="bold"), align="left")
    for standing, (title, style) in TITLES.items():
        if found := results.that(standing):
            console.print(Text(f"{title}: {count(len(found), 'property')}", style=style))
            for line in lines(found, results):
                console.print(line, soft_wrap=True)
    console.print(f"The same on all: {count(len(results.that(Standing.AGREES)), 'property')}\n")
    console.print(table(results.campaigns))
    console.print(summary(results, facts))


def lines(found: Sequence[Compared], results: Versions) -> Iterator[Text]:
    """The first of these properties, with what became of each; versions of which the same is told share a line."""
    for one in found[:MOST_NAMED]:
        yield Text(f"  {one.group}: {one.name}")
        told: dict[tuple[Verdict | None, str], list[str]] = {}
        for version in results.ran:
            what = one.verdicts.get(version.name), one.reasons.get(version.name, "")
            told.setdefault(what, []).append(version.name)
        for (verdict, reason), names in told.items():
            said = (str(verdict), STYLES[verdict]) if verdict else "there is no such property"
            yield Text.assemble(f"    {', '.join(names)}: ", said, f" ({reason})" if reason else "")
    if len(found) > MOST_NAMED:
        yield Text(f"  and {len(found) - MOST_NAMED:,} more: see versions.json")


def table(versions: Sequence[Version]) -> Table:
    """A row for each version."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in ("PostgreSQL", "verdict", "properties", "coverage", "minutes", "results"):
        result.add_column(heading, overflow="fold")
    for one in versions:
        counts = counts_told(verdict for verdict, number in one.counts.items() for _ in range(number))
        covered = one.coverage.percent if one.coverage else None
        result.add_row(
            one.name,
            Text(one.verdict, style=STYLES[one.verdict]),
            counts,
            "" if covered is None else percent(covered),
            clock(one.seconds) if one.folder else "",
            one.folder or "",
        )
    return result


def summary(results: Versions, facts: dict[str, str]) -> Table:
    """The last lines."""
    result = Table.grid(padding=(0, 2))
    result.add_row()
    for name, value in facts.items():
        result.add_row(name, Text(value, overflow="fold"))
    reason = results.reason or f"on {', '.join(one.name for one in results.campaigns)}"
    result.add_row("Verdict", Text.assemble((results.verdict.upper(), STYLES[results.verdict]), f": {reason}"))
    return result
