"""What an exploration shows: sizes, verdicts, counterexamples."""

from collections import Counter
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.schema.exploration import Conclusion, Counterexample, Exploration, Judgement, Step, Verdict
from harness.schema.replays import Replays
from harness.schema.replays import Verdict as Replayed

LEGEND = """
holds      claimed, and kept in every situation
no         not claimed, and broken
unclaimed  not claimed, and not broken in these scopes
BROKEN     claimed, and broken
(so far)   not every situation was reached"""
CONCLUSIONS = {
    Conclusion.HOLDS: "Each design keeps every promise that it claims.",
    Conclusion.PARTIAL: "No design breaks a promise that it claims, so far: not everything was explored.",
    Conclusion.INTERRUPTED: "No design breaks a promise that it claims, so far: this was interrupted.",
}
STYLES = {Verdict.HOLDS: "green", Verdict.BROKEN: "red bold", Verdict.NO: "yellow", Verdict.UNCLAIMED: "dim"}


def show(console: Console, results: Exploration) -> None:
    """All of it."""
    console.print(sizes(console, results))
    console.print(verdicts(console, results))
    console.print(LEGEND, style="dim")
    sentences = {promise.name: promise.sentence for promise in results.promises}
    for judgement in results.judgements:
        if judgement.counterexample is not None:
            show_counterexample(console, judgement, judgement.counterexample, sentences[judgement.promise])
    console.print()
    for judgement in results.judgements:
        if judgement.verdict is Verdict.BROKEN:
            console.print(f"{judgement.design} claims {judgement.promise}, and breaks it.", style="red bold")
    if results.verdict in CONCLUSIONS:
        console.print(CONCLUSIONS[results.verdict], style="bold")


def sizes(console: Console, results: Exploration) -> Table:
    """How much was explored, and how fast."""
    table = table_for(console, "design", "scope")
    for column in ("states", "transitions", "depth", "seconds", "transitions/s"):
        table.add_column(column, justify="right")
    table.add_column("")
    for one in results.explored:
        rate = one.transitions / one.seconds if one.seconds else 0.0
        counts = (f"{one.states:,}", f"{one.transitions:,}", str(one.depth), f"{one.seconds:.1f}", f"{rate:,.0f}")
        table.add_row(one.design, one.scope, *counts, "" if one.complete else f"partial: {one.why}")
    return table


def verdicts(console: Console, results: Exploration) -> Table:
    """Which design keeps which promise."""
    designs = [design.name for design in results.designs]
    partial = {one.design for one in results.explored if not one.complete}
    cells = {(one.promise, one.design): one.verdict for one in results.judgements}
    table = table_for(console, "promise", *designs)
    for promise in results.promises:
        row = [cell(cells[promise.name, design], design in partial) for design in designs]
        table.add_row(promise.name, *row)
    return table


def cell(verdict: Verdict, partial: bool) -> Text:
    """A verdict; that nothing is broken is said with care if not everything was seen."""
    word = "BROKEN" if verdict is Verdict.BROKEN else verdict.value
    kept = verdict in (Verdict.HOLDS, Verdict.UNCLAIMED)
    return Text(f"{word} (so far)" if partial and kept else word, style=STYLES[verdict])


def table_for(console: Console, *columns: str) -> Table:
    """An empty table: with lines on a terminal, plain otherwise."""
    return Table(*columns, box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)


def show_counterexample(console: Console, judgement: Judgement, found: Counterexample, sentence: str) -> None:
    """A shortest history that breaks the promise."""
    claim = "claimed, and broken" if judgement.verdict is Verdict.BROKEN else "not claimed"
    console.print(
        Text.assemble(
            "\n", (judgement.design, "bold"), " breaks ", (judgement.promise, "bold"), f" ({claim}): {sentence}"
        ),
        soft_wrap=True,
    )
    show_history(console, found)


def show_history(console: Console, found: Counterexample) -> None:
    """Its steps, one a line."""
    for number, session in enumerate(found.before.sessions):
        if session.role is not None:
            console.print(f"     session {number} is connected as {session.role}", style="dim")
    for step in found.steps:
        console.print(f"  {step.number:2}. {in_words(step)}", soft_wrap=True)


LEFT_OUT = ("fast", "wait_for_archive")
"""Arguments that no rule looks at."""


def in_words(step: Step) -> str:
    """A step for a person: ``session 0: Start label=a [reserve] ...``."""
    who = "" if step.session is None else f"session {step.session}: "
    phase = f" [{step.phase}]" if step.phase else ""
    return f"{who}{' '.join([step.operation, *given(step)])}{phase}: {step.outcome}"


def given(step: Step) -> Iterator[str]:
    """The arguments of a step, as ``name=value``; those of a start that is rolled back among them."""
    start = step.arguments.get("start")
    own = {name: value for name, value in step.arguments.items() if not isinstance(value, dict)}
    for name, value in {**own, **(start if isinstance(start, dict) else {})}.items():
        if value is not None and name not in (*LEFT_OUT, "session"):
            yield f"{name}={value}"


def show_replays(console: Console, replays: Replays) -> None:
    """What a server said of what was explored."""
    table = table_for(console, "counterexample", f"on PostgreSQL {replays.postgresql}")
    for one in replays.counterexamples:
        why = f": {one.why}" if one.why else ""
        table.add_row(f"{one.design}, {one.promise}", f"{one.verdict}{why}")
    console.print(table)
    verdicts = Counter(one.verdict for one in replays.kept)
    told = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    console.print(f"Paths on which promises are kept: {told or 'none'}")
    for one in replays.kept:
        if one.verdict is not Replayed.AGREES:
            console.print(f"  {one.design}, {one.promise}: {one.verdict}: {one.why}", soft_wrap=True)
