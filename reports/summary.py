"""The summary: Markdown to paste into a mail or a pull request. It names what does not hold; the rest it counts."""

from collections.abc import Iterable, Iterator, Sequence

from harness.schema.benchmarks import Benchmarks, Verdict
from harness.schema.campaign import Campaign
from harness.schema.simulation import Simulation
from reports import words
from reports.at_once import all_faults, all_histories, all_orders, faults, orders
from reports.bench import benchmarks_of, limits_of, ratios_of, verdicts_of
from reports.bench import skipped as not_measured
from reports.campaign import bad, ends_of, histories_of, injections_of, interleavings_of, restores_of, skipped, told
from reports.folder import Results
from reports.page import runs_of
from reports.restores import OUTCOMES, Scenario, scenarios, together
from reports.simulation import LINES, base, partial
from reports.summary_of_mutants import of_mutants
from reports.survival import Row, kinds, parts, reasons
from reports.words import (
    a_count,
    commit,
    digits,
    duration,
    excerpt,
    machine,
    moment,
    parameters,
    percent,
    ratio_name,
    ratio_words,
    restores,
    spread,
    titled,
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
            *of_mutants(results.mutants),
            *of_simulation(results.simulation),
            *of_skipped(results),
            *of_runs(results),
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
        f"**Campaign: {campaign.verdict}** ({told(campaign)}; {counts}{rate}; profile {campaign.profile}"
        + (f"; only `-k {campaign.selection}`" if campaign.selection else "")
        + ")."
    )
    if campaign.reason and campaign.reason != told(campaign):
        yield f"Why: {campaign.reason.rstrip('.')}."
    if found := bad(campaign):
        rows = [(one.verdict, f"{one.group}: {one.name}", one.reason) for one in found]
        yield table(["verdict", "property", "why"], rows)
    covered = campaign.coverage
    if covered.percent is not None:
        yield f"**Coverage**: {percent(covered.percent)} of {covered.reachable:,} transition classes."
    if covered.missing:
        named = [f"- `{' | '.join(one)}`" for one in covered.missing[:MOST_MISSING]]
        more = len(covered.missing) - len(named)
        yield "Not seen:\n\n" + "\n".join([*named, *([f"- and {more:,} more"] if more else [])])


def of_faults(campaign: Campaign | None) -> Iterator[str]:
    """How many faults of each kind were injected, and survived."""
    injections = injections_of(campaign)
    everything = all_faults(injections)
    if everything is None:
        return
    yield f"**Faults**: {words.faults(everything)}."
    found = faults(injections)
    rows = [[one.name, a_count(one.injected), a_count(one.survived), one.where, one.told] for one in found]
    yield table(["fault", "injected", "survived", "during", "callers were told"], rows, numbers=(1, 2))
    if lost := [f"- {one.name}: {', '.join(one.lost)}" for one in found if one.lost]:
        yield "Not survived at:\n\n" + "\n".join(lost)


def of_interleavings(campaign: Campaign | None) -> Iterator[str]:
    """How many orders of which operations were replayed."""
    interleavings = interleavings_of(campaign)
    everything = all_orders(interleavings)
    if everything is None:
        return
    yield f"**Interleavings**: {words.orders(everything)}."
    rows = [[one.name, a_count(one.replayed)] for one in orders(interleavings)]
    yield table(["at once", "replayed"], rows, numbers=(1,))


def of_histories(campaign: Campaign | None) -> Iterator[str]:
    """How many histories were linearized."""
    everything = all_histories([one for some in histories_of(campaign) for one in some.found])
    if everything:
        yield f"**Histories**: {words.histories(everything)}."


def of_restores(campaign: Campaign | None) -> Iterator[str]:
    """How many came out as the model says, by scenario, and what was said of those that were refused."""
    everything = together(restores_of(campaign))
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
    ends = ends_of(campaign)
    for part in parts(ends):
        columns = kinds(part.rows)
        said = [[row.name, *cells(row, columns), quoted(row)] for row in part.rows]
        yield f"**{part.title}**\n\n" + table(["", *columns, "the servers said"], said)
    if every := reasons(ends):
        yield f"**Refused by stop**: {words.refused(every)}."
        why = [[one.design, one.sqlstate, one.reason, a_count(one.refused)] for one in every]
        yield table(["design", "SQLSTATE", "reason", "stops"], why, numbers=(3,))


def cells(row: Row, columns: Sequence[str]) -> list[str]:
    """What became of the backups of a row, by the kind of restart."""
    return [words.fates(row.cell(kind)) for kind in columns]


def quoted(row: Row) -> str:
    """What the servers said of them."""
    return " / ".join(f"`{excerpt(said)}`" for _, said in row.said)


# Of benchmarks


def of_bench(bench: Benchmarks | None) -> Iterator[str]:
    """How the targets stand, and all ratios."""
    if bench is None:
        return
    state = "" if bench.verdict == "complete" else f", {bench.verdict}"
    met, missed = (verdicts_of(bench).count(verdict) for verdict in (Verdict.MET, Verdict.MISSED))
    yield f"**Benchmarks** ({bench.mode} set{state}): {met} targets met, {missed} missed."
    if bench.crashed:
        yield "\n".join(f"- crashed: {name}" for name in bench.crashed)
    if rows := [*ratio_rows(bench), *limit_rows(bench), *value_rows(bench)]:
        headings = ["benchmark", "parameters", "measured", "median (5th to 95th)", "target", "verdict"]
        yield table(headings, rows, numbers=(3, 4))
        yield "Ratios are taken pair by pair, of candidates that took turns in one run."


def ratio_rows(bench: Benchmarks) -> Iterator[Sequence[str]]:
    """Every ratio but those to the floor."""
    for one, ratio in ratios_of(bench):
        if ratio.against != "floor":
            target, verdict = (str(ratio.target), ratio.verdict) if ratio.target else ("", "")
            yield one.title, parameters(one), ratio_name(ratio), ratio_words(ratio), target, strong(verdict)


def limit_rows(bench: Benchmarks) -> Iterator[Sequence[str]]:
    """Every value that has a target."""
    for one, limit in limits_of(bench):
        measured = [limit.value, digits(limit.measured), str(limit.target), strong(limit.verdict)]
        yield [one.title, parameters(one), *measured]


def value_rows(bench: Benchmarks) -> Iterator[Sequence[str]]:
    """What is reported and compared with nothing."""
    for one in benchmarks_of(bench):
        limited = {limit.value for limit in one.limits}
        for name, number in one.values.items():
            if name not in limited:
                yield one.title, parameters(one), name, digits(number), "", ""
        if not one.ratios:
            for name, found in one.candidates.items():
                yield one.title, parameters(one), name, spread(found, one.unit), "", ""


def strong(verdict: str) -> str:
    """What is missed stands out."""
    return f"**{verdict}**" if verdict == "missed" else verdict


# Of a fleet


def of_simulation(run: Simulation | None) -> Iterator[str]:
    """The bill of each design."""
    point = base(run) if run else None
    if run is None or point is None:
        return
    told = "".join(f", {name} = {value}" for name, value in point.changed.items())
    state = f" ({run.verdict}: partial)" if partial(run) else ""
    yield (
        f"**A fleet, simulated**{state}: {point.bills[0].servers:,} servers for {run.parameters.get('days', 0):g} days"
        f"{told}, seed {run.seed}; made by `{run.command}`."
    )
    rows = [
        [f"{heading}: {line.name}", *(line.words(one) for one in point.bills)]
        for heading, lines in LINES.items()
        for line in lines
    ]
    yield table(["", *(one.way for one in point.bills)], rows, numbers=range(1, len(point.bills) + 1))


# Of both


def of_skipped(results: Results) -> Iterator[str]:
    """What was not checked, with the reason."""
    lines = [f"- {one.group}: {one.name}: {one.reason}" for one in skipped(results.campaign)]
    lines += [f"- {titled(one)}: {one.skipped}" for one in not_measured(results.bench)]
    if lines:
        yield "**Skipped**:\n\n" + "\n".join(lines)


def of_runs(results: Results) -> Iterator[str]:
    """Where all this was found."""
    for kind, run in runs_of(results):
        yield (
            f"{kind}: {run.implementation.name} on PostgreSQL {run.postgresql.version}, {commit(run)}, "
            f"{moment(run.when)}, {duration(run.seconds)}; {machine(run)}."
        )
    if one := results.simulation:
        yield f"Simulation: {commit(one)}, {moment(one.when)}, {duration(one.seconds)}; {machine(one)}."
