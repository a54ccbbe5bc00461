"""What a campaign leaves in its results folder, for people, for CI, and for the reports.

``results.json`` (``harness.schema.campaign``); beside it ``junit.xml``, a file in ``failures/`` for each property that
failed or crashed (and its counterexample in other forms: ``properties.recording.counterexample_files``), and in
``histories/`` an example of each property that keeps one (``harness.schema.history``): the smallest that failed, or
else the most varied. Where histories were to be linearized, ``*.timeline.json`` is a part of one
(``harness.schema.timeline``), and ``*.calls.jsonl`` is for ``python -m properties.concurrency.linearize``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
from hypothesis import settings
from msgspec.structs import asdict

from harness.clients.history import History
from harness.running.results import write_json, writing
from harness.schema import campaign as schema
from harness.schema.campaign import Campaign, Verdict
from harness.schema.run import Run
from harness.schema.timeline import Timeline
from harness.schema.totals import InterleavingTotals, RefusalTotals
from properties.recording import at_once, survival
from properties.recording.counterexample_files import files_of, told, write_files
from properties.recording.tally import Tally, counted
from properties.recording.verdict import Property, Recorder, coverage, failure_file, totals


def write_results(folder: Path, results: Campaign, properties: Iterable[Property]) -> None:
    """Writes all but junit.xml, which is pytest's, and leads ``latest`` here; raises SetupError."""
    with writing(folder):
        for one in properties:
            if one.report:
                (folder / "failures").mkdir(exist_ok=True)
                (folder / "failures" / failure_file(one)).write_text(failure_text(one, results), errors="replace")
                write_files(folder, one)
            if history := shown_history(one):
                (folder / "histories").mkdir(exist_ok=True)
                (folder / history_file(one)).write_bytes(history.to_json())
            for number, saved in enumerate(one.tally.saved if one.tally else [], start=1):
                (folder / "histories").mkdir(exist_ok=True)
                (folder / saved_file(one, number)).write_text(saved, encoding="utf-8")
            if timeline := shown_timeline(one):
                (folder / "histories").mkdir(exist_ok=True)
                (folder / timeline_file(one)).write_bytes(msgspec.json.encode(timeline) + b"\n")
        forget_host(folder / "junit.xml")
        write_json(folder / "results.json", results)


def shown_history(one: Property) -> History | None:
    """The example to show of a property: of one that does not hold, only an example that failed."""
    tally = one.tally
    return tally.history if tally and (tally.history_failed or one.verdict is Verdict.HOLDS) else None


def history_file(one: Property) -> str:
    """Where it is, relative to the folder."""
    return f"histories/{Path(failure_file(one)).stem}.jsonl"


def saved_file(one: Property, number: int) -> str:
    """Where one of those is that failed, or were not decided, as ``properties.concurrency.linearize`` reads them."""
    return f"histories/{Path(failure_file(one)).stem}.{number}.calls.jsonl"


def shown_timeline(one: Property) -> Timeline | None:
    """The part of a concurrent history to show of a property: of one that does not hold, only if it failed there."""
    timeline = one.tally.timeline if one.tally else None
    return timeline if timeline and (timeline.failed or one.verdict is Verdict.HOLDS) else None


def timeline_file(one: Property) -> str:
    """Where it is, relative to the folder."""
    return f"histories/{Path(failure_file(one)).stem}.timeline.json"


def forget_host(junit: Path) -> None:
    """Takes the machine's name out of pytest's report, which people may publish."""
    if not junit.is_file():  # pytest broke down before it wrote it
        return
    tree = ElementTree.parse(junit)
    for suite in tree.iter("testsuite"):
        suite.attrib.pop("hostname", None)
    tree.write(junit, encoding="utf-8", xml_declaration=True)


def failure_text(one: Property, results: Campaign) -> str:
    """Everything about a failure, for its file."""
    return (
        f"{one.verdict}: {one.name}\n"
        f"{one.test}\n"
        f"{results.implementation.name} on PostgreSQL {results.postgresql.version}, "
        f"profile {results.profile}, {results.when}\n"
        f"\n{one.finding}\n"
        + "".join(f"\nTo try the same again: {decorator}\n" for decorator in one.same_again)
        + told(one)
        + f"\n===== All that pytest says =====\n\n{one.report}"
    )


def results_of(recorder: Recorder, profile: str, circumstances: Run) -> Campaign:
    """What goes into results.json."""
    verdict, reason = recorder.verdict()
    everything = totals(recorder.properties)
    chosen = settings.get_profile(profile)
    return Campaign(
        **asdict(circumstances),
        verdict=verdict,
        reason=reason,
        profile=profile,
        hypothesis=schema.Hypothesis(chosen.max_examples, chosen.stateful_step_count, chosen.derandomize),
        properties=tuple(map(recorded, recorder.properties)),
        coverage=coverage(recorder.properties),
        restores=counted(everything.restores),
        refusals=RefusalTotals(everything.refusals.total()),
        faults=at_once.counted_faults(everything.faults),
        interleavings=InterleavingTotals(everything.interleavings.total()),
        linearized=at_once.counted_histories(everything.linearized),
        **counts(everything),
    )


def counts(tally: Tally | None) -> dict[str, Any]:
    """A tally's numbers."""
    if tally is None:
        return {}
    rate = round(tally.steps / tally.stepping, 1) if tally.steps and tally.stepping else None
    return {
        "examples": tally.examples,
        "steps": tally.steps,
        "stepping": round(tally.stepping, 3),
        "steps_per_second": rate,
    }


def recorded(one: Property) -> schema.Property:
    """A property as it is kept."""
    tally = one.tally or Tally()
    return schema.Property(
        name=one.name,
        sentence=one.sentence,
        case=one.case,
        group=one.group,
        test=one.test,
        description=one.description,
        verdict=one.verdict,
        reason=one.reason,
        seconds=round(one.seconds, 3),
        **counts(one.tally),
        notes=tuple(tally.notes),
        restores=tuple(tally.restores),
        refusals=tuple(survival.recorded(tally.refusals)),
        faults=tuple(at_once.recorded(tally.faults)),
        interleavings=tuple(
            schema.Interleavings(**order._asdict(), replayed=number)
            for order, number in sorted(tally.interleavings.items())
        ),
        linearized=tuple(tally.linearized),
        classes=schema.Classes(tuple(sorted(tally.classes)), len(tally.reachable), tuple(sorted(tally.missing()))),
        failure=f"failures/{failure_file(one)}" if one.report else None,
        counterexamples=tuple(files.json for files in files_of(one)),
        same_again=tuple(one.same_again),
        part=one.part,
        history=history_file(one) if shown_history(one) else None,
        timeline=timeline_file(one) if shown_timeline(one) else None,
    )
