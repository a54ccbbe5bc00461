"""What a campaign shows: progress while it runs, and the verdicts at its end."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.running.terminal import Progress, live
from harness.schema.campaign import Restore, Verdict
from properties.recording.at_once import faults_in_words, histories_in_words, interleavings_in_words
from properties.recording.counterexample_files import files_of
from properties.recording.tally import Tally, counted
from properties.recording.verdict import Property, Recorder, class_name, count, coverage, failure_file, told, totals

STYLES = {
    Verdict.HOLDS: "green",
    Verdict.FAILS: "bold red",
    Verdict.SKIPPED: "yellow",
    Verdict.CRASHED: "bold magenta",
    Verdict.NOT_CHECKED: "bold magenta",
    Verdict.INTERRUPTED: "yellow",
    Verdict.NOT_RUN: "yellow",
}
BY_WEIGHT = (
    Verdict.SKIPPED,
    Verdict.HOLDS,
    Verdict.NOT_RUN,
    Verdict.INTERRUPTED,
    Verdict.NOT_CHECKED,
    Verdict.CRASHED,
    Verdict.FAILS,
)
"""What the cases of a property amount to: the last of these that one of them has."""
BAD_NEWS = (Verdict.FAILS, Verdict.CRASHED, Verdict.NOT_CHECKED)
LONGEST_FINDING = 120  # lines shown of a failure; the rest is in its file
MOST_CLASSES = 30  # names of missing classes that are shown


@contextmanager
def showing_progress(console: Console, recorder: Recorder) -> Iterator[None]:
    """Shows progress: on a terminal what is being done right now, elsewhere a line for each property that has ended."""
    if not console.is_terminal:
        recorder.finished = lambda one: console.print(finished_line(one), soft_wrap=True)
        yield
        return
    recorder.finished = lambda one: announce(console, one)
    with live(console, Dashboard(recorder)):
        yield


def announce(console: Console, one: Property) -> None:
    """On a terminal only bad news is told before the end."""
    if one.verdict in BAD_NEWS:
        console.print(finished_line(one))


def finished_line(one: Property) -> Text:
    """A property that has ended, in one line."""
    said = [one.reason] if one.reason else numbers(one.tally)
    return Text.assemble(
        (f"{one.verdict:<8} ", STYLES[one.verdict]),
        f"{one.group}: {one.name}",
        (f" ({', '.join([*said, f'{one.seconds:.1f} s'])})", "dim"),
    )


def numbers(tally: Tally | None) -> list[str]:
    """What a tally says, in words."""
    if tally is None or not tally.examples:
        return []
    rate = [f"{tally.steps / tally.stepping:,.0f} steps/s"] if tally.steps and tally.stepping else []
    return [", ".join([count(tally.examples, "example"), count(tally.steps, "step"), *rate])]


@dataclass
class Dashboard:
    """How far the campaign is, and a line for each thing it is doing. Rich asks for them a few times a second."""

    recorder: Recorder
    line: Progress = field(default_factory=Progress)

    def __rich__(self) -> RenderableType:
        running = list(self.recorder.running.values())
        ready = Text("  getting ready", style="dim", no_wrap=True)
        return Group(self.progress(), *(map(self.doing, running) if running else [ready]))

    def progress(self) -> Table:
        """How far the campaign is."""
        properties = self.recorder.properties
        ended = sum(one.verdict is not Verdict.INTERRUPTED for one in properties)
        of = len(properties)
        return self.line.line(ended, of, count(of, "property"), seen_so_far(properties))

    def doing(self, one: Property) -> Text:
        """What it is doing."""
        line = Text(f"  {one.group}: {one.name}", no_wrap=True, overflow="ellipsis")
        for said in numbers(one.tally):
            line = Text.assemble(f"  {said}  ", (f"{one.group}: {one.name}", "dim"), no_wrap=True, overflow="ellipsis")
        if one.tally is not None and one.tally.failures:
            line = Text.assemble(("  found a failure, making it smaller ", STYLES[Verdict.FAILS]), line)
        return line


def seen_so_far(properties: Sequence[Property]) -> str:
    """How many transition classes were seen, and of how many, once the tour says so."""
    covered = coverage(properties)
    if covered.reachable:
        return f"{covered.seen:,} of {count(covered.reachable, 'transition class')}"
    seen = {found for one in properties if one.tally for found in one.tally.classes.copy()}
    return count(len(seen), "transition class") if seen else ""


# At the end


def show_end(console: Console, recorder: Recorder, facts: dict[str, str], again: Sequence[str], folder: Path) -> None:
    """The table, what was skipped and why, each failure, and the verdict last."""
    if recorder.properties:
        console.print(table(recorder.properties))
    show_skipped(console, recorder.properties)
    for one in recorder.properties:
        if one.verdict in BAD_NEWS:
            show_failure(console, one, again, folder)
    if recorder.internal_error:
        console.print(f"\n{recorder.internal_error}")
    console.print(summary(recorder, facts))


def table(properties: Sequence[Property]) -> Table:
    """A row for each property, by group; the cases of a property share one."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    result.add_column("property", ratio=1, overflow="fold")
    for heading in ("examples", "steps", "steps/s"):
        result.add_column(heading, justify="right", no_wrap=True)
    result.add_column("verdict", no_wrap=True)
    result.add_column("seconds", justify="right", no_wrap=True)
    for group, members in groupby(properties, key=lambda one: one.group):
        result.add_row(Text(group, style="bold"))
        for sentence, same in groupby(members, key=lambda one: one.sentence):
            cases = list(same)
            name = sentence if len(cases) == 1 else f"{sentence} ({count(len(cases), 'case')})"
            result.add_row(Padding(Text(name), (0, 0, 0, 2)), *figures(cases))
    return result


def figures(cases: Sequence[Property]) -> Iterator[Text]:
    """The other columns of the table: of one property, or of one sentence's cases together."""
    tally = totals(cases)
    verdict = max((one.verdict for one in cases), key=BY_WEIGHT.index)
    seconds = sum(one.seconds for one in cases)
    yield Text(f"{tally.examples:,}" if tally.examples else "")
    yield Text(f"{tally.steps:,}" if tally.steps else "")
    yield Text(f"{tally.steps / tally.stepping:,.0f}" if tally.steps and tally.stepping else "")
    yield Text(verdict, style=STYLES[verdict])
    yield Text(f"{seconds:.1f}" if seconds else "")


def show_skipped(console: Console, properties: Sequence[Property]) -> None:
    """Why properties were skipped: each reason once."""
    reasons = Counter(one.reason for one in properties if one.verdict is Verdict.SKIPPED)
    if reasons:
        console.print(Text("\nSkipped, because", style=STYLES[Verdict.SKIPPED]))
    for reason, number in reasons.items():
        console.print(Text(f"  {reason} ({count(number, 'property')})"))


def show_failure(console: Console, one: Property, again: Sequence[str], folder: Path) -> None:
    """The essential part of a failure, and where the rest is. Lines are not wrapped: some are there to be pasted."""
    console.print()
    console.rule(Text(f"{one.verdict}: {one.name}", style=STYLES[one.verdict]), align="left")
    lines = one.finding.splitlines()
    console.print(Text("\n".join(lines[:LONGEST_FINDING])), soft_wrap=True)
    if len(lines) > LONGEST_FINDING:
        console.print(f"... and {count(len(lines) - LONGEST_FINDING, 'more line')}")
    file = Path("failures", failure_file(one))
    test = one.test.rpartition("::")[2].partition("[")[0]
    console.print(Text(f"\nAll of it:     {folder / file}", style="dim"), soft_wrap=True)
    for files in files_of(one):
        again_by_itself = shlex.join(["nox", "-s", "replay", "--", str(folder / files.json)])
        console.print(Text(f"By itself:     {again_by_itself}", style="dim"), soft_wrap=True)
    for decorator in one.same_again:
        console.print(Text(f"The same:      {decorator}", style="dim"), soft_wrap=True)
    selected = [*again, *([f"--part={one.part}"] if one.part else []), *(["-k", test] if test else [])]
    console.print(Text(f"To run again:  {shlex.join(selected)}", style="dim"), soft_wrap=True)


def summary(recorder: Recorder, facts: dict[str, str]) -> Table:
    """The last lines: coverage, speed, what was tested, and the verdict."""
    result = Table.grid(padding=(0, 2))
    result.add_row()
    result.add_row("Coverage", coverage_in_words(recorder.properties))
    everything = totals(recorder.properties)
    result.add_row("Speed", "; ".join(numbers(everything)) or "nothing was counted")
    result.add_row("Restores", restores_in_words(everything.restores))
    for words in faults_in_words(everything.faults):
        result.add_row("Faults", words)
    for words in interleavings_in_words(everything.interleavings):
        result.add_row("Interleavings", words)
    for words in histories_in_words(everything.linearized):
        result.add_row("Histories", words)
    for name, value in facts.items():
        result.add_row(name, Text(value, overflow="fold"))
    verdict, reason = recorder.verdict()
    counts = told(one.verdict for one in recorder.properties)
    why = dict.fromkeys(filter(None, [reason, counts]))
    result.add_row("Verdict", Text.assemble((verdict.upper(), STYLES[verdict]), ": ", "; ".join(why)))
    return result


def coverage_in_words(properties: Sequence[Property]) -> Text:
    """The coverage, and the names of what is missing."""
    covered = coverage(properties)
    if covered.percent is None:
        return Text("not measured: no tour was taken")
    text = Text(f"{percent(covered.percent)} of {count(covered.reachable, 'transition class')}")
    for found in covered.missing[:MOST_CLASSES]:
        text.append(f"\nmissing: {class_name(found)}", style=STYLES[Verdict.FAILS])
    if len(covered.missing) > MOST_CLASSES:
        text.append(f"\nand {len(covered.missing) - MOST_CLASSES:,} more: see results.json")
    return text


def restores_in_words(restores: Sequence[Restore]) -> Text:
    """What came of the restores, and how long they took."""
    found = counted(restores)
    if found.median is None:
        return Text("none was made")
    text = Text(f"{found.restored:,} restored whole, {found.refused:,} refused as expected, ")
    if found.against:
        text.append(f"{found.against:,} against the model", style=STYLES[Verdict.FAILS]).append(", ")
    return text.append(f"{count(found.torn_pages, 'torn page')} survived, median {found.median:.1f} s")


def percent(value: float) -> str:
    """A percentage that says 100 only when it is."""
    return "100 %" if value == 100 else f"{min(value, 99.9):.1f} %"
