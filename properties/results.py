"""``results.json``: what a campaign leaves in its results folder, for people, for CI, and for the reports.

Beside it are ``junit.xml``, a file in ``failures/`` for each property that failed or crashed (with the ends of its
servers' logs), and in ``histories/`` an example of each property that keeps one, as JSON lines (``harness.history``):
the smallest that failed, or else the most varied. Where that was to be linearized, ``histories/*.calls.jsonl`` is for
``python -m properties.linearize``.

Beside the circumstances of the run (``harness.results``) it has:

``schema``          the version of this description: 1
``verdict``         holds, fails, crashed or interrupted
``reason``          why it does not hold, in one line; empty if it does
``profile``         dev, gate or nightly
``hypothesis``      the profile's settings: max_examples, stateful_step_count, derandomize
``properties``      a list, in the order in which they ran; of each:

    ``name``              a sentence, with its case if it was checked for several
    ``sentence``          without the case
    ``case``              may be empty
    ``group``             what it is about
    ``test``              pytest's node id
    ``description``       more about it; may be empty
    ``verdict``           holds, fails, skipped, crashed, interrupted, or not run (after a failure that stopped the run)
    ``reason``            why it does not hold, in one line; empty if it does
    ``seconds``           with set-up and clearing up
    ``examples``          how many were tried; null if it does not count
    ``steps``             operations carried out on a server and checked; null if it does not count
    ``stepping``          seconds spent in the steps and their checks
    ``steps_per_second``  steps / stepping
    ``notes``             remarks, a list
    ``restores``          backups that it tried to restore, a list: ``scenario``, ``restorable`` (what the model says),
                          ``said`` (why it was refused or is not whole; empty: it was restored whole), ``torn_pages``
                          (of the copy), ``seconds``, ``as_expected`` (do the model and the server agree?), ``passage``
                          (what the backup went through; null: that was not asked): ``design``, ``across`` (the kinds
                          of restarts between its start and its stop), ``but`` (what was wrong; empty: nothing)
    ``refusals``          stops that said no, a list: ``design``, ``across``, ``but`` (as above), ``sqlstate``,
                          ``reason`` (the detail of the error, or else its message), ``refused`` (how often)
    ``faults``            that it injected, a list: ``fault``, ``point`` (or any moment), ``injected``, ``survived``,
                          ``told`` (how often callers were told what, if it was survived: ok, or an SQLSTATE)
    ``interleavings``     that it replayed, a list: ``at_once`` (what), ``labels`` (about how many), ``limit``,
                          ``where`` (what else was special), ``replayed`` (in how many orders)
    ``linearized``        histories, a list: ``operations``, ``sessions``, ``unknown`` (operations of unknown
                          outcome), ``answer`` (explained, undecided or unexplained)
    ``classes``           seen: transition classes; reachable: how many it undertook to see; missing: those it did not
    ``same_again``        decorators with which Hypothesis tries again what failed, a list: above the function with
                          @given, or the class of a machine
    ``failure``           the file with everything about the failure, relative to the folder
    ``history``           the file with an example's history, relative to the folder; null: none was kept
    ``timeline``          the file with a part of a concurrent history (``properties.timeline``), relative to the
                          folder; null: none was kept

``coverage``        percent (null: no tour was taken), reachable, seen (how many of them), missing
``restores``        of all properties together: made, and of these restored (whole) and refused, as the model said, and
                    against (what the model said); torn_pages in those restored whole; median and longest, in seconds
                    (null: none was made)
``refusals``        of all properties together: made
``faults``          of all properties together: kinds, injected, survived
``interleavings``   of all properties together: replayed
``linearized``      of all properties together: histories, operations, unknown (operations of unknown outcome),
                    longest, sessions (at most), and how many were explained, undecided, unexplained
``examples``, ``steps``, ``stepping``, ``steps_per_second``  of all properties together

A transition class is a list of four strings: operation, state of the label, relation of the caller, outcome.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hypothesis import settings

from harness.history import History
from harness.results import write_json, writing
from model.tour import TransitionClass
from properties.at_once import Faults, counted_histories, survivors
from properties.passages import refusals_in_json
from properties.tally import Restore, Tally, counted
from properties.timeline import Timeline
from properties.verdict import Property, Recorder, Verdict, coverage, failure_file, totals

SCHEMA = 1


def write_results(folder: Path, results: dict[str, Any], properties: Iterable[Property]) -> None:
    """Writes all but junit.xml, which is pytest's, and leads ``latest`` here; raises SetupError."""
    with writing(folder):
        for one in properties:
            if one.report:
                (folder / "failures").mkdir(exist_ok=True)
                (folder / "failures" / failure_file(one)).write_text(failure_text(one, results), errors="replace")
            if history := shown_history(one):
                (folder / "histories").mkdir(exist_ok=True)
                (folder / history_file(one)).write_text(history.to_json() + "\n", encoding="utf-8")
            for number, saved in enumerate(one.tally.saved if one.tally else [], start=1):
                (folder / "histories").mkdir(exist_ok=True)
                (folder / saved_file(one, number)).write_text(saved, encoding="utf-8")
            if timeline := shown_timeline(one):
                (folder / "histories").mkdir(exist_ok=True)
                (folder / timeline_file(one)).write_text(timeline.to_json() + "\n", encoding="utf-8")
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
    """Where one of those is that failed, or were not decided, in the form that ``properties.linearize`` reads."""
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


def failure_text(one: Property, results: dict[str, Any]) -> str:
    """Everything about a failure, for its file."""
    return (
        f"{one.verdict}: {one.name}\n"
        f"{one.test}\n"
        f"{results['implementation']['name']} on PostgreSQL {results['postgresql']['version']}, "
        f"profile {results['profile']}, {results['when']}\n"
        f"\n{one.finding}\n"
        + "".join(f"\nTo try the same again: {decorator}\n" for decorator in one.same_again)
        + f"\n===== All that pytest says =====\n\n{one.report}"
    )


def results_of(recorder: Recorder, profile: str, circumstances: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into results.json."""
    verdict, reason = recorder.verdict()
    covered, everything = coverage(recorder.properties), totals(recorder.properties)
    chosen = settings.get_profile(profile)
    return {
        "schema": SCHEMA,
        "verdict": verdict,
        "reason": reason,
        **circumstances,
        "profile": profile,
        "hypothesis": {name: getattr(chosen, name) for name in ("max_examples", "stateful_step_count", "derandomize")},
        "properties": [property_in_json(one) for one in recorder.properties],
        "coverage": {
            "percent": None if covered.percent is None else round(covered.percent, 3),
            "reachable": covered.reachable,
            "seen": covered.reachable - len(covered.missing),
            "missing": covered.missing,
        },
        "restores": {name: rounded(value) for name, value in counted(everything.restores)._asdict().items()},
        "refusals": {"made": everything.refusals.total()},
        "faults": {
            "kinds": len({one.fault for one in everything.faults}),
            "injected": everything.faults.total(),
            "survived": survivors(everything.faults),
        },
        "interleavings": {"replayed": everything.interleavings.total()},
        "linearized": counted_histories(everything.linearized),
        **counts(everything),
    }


def counts(tally: Tally | None) -> dict[str, Any]:
    """A tally's numbers."""
    if tally is None:
        return dict.fromkeys(("examples", "steps", "stepping", "steps_per_second"))
    rate = round(tally.steps / tally.stepping, 1) if tally.steps and tally.stepping else None
    return {
        "examples": tally.examples,
        "steps": tally.steps,
        "stepping": round(tally.stepping, 3),
        "steps_per_second": rate,
    }


def property_in_json(one: Property) -> dict[str, Any]:
    """One of ``properties``."""
    tally = one.tally or Tally()
    return {
        "name": one.name,
        "sentence": one.sentence,
        "case": one.case,
        "group": one.group,
        "test": one.test,
        "description": one.description,
        "verdict": one.verdict,
        "reason": one.reason,
        "seconds": round(one.seconds, 3),
        **counts(one.tally),
        "notes": tally.notes,
        "restores": [restore_in_json(one) for one in tally.restores],
        "refusals": list(refusals_in_json(tally.refusals)),
        "faults": faults_in_json(tally.faults),
        "interleavings": [
            {**order._asdict(), "replayed": number} for order, number in sorted(tally.interleavings.items())
        ],
        "linearized": [one._asdict() for one in tally.linearized],
        "classes": {
            "seen": in_order(tally.classes),
            "reachable": len(tally.reachable),
            "missing": in_order(tally.missing()),
        },
        "same_again": one.same_again,
        "failure": f"failures/{failure_file(one)}" if one.report else None,
        "history": history_file(one) if shown_history(one) else None,
        "timeline": timeline_file(one) if shown_timeline(one) else None,
    }


def faults_in_json(faults: Faults) -> list[dict[str, Any]]:
    """A property's ``faults``, in the order in which they were first injected."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one, number in faults.items():
        empty = {"fault": one.fault, "point": one.point, "injected": 0, "survived": 0, "told": {}}
        row = found.setdefault((one.fault, one.point), empty)
        row["injected"] += number
        if one.told is not None:
            row["survived"] += number
            row["told"][one.told] = number
    return list(found.values())


def restore_in_json(one: Restore) -> dict[str, Any]:
    """One of a property's ``restores``."""
    return asdict(one) | {"seconds": rounded(one.seconds), "as_expected": one.as_expected}


def rounded(value: float | None) -> float | None:
    """To milliseconds, if it is seconds."""
    return round(value, 3) if isinstance(value, float) else value


def in_order(classes: Iterable[TransitionClass]) -> list[list[str]]:
    """Transition classes for JSON."""
    return [list(found) for found in sorted(classes)]
