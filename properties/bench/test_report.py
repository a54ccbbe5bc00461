"""The report shows what is in a results folder, needs nothing but itself, and says in one sentence what it cannot read.

The folders here are made up; no server runs.
"""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.clients.history import Event, History
from harness.running.reporting import report
from harness.schema.benchmarks import Benchmarks
from harness.schema.campaign import Restore
from harness.schema.timeline import Timeline
from model.operations import Abort
from model.outcomes import Ok
from properties.bench.made_results import (
    HISTORY,
    LINEARIZED,
    PANIC,
    RUN,
    SKIP,
    TIMELINE,
    Loads,
    a_bench,
    a_benchmark,
    a_campaign,
    a_fault,
    a_folder,
    a_property,
    a_restore,
    words_of,
)
from properties.recording.timeline import MOST, Blow, Reading, Watched, best_part, failed_part
from reports.__main__ import main
from reports.bench import sweeps
from reports.compare import compared
from reports.figures.memory import memory_of
from reports.folder import read_folder
from reports.report import PAGE, SUMMARY, write_comparison, write_report
from reports.restores import scenarios
from reports.summary import summary

COVERAGE: dict[str, Any] = {"percent": None, "reachable": 0, "seen": 0, "missing": []}

pytestmark = pytest.mark.filterwarnings("error:Glyph")  # a letter that the font of the figures lacks


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything, and its report."""
    folder = a_folder(tmp_path_factory.mktemp("report") / "whole", a_campaign(), a_bench())
    assert main([str(folder)]) == 0
    return folder


# What is written


def test_every_figure_is_made_as_png_and_svg(whole: Path) -> None:
    figures = whole / "figures"
    expected = {"coverage", "timeline", "crowd", "restores", "ratios", "latency", "latency-others", "memory", "fleet",
                "curve-concurrent-starts", "curve-start-under-open-backups"}  # fmt: skip
    assert {path.stem for path in figures.glob("*.png")} == {path.stem for path in figures.glob("*.svg")} == expected
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures.glob("*.png"))


def test_the_page_needs_nothing_but_itself(whole: Path) -> None:
    page = whole / PAGE
    parser = Loads()
    parser.feed(page.read_text())
    assert parser.found
    assert [one[:40] for one in parser.found if not one.startswith(("data:image/", "#"))] == []
    style = re.sub(r"data:image/[^\"]*", "", page.read_text())
    assert "http:" not in style
    assert "https:" not in style
    assert "@import" not in style


def test_the_page_shows_what_was_found(whole: Path) -> None:
    words = words_of(whole / PAGE)
    for expected in (
        "one is even", "one | is odd", "To see it by hand: SELECT 1", "Renew | expired | other | 55000",
        SKIP, "there is no clock", "max_connections = 20", "0123456789ab with uncommitted changes", "A processor",
        "18.6", "75 % of 4", "≤ 1.05", "東京 <b>",
    ):  # fmt: skip
        assert expected in words
    assert "the traceback" not in words


def test_the_summary_names_what_fails_and_what_was_skipped(whole: Path) -> None:
    summary = (whole / SUMMARY).read_text()
    assert "| fails | made up: one is even | one \\| is odd |" in summary
    assert "two is even" not in summary
    assert "`Renew | expired | other | 55000`" in summary
    assert f"what nobody can check: {SKIP}" in summary
    assert "0 missed" in summary


def test_the_page_shows_what_became_of_each_scenario(whole: Path) -> None:
    words = words_of(whole / PAGE)
    everything = (
        "3 restored whole, 2 refused as expected, 1 against the model, 3,000 torn pages survived, median 0.62 s"
    )
    assert everything in words
    assert f"no label <file> {PANIC} FATAL: short 2 0.50 0.75".replace(":  ", ": ") in words
    assert "plain 3 3,000 1.00 2.00" in words
    assert "lost 3 rows of the ledger are missing 1 0.50 0.50" in words
    assert "all 3 2 1 3,000 0.62 2.00" in words


def test_the_summary_quotes_servers_that_refused(whole: Path) -> None:
    summary = (whole / SUMMARY).read_text()
    assert "| plain | 3 |  |  | 3,000 | 1.00 | 2.00 |" in summary
    assert "| no label <file> |  | 2 |  |  | 0.50 | 0.75 |" in summary
    assert "- no label <file>: `PANIC: online backup was canceled, recovery cannot continue`" in summary


def test_the_page_shows_what_was_done_at_once(whole: Path) -> None:
    words = words_of(whole / PAGE)
    assert "1,006 faults injected (2 kinds), 1,004 survived" in words
    assert "cancel 1,003 1,003 start 2, stop 1, any moment 1,000" in words
    assert "SIGKILL <of> a backend not survived at start-reserved (2) 3 1 start 3 start-reserved 57P02 1" in words
    assert "at once about one label about two labels limit 1 limit 2 replayed" in words
    assert "start / stop 20 1,100 20 1,100 1,120" in words
    assert "stop / expiry (the reaper held at <x>) 3 3 3" in words
    assert "all 23 1,100 20 1,103 1,123" in words
    assert "two is even 3 2,000 7 900 34 2 1 0" in words
    assert "5 of them, from 0.250 s on" in words
    assert "Triangles: an operation was cancelled" in words
    assert "“two is even”, event by event" not in words


def test_the_summary_tells_what_was_done_at_once(whole: Path) -> None:
    summary = (whole / SUMMARY).read_text()
    assert "| cancel | 1,003 | 1,003 | start 2, stop 1, any moment 1,000 | 57014 600, ok 403 |" in summary
    assert "- SIGKILL <of> a backend: start-reserved (2)" in summary
    assert "| start / stop | 1,120 |" in summary
    assert "3 histories linearized, the longest of 900 operations by 12 sessions, 1 undecided." in summary


def test_an_inexplicable_history_stands_out(tmp_path: Path) -> None:
    bad = [*LINEARIZED, {"operations": 50, "sessions": 8, "answer": "unexplained"}]
    campaign = a_campaign(properties=[a_property("a", "fails", linearized=bad, timeline="histories/two.timeline.json")])
    folder = a_folder(tmp_path / "bad", campaign)
    (folder / "histories" / "two.timeline.json").write_text(json.dumps({**TIMELINE, "failed": True}))
    words = words_of(write_report(folder))
    assert "1 undecided, 1 unexplained" in words
    assert "The end of a history of 900 operations" in words
    assert "No interleaving explains what came of the operations in bold frames." in words


def test_a_part_of_a_history_is_read_as_the_campaign_writes_it() -> None:
    """The part shown is the end of what nothing explains, or where most happens; what struck it is shown with it."""
    events = [Event(Abort(number % 4, "a"), f"session {number % 4} (bob)", number, [], Ok(), number + 1.5)
              for number in range(200)]  # fmt: skip
    events[100].outcome, odd = None, events[150]
    blows = [Blow(100.5, 0, "cancelled"), Blow(101.5, 1, "cancelled")]
    watched = Watched([Reading(number + 0.25, 1, None) for number in range(0, 200, 5)], blows)
    part = best_part(History(events), watched)
    assert msgspec.json.decode(msgspec.json.encode(part), type=Timeline) == part
    assert len(part.events) == MOST
    assert part.operations == 200
    assert [(one.row, one.name, round(part.began + one.moment / 1000, 3)) for one in part.blows] == [
        ("session 0", "cancelled", 100.5)
    ]
    assert [event.result for event in part.events].count("unknown") == 1
    assert all(event.invoked <= part.end for event in part.events)
    failed = failed_part(History(events), watched, lambda event: event is odd)
    assert failed.unexplained == (MOST - 1,)
    assert failed.began + failed.events[-1].invoked / 1000 == odd.invoked


def test_a_line_of_a_history_ends_where_its_event_does(tmp_path: Path) -> None:
    """... and not at a letter of a label that other programs take for the end of a line."""
    label = "a\u2028b\x85c"
    events = [Event(Abort(0, label), "session 0 (bob)", 1.0, [], Ok(), 1.5)] * 2
    folder = a_folder(tmp_path / "odd", a_campaign())
    (folder / "histories" / "one.jsonl").write_bytes(History(events).to_json())
    (history,) = read_folder(folder).histories
    assert [event.arguments["label"] for event in history.events] == [label, label]


def test_results_of_before_faults_were_counted_have_a_report(tmp_path: Path) -> None:
    campaign = a_campaign()
    for name in ("faults", "interleavings", "linearized", "timeline"):
        assert campaign["properties"][0].pop(name)
    page = write_report(a_folder(tmp_path / "old", campaign))
    assert "At once" not in words_of(page)
    assert "**Faults**" not in (page.parent / SUMMARY).read_text()
    assert not (page.parent / "figures" / "crowd.png").exists()


def test_only_the_longest_of_many_words_are_quoted() -> None:
    (one,) = scenarios(msgspec.convert(a_restore("a", said), Restore) for said in ("1", "333", "22", "4444", "333"))
    assert one.said == ["4444", "333", "22"]


def test_results_of_before_there_were_restores_have_a_report(tmp_path: Path) -> None:
    campaign = a_campaign()
    assert campaign["properties"][0].pop("restores")
    page = write_report(a_folder(tmp_path / "old", campaign))
    assert "Restores" not in words_of(page)
    assert "Restores" not in (page.parent / SUMMARY).read_text()
    assert not (page.parent / "figures" / "restores.png").exists()


def test_a_missed_target_stands_out(tmp_path: Path) -> None:
    results = read_folder(a_folder(tmp_path / "slow", bench=a_bench(2.0)))
    assert "| ≤ 1.05 | **missed** |" in summary(results)


@pytest.mark.parametrize("kind", ["campaign", "bench"])
def test_half_a_folder_makes_half_a_report(kind: str, tmp_path: Path) -> None:
    campaign, bench = (a_campaign(), None) if kind == "campaign" else (None, a_bench())
    words = words_of(write_report(a_folder(tmp_path / "half", campaign, bench)))
    assert ("Properties" in words) == (kind == "campaign")
    assert ("Every comparison is paired" in words) == (kind == "bench")


def test_a_campaign_that_saw_nothing_has_a_report(tmp_path: Path) -> None:
    campaign = a_campaign(properties=[], coverage=COVERAGE, examples=None, steps=None, steps_per_second=None)
    assert "no property ran" in words_of(write_report(a_folder(tmp_path / "empty", campaign)))


def test_a_benchmark_without_samples_has_a_report(tmp_path: Path) -> None:
    bench = a_bench()
    bench["benchmarks"] = [a_benchmark("start_latency", candidates={"shared": {"samples": []}})]
    words = words_of(write_report(a_folder(tmp_path / "empty", bench=bench)))
    assert "none measured" in words
    assert " 0 ms" not in words


def test_the_same_results_make_the_same_figures(whole: Path, tmp_path: Path) -> None:
    write_report(whole, tmp_path)
    for figure in (whole / "figures").iterdir():
        assert figure.read_bytes() == (tmp_path / "figures" / figure.name).read_bytes()


def test_figures_of_an_earlier_report_go(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "a", a_campaign(properties=[]))
    (folder / "figures").mkdir()
    (folder / "figures" / "old.png").write_text("")
    write_report(folder)
    assert not (folder / "figures" / "old.png").exists()


# What is computed


def test_benchmarks_that_differ_in_one_number_make_a_curve() -> None:
    curves, others = sweeps(msgspec.convert(a_bench(), Benchmarks).benchmarks)
    assert {(curve.first.name, tuple(x for x, _ in curve.points)) for curve in curves} == {
        ("concurrent_starts", (1, 8, 64)),
        ("start_under_open_backups", (0, 10_000)),
    }
    assert [one.name for one in others] == ["start_latency", "memory", "view"]


def test_a_fleet_holds_the_first_segment_of_every_server() -> None:
    found = memory_of(msgspec.convert(a_bench(), Benchmarks))
    assert found is not None
    _, cost = found
    assert cost.fleet_shared(1_000) == 1_000 * 2**20
    assert cost.fleet_shared(1_000, 10) == 1_000 * (2**20 + 9 * 400)
    assert cost.fleet_stock(1_000, 10) == 1_000 * 10 * 2.1e6


# Comparisons


def test_a_comparison_marks_a_ratio_beyond_its_spread_and_not_one_within(tmp_path: Path) -> None:
    before = a_folder(tmp_path / "before", bench=a_bench())
    near, far = a_folder(tmp_path / "near", bench=a_bench(1.08)), a_folder(tmp_path / "far", bench=a_bench(1.5))
    name = "start latency, fsync on: shared / stock"
    for after, expected in ((near, []), (far, [name])):
        changes = compared(read_folder(before), read_folder(after))
        assert [one.name for one in changes.ratios if one.changed] == expected
        page = write_comparison(before, after)
        assert page.parent == after / "compared-with-before"
        assert ("yes, higher" in words_of(page)) == bool(expected)
        assert (page.parent / "figures" / "comparison.svg").is_file()
    assert f"| {name} | 1.00 (0.90 to 1.10) | 1.50 (1.35 to 1.65) | higher |" in (page.parent / SUMMARY).read_text()


def test_a_comparison_marks_verdicts_coverage_and_surroundings_that_changed(tmp_path: Path) -> None:
    mended = a_campaign(coverage={"percent": 100.0, "reachable": 4, "seen": 4, "missing": []})
    mended["properties"] = [{**one, "verdict": "holds"} for one in mended["properties"][:2]]
    mended["postgresql"] = {**RUN["postgresql"], "version": "17.2"}
    before, after = a_folder(tmp_path / "before", a_campaign()), a_folder(tmp_path / "after", mended)
    changes = compared(read_folder(before), read_folder(after))
    assert {(one.name, one.before, one.after) for one in changes.verdicts} == {
        ("made up: one is even", "fails", "holds"),
        ("made up: the tour sees everything", "fails", "not there"),
        ("made up: what nobody can check", "skipped", "not there"),
    }
    assert ("Renew | expired | other | 55000", "missing", "none") in {
        (one.name, one.before, one.after) for one in changes.coverage
    }
    assert [(one.name, one.after) for one in changes.surroundings] == [("PostgreSQL", "17.2")]
    assert "made up: one is even" in words_of(write_comparison(before, after))


def test_a_comparison_marks_restores_that_came_out_otherwise_or_took_longer(tmp_path: Path) -> None:
    again = [a_restore("plain", seconds=seconds) for seconds in (3.0, 4.0)]
    restores = [*again, a_restore("no label <file>", restorable=False, as_expected=False), a_restore("new")]
    mended = a_campaign(properties=[a_property("two is even", restores=restores)])
    before, after = a_folder(tmp_path / "before", a_campaign()), a_folder(tmp_path / "after", mended)
    changes = compared(read_folder(before), read_folder(after))
    assert {(one.name, one.before, one.after) for one in changes.restores} == {
        ("no label <file>", "refused as expected", "against the model"),
        ("lost", "against the model", "not there"),
        ("new", "not there", "restored whole"),
    }
    assert {(one.name, one.direction) for one in changes.medians if one.changed} == {("restore, plain", "higher")}
    page = write_comparison(before, after)
    assert "no label <file> refused as expected against the model" in words_of(page)
    assert "| lost | against the model | not there |" in (page.parent / SUMMARY).read_text()
    old = a_folder(tmp_path / "old", a_campaign(properties=[a_property("two is even")]))
    assert "Only after has restores." in words_of(write_comparison(old, after))
    assert "Only after has restores." in words_of(write_comparison(after, old))


def test_folders_that_share_nothing_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = a_folder(tmp_path / "one", a_campaign()), a_folder(tmp_path / "other", bench=a_bench())
    assert main(["--compare", str(one), str(other), "--output", str(tmp_path / "out")]) == 0
    words = words_of(tmp_path / "out" / PAGE)
    assert "Only one has a campaign." in words
    assert "Only other has benchmarks." in words


# Bad input


def spoiled(folder: Path, kind: str) -> Path:
    """A folder that is no good, in one of several ways."""
    if kind == "missing":
        return folder
    a_folder(folder, a_campaign(), a_bench())
    results, bench = folder / "results.json", folder / "bench.json"
    match kind:
        case "a file":
            return results
        case "empty":
            results.unlink()
            bench.unlink()
        case "truncated":
            results.write_text(results.read_text()[:200])
        case "truncated bench":
            bench.write_text(bench.read_text()[:-20])
        case "truncated history":
            (folder / "histories" / "one.jsonl").write_text(json.dumps(HISTORY[0])[:40])
        case "foreign":
            results.write_text('{"schema": 1, "dependencies": {}}')
        case "a list":
            bench.write_text("[1, 2, 3]")
        case "another schema":
            results.write_text(json.dumps(a_campaign(schema=2)))
        case "wrong types":
            results.write_text(json.dumps(a_campaign(properties=[a_property("a", seconds="long")])))
        case "wrong restore":
            restores = [a_restore("plain"), a_restore("plain", torn=1.5)]  # type: ignore[arg-type]
            results.write_text(json.dumps(a_campaign(properties=[a_property("a", restores=restores)])))
        case "wrong fault":
            faults = [a_fault("cancel", "start-taken", survived="one")]  # type: ignore[arg-type]
            results.write_text(json.dumps(a_campaign(properties=[a_property("a", faults=faults)])))
        case "wrong verdict":
            results.write_text(json.dumps(a_campaign(verdict="fine")))
        case "wrong class":
            results.write_text(json.dumps(a_campaign(coverage={**COVERAGE, "missing": [["Renew", "expired"]]})))
        case "nested":
            results.write_text('{"schema": 1, "when": ' + "[" * 100_000)
        case "truncated timeline":
            (folder / "histories" / "two.timeline.json").write_text(json.dumps(TIMELINE)[:90])
        case "wrong timeline":
            (folder / "histories" / "two.timeline.json").write_text(json.dumps({**TIMELINE, "readings": [[1, 2]]}))
        case "no numbers":
            bench.write_text(json.dumps(a_bench()).replace("[1.0, 1.1,", "[NaN, 1.1,"))
        case "binary":
            results.write_bytes(b"\x80\x81\x82")
        case "a folder":
            bench.unlink()
            bench.mkdir()
    return folder


KINDS = {
    "missing": "There is no results folder",
    "a file": "There is no results folder",
    "empty": "it has no results.json, bench.json, mutants.json, simulation.json or exploration.json",
    "truncated": "results.json is not a campaign's results: it is no JSON, or ends too early",
    "truncated bench": "bench.json is not a run of the benchmarks: it is no JSON, or ends too early",
    "truncated history": "one.jsonl is not a history: line 1",
    "foreign": 'results.json is not a campaign\'s results: it has no "when"',
    "a list": "bench.json is not a run of the benchmarks: it is a list, and should be an object",
    "another schema": "its schema is 2, and this report reads 1",
    "wrong types": "properties[0].seconds is text, and should be a number",
    "wrong restore": "properties[0].restores[1].torn_pages is a number, and should be a whole number",
    "wrong fault": "properties[0].faults[0].survived is text, and should be a whole number",
    "wrong verdict": "verdict: invalid enum value 'fine'",
    "wrong class": "coverage.missing[0]: expected array of length 4",
    "nested": "results.json is not a campaign's results: it is nested too deeply",
    "truncated timeline": "two.timeline.json is not a part of a history: it is no JSON, or ends too early",
    "wrong timeline": "readings[0]: expected array of at least length 3, got 2",
    "no numbers": "bench.json is not a run of the benchmarks: it is no JSON",
    "binary": "it is not text",
    "a folder": "bench.json cannot be read",
}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_gets_one_clear_sentence(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = spoiled(tmp_path / "bad", kind)
    assert main([str(folder)]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert KINDS[kind] in written.err
    assert len(written.err.splitlines()) == 1
    assert not (tmp_path / "bad" / PAGE).exists()
    assert main(["--compare", str(folder), str(folder)]) == 2


def test_a_folder_that_cannot_be_written_to_gets_one_clear_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_folder(tmp_path / "a", a_campaign(properties=[]))
    (tmp_path / "file").write_text("")
    assert main([str(folder), "--output", str(tmp_path / "file" / "below")]) == 2
    assert "name another folder with --output" in capsys.readouterr().err


def test_a_run_keeps_its_results_when_there_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that makes it says why in one sentence, or breaks down: MPLBACKEND is matplotlib's to read."""
    assert report(tmp_path).startswith("none: ")
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    assert "it broke down (ValueError: " in report(a_folder(tmp_path / "a", a_campaign()))
