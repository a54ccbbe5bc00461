"""Results folders made up for the tests of the reports, and what the page then says."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

SEEN = [
    ["Start", "absent", "-", "ok"],
    ["Stop (stale)", "active", "owner", "55000"],
    ["Restart (fast)", "-", "-", "ok"],
]
MISSING = [["Renew", "expired", "other", "55000"]]
RUN: dict[str, Any] = {
    "schema": 1,
    "when": "2026-11-22T19:40:05+00:00",
    "seconds": 61.5,
    "machine": {"cpu": "A processor", "cores": 2, "memory": 8 * 2**30, "os": "An OS", "kernel": "6.1"},
    "versions": {"python": "3.11.7"},
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "postgresql": {"version": "18.6", "bundled": True, "settings": {"fsync": "off", "max_connections": "20"}},
    "implementation": {"name": "shared", "design": {"name": "shared", "settings": {"ttl": None}, "fencing": True}},
}
SKIP = "nobody can <check> this"


def a_property(name: str, verdict: str = "holds", **more: Any) -> dict[str, Any]:
    """One of the properties of results.json."""
    return {
        "name": name, "sentence": name, "case": "", "group": "made up", "test": f"test_made_up.py::{name}",
        "description": "", "verdict": verdict, "reason": "", "seconds": 1.25, "examples": 3, "steps": 40,
        "stepping": 1.0, "steps_per_second": 40.0, "notes": [], "failure": None, "history": None,
        "classes": {"seen": [], "reachable": 0, "missing": []}, **more,
    }  # fmt: skip


def a_restore(scenario: str, said: str = "", seconds: float = 0.5, torn: int = 0, **more: Any) -> dict[str, Any]:
    """One of the restores of a property; by default the model expects what came of it."""
    return {"scenario": scenario, "restorable": not said, "said": said, "torn_pages": torn, "seconds": seconds,
            "as_expected": True, **more}  # fmt: skip


PANIC = "PANIC:  online backup was canceled, recovery cannot continue"
RESTORES = [
    a_restore("no label <file>", "FATAL:  short", 0.25, torn=5),
    a_restore("no label <file>", PANIC, 0.75),
    *(a_restore("plain", seconds=seconds, torn=1_000) for seconds in (0.5, 1.0, 2.0)),
    a_restore("lost", "3 rows of the ledger are missing", restorable=True, as_expected=False),
]


def a_fault(fault: str, point: str, injected: int = 1, survived: int = 1, **told: int) -> dict[str, Any]:
    """One of the faults of a property."""
    return {
        "fault": fault,
        "point": point,
        "injected": injected,
        "survived": survived,
        "told": told or {"ok": survived},
    }


FAULTS = [
    *(a_fault("cancel", point) for point in ("start-reserved", "start-taken", "stop-claimed")),
    a_fault("cancel", "any moment", 1_000, 1_000, **{"ok": 400, "57014": 600}),
    a_fault("SIGKILL <of> a backend", "start-reserved", 3, 1, **{"57P02": 1}),
]
INTERLEAVINGS = [
    {"at_once": "start / stop", "labels": 1, "limit": 1, "where": "", "replayed": 20},
    {"at_once": "start / stop", "labels": 2, "limit": 2, "where": "", "replayed": 1_100},
    {"at_once": "stop / expiry", "labels": 1, "limit": 2, "where": "the reaper held at <x>", "replayed": 3},
]
LINEARIZED = [
    {"operations": 300, "sessions": 34, "unknown": 7, "answer": "explained"},
    {"operations": 900, "sessions": 12, "answer": "explained"},
    {"operations": 800, "sessions": 20, "answer": "undecided"},
]


def a_campaign(**more: Any) -> dict[str, Any]:
    """A results.json with one property of each kind."""
    tour = {"seen": SEEN, "reachable": 4, "missing": MISSING}
    return {
        **RUN, "verdict": "fails", "reason": "1 holds, 2 fail, 1 skipped", "profile": "dev", "selection": None,
        "hypothesis": {"max_examples": 30, "stateful_step_count": 40, "derandomize": False},
        "properties": [
            a_property("two is even", restores=RESTORES, faults=FAULTS, interleavings=INTERLEAVINGS,
                       linearized=LINEARIZED, timeline="histories/two.timeline.json", history="histories/two.jsonl"),
            a_property("one is even", "fails", reason="one | is odd", failure="failures/one.txt",
                       history="histories/one.jsonl"),
            a_property("the tour sees everything", "fails", reason="1 transition class not seen", classes=tour),
            a_property("what nobody can check", "skipped", reason=SKIP, examples=None, steps=None),
        ],
        "coverage": {"percent": 75.0, "reachable": 4, "seen": 3, "missing": MISSING},
        "examples": 12, "steps": 160, "stepping": 4.0, "steps_per_second": 40.0, **more,
    }  # fmt: skip


def an_event(operation: str, who: str, invoked: float, completed: float | None, **more: Any) -> dict[str, Any]:
    """One line of a history."""
    outcome = {"outcome": "ok"} if completed is not None else {"outcome": "never completed"}
    arguments = more.pop("arguments", {})
    return {"operation": operation, "arguments": arguments, "who": who, "invoked": invoked, "completed": completed,
            "sql": ["SELECT 1"], **outcome, **more}  # fmt: skip


HISTORY = [
    an_event("Connect", "session 0 (alice)", 100.0, 100.002, arguments={"session": 0, "role": "alice"}),
    an_event("Connect", "session 1 (bob)", 100.001, 100.003, arguments={"session": 1, "role": "bob"}),
    an_event("Start", "session 0 (alice)", 100.004, 100.009, arguments={"session": 0, "label": "東京 <b>"}),
    an_event("Rollback", "session 1 (bob)", 100.005, 100.008, arguments={"start": {"session": 1, "label": None}},
             outcome="22004 null_value_not_allowed: label must not be null"),
    an_event("Restart", "the world", 100.010, 100.060, arguments={"kind": "crash"}),
    an_event("Stop", "session 0 (-)", 100.061, None, arguments={"session": 0, "label": "a"}),
]  # fmt: skip


TIMELINE: dict[str, Any] = {
    "operations": 900, "began": 0.25, "failed": False, "unexplained": [1],
    "events": [
        an_event("Start", "session 10 (alice)", 0.0, 2.5, arguments={"session": 10, "label": "東京 <b>"}),
        an_event("Stop", "session 9 (bob)", 1.0, 1.5, arguments={"session": 9, "label": "a"}, outcome="42704 gone"),
        an_event("SetLimit", "an administrator", 2.0, 2.25, arguments={"max_backups": None}),
        an_event("Restart", "the world", 3.0, 5.0, arguments={"kind": "crash"}),
        an_event("Abort", "session 9 (bob)", 2.5, None, arguments={"session": 9, "label": "a"}),
    ],
    "blows": [[2.75, "session 9", "cancelled"]],
    "readings": [[-0.5, 0, 1], [0.75, 1, 1], [2.5, 1, None]],
}  # fmt: skip


def a_spread(*samples: float) -> dict[str, Any]:
    """A distribution of bench.json; the ends stand for the percentiles."""
    return {
        "median": sorted(samples)[len(samples) // 2],
        "p5": min(samples),
        "p95": max(samples),
        "samples": list(samples),
    }


def a_ratio(*samples: float, at_most: float | None = 1.1, against: str = "stock") -> dict[str, Any]:
    """A ratio of bench.json."""
    spread = a_spread(*samples)
    verdict = "none" if at_most is None else "met" if spread["median"] <= at_most else "missed"
    target = None if at_most is None else {"at_most": at_most}
    return {"candidate": "shared", "against": against, "pairs": len(samples), "target": target, "verdict": verdict,
            **spread}  # fmt: skip


def a_benchmark(name: str, **more: Any) -> dict[str, Any]:
    """One of the benchmarks of bench.json."""
    return {
        "name": name, "title": f"The {name}", "unit": "ms", "parameters": {}, "candidates": {}, "ratios": [],
        "values": {}, "limits": [], "settings": {}, "notes": [], "skipped": "", **more,
    }  # fmt: skip


def a_bench(factor: float = 1.0) -> dict[str, Any]:
    """A bench.json with something of each kind; ``factor``: of the start's ratio to stock."""
    times = a_spread(1.0, 1.1, 1.2, 1.3, 1.5)
    latency = a_benchmark(
        "start_latency",
        parameters={"fsync": True},
        candidates={"shared": times, "stock": times, "floor": times},
        ratios=[a_ratio(*(factor * value for value in (0.9, 0.95, 1.0, 1.05, 1.1)), at_most=1.05)],
    )
    crowds = [
        a_benchmark("concurrent_starts", parameters={"callers": number}, candidates={"shared": times, "stock": times},
                    ratios=[a_ratio(0.9, 1.0, 1.1)])
        for number in (1, 8, 64)
    ]  # fmt: skip
    opened = [
        a_benchmark("start_under_open_backups", parameters={"open": number}, ratios=[a_ratio(0.9, 1, 9, at_most=None)],
                    candidates={"shared": times, "none open": times})
        for number in (0, 10_000)
    ]  # fmt: skip
    memory = a_benchmark(
        "memory",
        unit="bytes",
        candidates={"shared": a_spread(600.0), "stock": a_spread(2e6, 2.1e6, 2.2e6)},
        ratios=[a_ratio(0.0003, 0.0003, 0.0003, at_most=0.001)],
        parameters={"open": 1_001},
        values={"shared: bytes with one backup open": 2**20, "shared: bytes in all": 2**20 + 400_000},
        limits=[
            {"value": "shared: bytes per backup", "measured": 600.0, "target": {"at_most": 2048}, "verdict": "met"}
        ],
    )
    view = a_benchmark("view", candidates={"shared": times}, notes=["a note"], settings={"max_connections": "20"})
    skipped = a_benchmark("expiry", skipped="there is no clock")
    return {
        **RUN,
        "verdict": "complete",
        "mode": "quick",
        "benchmarks": [latency, *crowds, *opened, memory, view, skipped],
    }


def a_folder(folder: Path, campaign: dict[str, Any] | None = None, bench: dict[str, Any] | None = None) -> Path:
    """A results folder; the campaign's has a failure and a history."""
    folder.mkdir(parents=True)
    if campaign is not None:
        (folder / "results.json").write_text(json.dumps(campaign))
        (folder / "failures").mkdir()
        (folder / "failures" / "one.txt").write_text(
            "To see it by hand: SELECT 1\n===== All that pytest says =====\nthe traceback"
        )
        (folder / "histories").mkdir()
        (folder / "histories" / "one.jsonl").write_text("\n".join(map(json.dumps, HISTORY)))
        (folder / "histories" / "two.jsonl").write_text("\n".join(map(json.dumps, HISTORY)))
        (folder / "histories" / "two.timeline.json").write_text(json.dumps(TIMELINE))
    if bench is not None:
        (folder / "bench.json").write_text(json.dumps(bench))
    return folder


class Loads(HTMLParser):
    """Collects what a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "iframe", "object", "embed"):
            self.found.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words_of(page: Path) -> str:
    """What a page says, in one line."""
    parser = Loads()
    parser.feed(page.read_text())
    return " ".join(" ".join(parser.text).split())
