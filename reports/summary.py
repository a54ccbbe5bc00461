"""The summary: Markdown to paste into a mail or a pull request. It names what does not hold; the rest it counts."""

from collections.abc import Iterable, Iterator, Sequence

from reports import words
from reports.at_once import all_faults, all_histories, all_orders, faults, orders
from reports.bench import Bench
from reports.campaign import Campaign
from reports.compare import Changes, SpreadChange, WordChange
from reports.folder import Results
from reports.page import runs_of
from reports.restores import OUTCOMES, Scenario, scenarios, together
from reports.survival import Row, kinds, parts, reasons
from reports.words import (
    a_count,
    digits,
    duration,
    excerpt,
    moment,
    percent,
    quantity,
    ratio_name,
    ratio_words,
    restores,
    spread,
    value,
)

MOST_MISSING = 20
"""So many transition classes are named."""


def summary(results: Results) -> str:
    """The summary of a results folder."""
    return joined(
        [
            "## Shared-backup bench",
            *of_campaign(results.campaign),
            *of_faults(results.campaign),
            *of_interleavings(results.campaign),
            *of_histories(results.campaign),
            *of_restores(results.campaign),
            *of_survival(results.campaign),
            *of_bench(results.bench),
            *of_skipped(results),
            *of_runs(results),
        ]
    )


def comparison_summary(before: Results, after: Results, changes: Changes) -> str:
    """The summary of a comparison: only what changed."""
    beyond = [one for one in changes.ratios if one.changed]
    return joined(
        [
            "## Shared-backup bench: two runs",
            f"Before: {before.name}; after: {after.name}.",
            *changes.missing,
            *changed("Verdicts on properties", changes.verdicts, "property"),
            *changed("Coverage", changes.coverage, "coverage"),
            *changed("Restores", changes.restores, "scenario"),
            f"**Ratios**: {len(beyond)} of {len(changes.ratios)} changed beyond their spread.",
            *spreads(beyond),
            *changed("Verdicts on targets", changes.targets, "target"),
            *medians(changes),
            *changed("Values (they have no spread)", changes.values, "value"),
            *changed("What else differs", changes.surroundings, ""),
        ]
    )


def joined(parts: Iterable[str]) -> str:
    """Paragraphs."""
    return "\n\n".join(parts) + "\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A Markdown table; the columns in ``numbers`` are aligned to the right."""
    right = set(numbers)
    line = ["---:" if column in right else "---" for column in range(len(headings))]
    return "\n".join("| " + " | ".join(map(escaped, row)) + " |" for row in [headings, line, *rows])


def escaped(said: str) -> str:
    """Words that stay in their cell."""
    return " ".join(said.split()).replace("|", "\\|")


# Of a campaign


def of_campaign(campaign: Campaign | None) -> Iterator[str]:
    """The verdict, and what does not hold."""
    if campaign is None:
        return
    counts = f"{a_count(campaign.examples) or 0} examples, {a_count(campaign.steps) or 0} steps"
    rate = f", {digits(campaign.steps_per_second)} steps/s" if campaign.steps_per_second else ""
    yield (
        f"**Campaign: {campaign.verdict}** ({campaign.told}; {counts}{rate}; profile {campaign.profile}"
        + (f"; only `-k {campaign.selection}`" if campaign.selection else "")
        + ")."
    )
    if campaign.reason and campaign.reason != campaign.told:
        yield f"Why: {campaign.reason.rstrip('.')}."
    if campaign.bad:
        rows = [(one.verdict, f"{one.group}: {one.name}", one.reason) for one in campaign.bad]
        yield table(["verdict", "property", "why"], rows)
    if campaign.percent is not None:
        yield f"**Coverage**: {percent(campaign.percent)} of {campaign.reachable:,} transition classes."
    if campaign.missing:
        named = [f"- `{' | '.join(found)}`" for found in campaign.missing[:MOST_MISSING]]
        more = len(campaign.missing) - len(named)
        yield "Not seen:\n\n" + "\n".join([*named, *([f"- and {more:,} more"] if more else [])])


def of_faults(campaign: Campaign | None) -> Iterator[str]:
    """How many faults of each kind were injected, and survived."""
    everything = all_faults(campaign.faults) if campaign else None
    if campaign is None or everything is None:
        return
    yield f"**Faults**: {words.faults(everything)}."
    found = faults(campaign.faults)
    rows = [[one.name, a_count(one.injected), a_count(one.survived), one.where, one.told] for one in found]
    yield table(["fault", "injected", "survived", "during", "callers were told"], rows, numbers=(1, 2))
    if lost := [f"- {one.name}: {', '.join(one.lost)}" for one in found if one.lost]:
        yield "Not survived at:\n\n" + "\n".join(lost)


def of_interleavings(campaign: Campaign | None) -> Iterator[str]:
    """How many orders of which operations were replayed."""
    everything = all_orders(campaign.interleavings) if campaign else None
    if campaign is None or everything is None:
        return
    yield f"**Interleavings**: {words.orders(everything)}."
    rows = [[one.name, a_count(one.replayed)] for one in orders(campaign.interleavings)]
    yield table(["at once", "replayed"], rows, numbers=(1,))


def of_histories(campaign: Campaign | None) -> Iterator[str]:
    """How many histories were linearized."""
    everything = all_histories([one for some in campaign.linearized for one in some.found]) if campaign else None
    if everything:
        yield f"**Histories**: {words.histories(everything)}."


def of_restores(campaign: Campaign | None) -> Iterator[str]:
    """How many came out as the model says, by scenario, and what was said of those that were refused."""
    everything = together(campaign.restores) if campaign else None
    if everything is None:
        return
    yield f"**Restores**: {restores(everything)}."
    found = scenarios(everything.restores)
    headings = ["scenario", *OUTCOMES, "torn pages survived", "median, s", "longest, s"]
    yield table(headings, map(restore_row, found), numbers=range(1, len(headings)))
    if quotes := [f"- {one.name}: `{excerpt(said)}`" for one in found for said in one.said]:
        yield "Refused, or not whole, because:\n\n" + "\n".join(quotes)


def restore_row(one: Scenario) -> list[str]:
    """A scenario: how often it came out how, and the seconds."""
    counts = [*map(one.of, OUTCOMES), one.torn_pages]
    return [one.name, *(a_count(number or None) for number in counts), f"{one.median:.2f}", f"{one.longest:.2f}"]


def of_survival(campaign: Campaign | None) -> Iterator[str]:
    """Which backups survive a restart, and why stops were refused."""
    ends = campaign.ends if campaign else []
    for part in parts(ends):
        columns = kinds(part.rows)
        said = [[row.name, *cells(row, columns), quoted(row)] for row in part.rows]
        yield f"**{part.title}**\n\n" + table(["", *columns, "the servers said"], said)
    if every := reasons(ends):
        yield f"**Refused by stop**: {words.refused(every)}."
        told = [[one.design, one.sqlstate, one.reason, a_count(one.refused)] for one in every]
        yield table(["design", "SQLSTATE", "reason", "stops"], told, numbers=(3,))


def cells(row: Row, columns: Sequence[str]) -> list[str]:
    """What became of the backups of a row, by the kind of restart."""
    return [words.fates(row.cell(kind)) for kind in columns]


def quoted(row: Row) -> str:
    """What the servers said of them."""
    return " / ".join(f"`{excerpt(said)}`" for _, said in row.said)


# Of benchmarks


def of_bench(bench: Bench | None) -> Iterator[str]:
    """How the targets stand, and all ratios."""
    if bench is None:
        return
    state = "" if bench.verdict == "complete" else f", {bench.verdict}"
    met, missed = bench.verdicts.count("met"), bench.verdicts.count("missed")
    yield f"**Benchmarks** ({bench.mode} set{state}): {met} targets met, {missed} missed."
    if bench.crashed:
        yield "\n".join(f"- crashed: {name}" for name in bench.crashed)
    if rows := [*ratio_rows(bench), *limit_rows(bench), *value_rows(bench)]:
        headings = ["benchmark", "parameters", "measured", "median (5th to 95th)", "target", "verdict"]
        yield table(headings, rows, numbers=(3, 4))
        yield "Ratios are taken pair by pair, of candidates that took turns in one run."


def ratio_rows(bench: Bench) -> Iterator[Sequence[str]]:
    """Every ratio but those to the floor."""
    for one, ratio in bench.ratios:
        if ratio.against != "floor":
            target, verdict = (str(ratio.target), ratio.verdict) if ratio.target else ("", "")
            yield one.title, one.parameter_words, ratio_name(ratio), ratio_words(ratio.spread), target, strong(verdict)


def limit_rows(bench: Bench) -> Iterator[Sequence[str]]:
    """Every value that has a target."""
    for one, limit in bench.limits:
        measured = [limit.value, digits(limit.measured), str(limit.target), strong(limit.verdict)]
        yield [one.title, one.parameter_words, *measured]


def value_rows(bench: Bench) -> Iterator[Sequence[str]]:
    """What is reported and compared with nothing."""
    for one in bench.benchmarks:
        limited = {limit.value for limit in one.limits}
        for name, number in one.values.items():
            if name not in limited:
                yield one.title, one.parameter_words, name, value(number), "", ""
        if not one.ratios:
            for name, found in one.candidates.items():
                yield one.title, one.parameter_words, name, spread(found, one.unit), "", ""


def strong(verdict: str) -> str:
    """What is missed stands out."""
    return f"**{verdict}**" if verdict == "missed" else verdict


# Of both


def of_skipped(results: Results) -> Iterator[str]:
    """What was not checked, with the reason."""
    lines = [
        f"- {one.group}: {one.name}: {one.reason}" for one in (results.campaign.skipped if results.campaign else ())
    ]
    lines += [f"- {one.words}: {one.skipped}" for one in (results.bench.skipped if results.bench else ())]
    if lines:
        yield "**Skipped**:\n\n" + "\n".join(lines)


def of_runs(results: Results) -> Iterator[str]:
    """Where all this was found."""
    for kind, run in runs_of(results):
        yield (
            f"{kind}: {run.implementation} on PostgreSQL {run.postgresql}, {run.commit_words}, {moment(run.when)}, "
            f"{duration(run.seconds)}; {run.machine_words}."
        )


# Of a comparison


def changed(title: str, changes: Sequence[WordChange], heading: str) -> Iterator[str]:
    """What has no spread and differs."""
    if changes:
        yield f"**{title}**: {len(changes):,} changed."
        yield table([heading, "before", "after"], [(one.name, one.before, one.after) for one in changes])


def spreads(changes: Sequence[SpreadChange]) -> Iterator[str]:
    """Ratios that changed."""
    if changes:
        rows = [(one.name, ratio_words(one.before), ratio_words(one.after), one.direction) for one in changes]
        yield table(["ratio", "before", "after", ""], rows, numbers=(1, 2))


def medians(changes: Changes) -> Iterator[str]:
    """Absolute figures that changed; the reader is warned of them."""
    beyond = [one for one in changes.medians if one.changed]
    if changes.medians:
        yield (
            f"**Medians**: {len(beyond)} of {len(changes.medians)} changed beyond their spread (absolute figures of "
            "two runs: trust the ratios)."
        )
    if beyond:
        rows = [
            (one.name, quantity(one.before.median, one.unit), quantity(one.after.median, one.unit), one.direction)
            for one in beyond
        ]
        yield table(["median", "before", "after", ""], rows, numbers=(1, 2))
