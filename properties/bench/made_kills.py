"""Results of mutants made up for the tests of the reports."""

import json
from pathlib import Path
from typing import Any

from properties.bench.made_results import RUN

WALK, TABLE = "properties/walks/test_walk.py::test_it[a]", "properties/walks/test_table.py::test_all"


def a_kill(test: str = WALK, **more: Any) -> dict[str, Any]:
    """How a mutant was found."""
    return {"property": "it <conforms>", "test": test, "crashed": False, "reason": "expected ok, got 55000",
            "finding": "", "examples": 3, "steps": 40, "seconds": 2.5, "size": 4, "before": 0, **more}  # fmt: skip


def a_mutant(name: str, outcome: str = "killed", **more: Any) -> dict[str, Any]:
    """A planted bug; it is killed by the walk unless something else is said."""
    kill = {"kill": a_kill()} if outcome == "killed" else {}
    return {"name": name, "mistake": f"Somebody wrote {name}.", "breaks": "", "files": ["harness/extension/a.c"],
            "outcome": outcome, "reason": "", "seconds": 9.0, **kill, **more}  # fmt: skip


TABLE_KILL = a_kill(TABLE, property="the table is right", examples=None, steps=None, seconds=0.5, size=None)
MUTANTS = [
    a_mutant(
        "expiry/slow", kill=a_kill(steps=1_000, seconds=30.0, examples=25, size=6, finding="To see it by hand: <SQL>")
    ),
    a_mutant("expiry/fast", kill=a_kill(steps=0, seconds=1.0, examples=1, crashed=True)),
    a_mutant("expiry/hung", "hung", reason="nothing has gone on for 900 s"),
    a_mutant("expiry/same", "equivalent", reason="the <value> is never read"),
    a_mutant("labels/alive", "survived", mistake="The label was cut.", breaks="Two labels are one."),
    a_mutant("labels/tabled", kill=TABLE_KILL),
    a_mutant("labels/broken", "broken", reason="it does not compile"),
    a_mutant("labels/old", "does not apply", reason="patch failed"),
    a_mutant("generated-c/one", kill=a_kill(steps=200, seconds=2.0)),
    a_mutant("generated-c/two", kill=TABLE_KILL),
    a_mutant("generated-c/three", "not run", reason="the time was up"),
    a_mutant("generated-sql/one", kill=a_kill(steps=20, seconds=4.0)),
]
EXAMPLE: dict[str, Any] = {
    "examples": None,
    "steps": None,
    "size": None,
    "test": "harness/extension/sql/ttl.sql",
    "property": "ttl",
}
EXAMPLES = [
    a_mutant("expiry/slow", "survived"),
    a_mutant("expiry/fast", kill=a_kill(**EXAMPLE)),
    a_mutant("expiry/hung", "survived"),
    a_mutant("expiry/same", "equivalent", reason="the <value> is never read"),
    a_mutant("labels/alive", mistake="The label was cut.", kill=a_kill(**EXAMPLE)),
    a_mutant("labels/tabled", "not run"),
    a_mutant("labels/new"),
    a_mutant("generated-c/one", "hung"),
    a_mutant("generated-c/two", mistake="Something else."),
]


def mutants(found: list[dict[str, Any]] = MUTANTS, **more: Any) -> dict[str, Any]:
    """A mutants.json."""
    return {**RUN, "verdict": "not all killed", "suite": "properties", "profile": "gate", "chosen": "12 of 340: some",
            "mutants": found, "killed": 0, "tried": 0, **more}  # fmt: skip


def a_mutants_folder(folder: Path, found: list[dict[str, Any]] = MUTANTS, **more: Any) -> Path:
    """A results folder of a run of the mutants."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mutants.json").write_text(json.dumps(mutants(found, **more)), encoding="utf-8")
    return folder
