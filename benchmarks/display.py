"""What a run of the benchmarks shows: progress while it runs, and a table at its end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.gate import quoted as parameter
from benchmarks.recorder import Recorder
from harness.running.terminal import Progress, live
from harness.schema.benchmarks import Benchmark, Spread, Verdict

STYLES = {Verdict.MET: "green", Verdict.MISSED: "bold red", Verdict.NONE: "dim"}
BASES = ("floor",)
"""Candidates whose ratios are in the results only, not in the table."""


@contextmanager
def showing_progress(console: Console, recorder: Recorder) -> Iterator[None]:
    """Shows progress: on a terminal what is being measured now, elsewhere a line for each benchmark that has ended."""
    recorder.finished = lambda measurements, running: console.print(
        finished_line(measurements, running), soft_wrap=True
    )
    if not console.is_terminal:
        yield
        return
    with live(console, Dashboard(recorder)):
        yield


@dataclass
class Dashboard:
    """One line: how far the run is, and what it is doing. Rich asks for it a few times a second."""

    recorder: Recorder
    line: Progress = field(default_factory=Progress)

    def __rich__(self) -> RenderableType:
        run = self.recorder
        return self.line.line(
            run.ended,
            run.selected,
            str(run.selected),
            Text(run.running or "getting ready", no_wrap=True, overflow="ellipsis"),
            Text(run.doing, style="dim", no_wrap=True),
        )


def finished_line(measurements: Sequence[Benchmark], running: str) -> Text:
    """A benchmark that has ended, in one line."""
    if not measurements:
        return Text.assemble(("crashed ", STYLES[Verdict.MISSED]), running)
    if measurements[0].skipped:
        return Text.assemble(("skipped ", "yellow"), running, (f" ({measurements[0].skipped})", "dim"))
    return Text.assemble(("done    ", "green"), running, (f" ({'; '.join(findings(measurements))})", "dim"))


def findings(measurements: Sequence[Benchmark]) -> Iterator[str]:
    """The most telling numbers, in words."""
    for one in measurements:
        for ratio in one.ratios[:1]:
            yield f"{one.name} {number(ratio.median)} × {ratio.against}"
        if not one.ratios:
            yield from (f"{number(value)} {name}" for name, value in one.values.items())
            yield from (f"{number(some.median)} {one.unit}" for some in one.candidates.values())


# At the end


def table(measurements: Sequence[Benchmark]) -> Table:
    """A row for each ratio and each value: benchmark, parameters, what was measured, target, verdict."""
    result = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in ("benchmark", "parameters"):
        result.add_column(heading, no_wrap=True)
    result.add_column("measured", overflow="fold", ratio=1)
    for heading in ("median", "5th to 95th", "pairs", "target"):
        result.add_column(heading, justify="right", no_wrap=True)
    result.add_column("verdict", no_wrap=True)
    for one in measurements:
        about = (one.name, given(one))
        for row in rows(one):
            result.add_row(*about, *row)
            about = ("", "")
    return result


def rows(one: Benchmark) -> Iterator[tuple[str | Text, ...]]:
    """The other columns: of each ratio, then of each value, then of samples that nothing is compared with."""
    for ratio in one.ratios:
        if ratio.against in BASES:
            continue
        target = ratio.target
        yield (
            f"{ratio.candidate} / {ratio.against}",
            *told(ratio),
            str(target) if target else "",
            verdict(ratio.verdict),
        )
    limits = {limit.value: limit for limit in one.limits}
    for name, value in one.values.items():
        limit = limits.get(name)
        said = (str(limit.target), verdict(limit.verdict)) if limit else ("", "")
        yield (name, number(value), "", "", *said)
    if not one.ratios:
        for name, found in one.candidates.items():
            yield (f"{name}, {one.unit}", *told(found), "", "")


def told(found: Spread) -> tuple[str, str, str]:
    """The median of samples, their spread, and how many there are."""
    return number(found.median), f"{number(found.p5)} to {number(found.p95)}", str(len(found.samples))


def given(one: Benchmark) -> str:
    """The parameters."""
    return ", ".join(f"{name} {parameter(value)}" for name, value in one.parameters.items())


def number(value: float) -> str:
    """A number in as many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(which: Verdict) -> Text:
    """A verdict in its colour; nothing where there is no target."""
    return Text("" if which is Verdict.NONE else which, style=STYLES[which])


def show_skipped(console: Console, measurements: Sequence[Benchmark]) -> None:
    """Why benchmarks were skipped: each reason once."""
    reasons: dict[str, list[str]] = {}
    for one in measurements:
        if one.skipped:
            reasons.setdefault(one.skipped, []).append(one.name)
    for reason, names in reasons.items():
        console.print(Text.assemble(("Skipped: ", "yellow"), ", ".join(dict.fromkeys(names)), f" ({reason})"))


def show_crashed(console: Console, crashed: dict[str, str]) -> None:
    """What broke down, with all that pytest says."""
    for name, said in crashed.items():
        console.print()
        console.rule(Text(f"crashed: {name}", style=STYLES[Verdict.MISSED]), align="left")
        console.print(Text(said), soft_wrap=True)
