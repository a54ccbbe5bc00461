"""``nox -s verify -- --gcov``: the lines and branches of the extension that no property reaches, and why.

It ends as one more property, which holds if all are reached but those that have a reason, and no reason is left over.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from harness.building.counters import merged
from harness.clients.implementation import SHARED
from harness.running.results import Run, writing
from harness.schema.c_coverage import CCoverage, Share
from harness.schema.campaign import Verdict
from properties.recording.c_coverage import c_coverage
from properties.recording.unreached import Reason, judged, with_reasons
from properties.recording.verdict import Property, Recorder, count

FILE = "c_coverage.json"
SENTENCE = "every line and branch of the extension is reached, or it is known why not"
INSTRUMENTS = ("instruments.", "injection_points.")
"""Sources that are left out: they are the bench's own, and in no library that users have."""
WHOLE = ("gate", "nightly")
"""Profiles that are to reach everything."""


class Before(NamedTuple):
    """What is read before the campaign begins: its sources are those that are built, and a bad file is told at once."""

    sources: Mapping[str, bytes]
    reasons: list[Reason]


def close_gap(recorder: Recorder, chosen: argparse.Namespace, run: Run, traces: Sequence[bytes], before: Before) -> str:
    """Reads what was counted of the sources, writes the file and adds the property; returns the percentages in words.

    Raises SetupError if what was counted cannot be read.
    """
    why_not = not_judged(recorder, chosen, run)
    if not traces:
        add(recorder, Verdict.SKIPPED if why_not else Verdict.FAILS, why_not or "no server has counted anything")
        return "nothing was counted"
    sources = {name: text for name, text in before.sources.items() if not name.startswith(INSTRUMENTS)}
    found = c_coverage(merged(traces), sources)
    if why_not:
        found = replace(with_reasons(found, before.reasons), not_judged=why_not)
    else:
        found = judged(found, before.reasons, sources)
    write(run.folder, found)
    if why_not:
        add(recorder, Verdict.SKIPPED, why_not)
    elif found.findings:
        many = len(found.findings)
        add(recorder, Verdict.FAILS, f"{count(many, 'finding')}, the first: {found.findings[0]}", found.findings)
    else:
        add(recorder, Verdict.HOLDS)
    return f"{in_words(found.lines, 'line')}, {in_words(found.branches, 'branch')} of the extension are reached"


def not_judged(recorder: Recorder, chosen: argparse.Namespace, run: Run) -> str:
    """Why reasons are not compared with what was reached; empty: they are."""
    verdict, _ = recorder.verdict()
    if chosen.selection or chosen.profile not in WHOLE:
        return f"reasons are for all properties, in the profile {' or '.join(WHOLE)}"
    if run.implementation != SHARED or not run.postgres.bundled:
        return "reasons are for the extension on the PostgreSQL that is bundled"
    return "" if verdict is Verdict.HOLDS else "some properties were not run to their ends, or do not hold"


def add(recorder: Recorder, verdict: Verdict, reason: str = "", findings: Sequence[str] = ()) -> None:
    """The property, with its verdict."""
    text = "\n".join(findings) or reason
    bad = text if verdict is Verdict.FAILS else ""
    one = Property(SENTENCE, "C code", "", verdict=verdict, reason=reason, finding=bad, report=bad)
    recorder.properties.append(one)
    recorder.finished(one)


def write(folder: Path, found: CCoverage) -> None:
    """Writes the file; raises SetupError."""
    with writing(folder):
        (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def in_words(share: Share, what: str) -> str:
    """A share that says 100 only when it is."""
    percent = f"{min(share.percent, 99.9):.1f} %" if share.reached < share.all else "100 %"
    return f"{percent} of {count(share.all, what)}"
