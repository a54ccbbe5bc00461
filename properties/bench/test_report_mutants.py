"""The report shows which planted bugs were found, by what and how fast, and first of all which were not.

The folders here are made up; no server runs.
"""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.axes import Axes

from harness.schema.mutants import Mutants
from properties.bench.drawn import along, texts
from properties.bench.made_campaigns import WITH_PAGE
from properties.bench.made_kills import MUTANTS, a_mutant, a_mutants_folder, mutants
from properties.bench.made_mutants import made_room, try_toys
from properties.bench.made_results import Loads, a_bench, a_campaign, a_folder, words_of
from reports.__main__ import main
from reports.figures import kill_matrix, kill_speed, kills
from reports.mutants import areas, everything, origins
from reports.report import PAGE, SUMMARY, write_report
from reports.style import MUTANT_COLOURS

pytestmark = pytest.mark.filterwarnings("error:Glyph")  # a letter that the font of the figures lacks


class Rows(HTMLParser):
    """Collects the rows of all tables, cell by cell."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.within = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.within = False

    def handle_data(self, data: str) -> None:
        if self.within:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())


def rows_of(page: Path) -> list[list[str]]:
    """The rows of all tables of a page."""
    parser = Rows()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.rows


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with some of everything."""
    folder = a_mutants_folder(tmp_path_factory.mktemp("mutants") / "some")
    assert main([str(folder)]) == 0
    return folder / PAGE


@pytest.fixture
def run() -> Mutants:
    """The same run, as it is read."""
    return msgspec.convert(mutants(), Mutants)


# The page


def test_both_rates_are_told_of_what_was_tried_and_a_hung_mutant_is_no_kill(page: Path) -> None:
    words = words_of(page)
    assert "✗ not all killed hand-written: 3 of 5 killed (60 %) generated: 3 of 3 killed (100 %)" in words
    assert "hand-written : 3 of 5 killed (60 %), median 500 steps, 1 s to the kill" in words
    assert "generated : 3 of 3 killed (100 %), median 110 steps, 2 s to the kill" in words
    assert "3 of 4 kills that count steps took at most 200; 2 of 6 kills count none" in words


def test_what_nothing_killed_comes_first_with_what_a_developer_did_wrong(page: Path) -> None:
    rows = rows_of(page)
    assert rows[1] == ["✗ survived", "labels/alive", "The label was cut. Two labels are one.", "harness/extension/a.c"]
    assert rows[2][:2] == ["… hung", "expiry/hung"]
    assert rows[2][2] == "Somebody wrote expiry/hung. nothing has gone on for 900 s"
    assert rows[3][0] == "what a developer did wrong"
    assert '<details class="failure" open>' in page.read_text(encoding="utf-8")


def test_every_kill_is_told_with_what_killed_it_and_how_fast_the_slowest_of_an_area_first(page: Path) -> None:
    rows = [row for row in rows_of(page) if len(row) == 6 and row[0].split()[0].partition("/")[1]]
    assert [row[0].split()[0] for row in rows] == [
        "expiry/slow",
        "expiry/fast",
        "labels/tabled",
        "generated-c/one",
        "generated-c/two",
        "generated-sql/one",
    ]
    assert rows[0] == [
        "expiry/slow Somebody wrote expiry/slow.",
        "it <conforms> expected ok, got 55000 To see it by hand: <SQL>",
        "25",
        "1,000",
        "30.0",
        "6",
    ]
    assert rows[1][1:] == ["it <conforms> ! crashed expected ok, got 55000", "1", "0", "1.0", "4"]
    assert rows[2][1:] == ["the table is right expected ok, got 55000", "", "", "0.5", ""]


def test_each_property_is_told_with_what_it_killed(page: Path) -> None:
    rows = rows_of(page)
    walk = rows.index(["walks/walk"])
    named = "it <conforms> expiry/slow expiry/fast generated-c/one generated-sql/one"
    assert rows[walk + 1] == [named, "4", "110", "3.0"]
    assert rows[rows.index(["walks/table"]) + 1] == ["the table is right labels/tabled generated-c/two", "2", "", "0.5"]


def test_what_was_not_tried_is_told_with_the_reason(page: Path) -> None:
    words = words_of(page)
    assert (
        "Could not be tried, or were not run (3) labels/broken Somebody wrote labels/broken. broken: it does not"
        in words
    )
    assert "does not apply: patch failed generated-c/three" in words
    assert "Equivalent to the original, and not tried (1) expiry/same" in words
    assert "equivalent: the <value> is never read" in words


def test_a_page_of_planted_bugs_needs_nothing_but_itself(page: Path) -> None:
    parser = Loads()
    parser.feed(page.read_text(encoding="utf-8"))
    assert sum(one.startswith("data:image/") for one in parser.found) == 3
    assert [one[:40] for one in parser.found if not one.startswith(("data:image/", "#"))] == []


def test_a_run_that_killed_all_says_so(tmp_path: Path) -> None:
    folder = a_mutants_folder(tmp_path / "all", [a_mutant("a/b"), a_mutant("a/c", "equivalent")], verdict="all killed")
    words = words_of(write_report(folder))
    assert "✓ all killed hand-written: 1 of 1 killed (100 %)" in words
    assert "Every mutant that was tried was killed." in words
    assert "What nothing killed" not in words


def test_many_survivors_do_not_hide_the_rest(tmp_path: Path) -> None:
    page = write_report(a_mutants_folder(tmp_path / "many", [a_mutant(f"a/{n}", "survived") for n in range(51)]))
    assert '<details class="failure"><summary>51 of 51' in page.read_text(encoding="utf-8")


def test_a_run_in_which_nothing_was_tried_has_a_report(tmp_path: Path) -> None:
    page = write_report(a_mutants_folder(tmp_path / "none", [a_mutant("a/b", "not run")], verdict="interrupted"))
    assert "… interrupted hand-written: none tried" in words_of(page)
    assert {one.stem for one in (page.parent / "figures").iterdir()} == {"mutants-areas"}


def test_planted_bugs_are_beside_whatever_else_is_in_the_folder(tmp_path: Path) -> None:
    words = words_of(write_report(a_mutants_folder(a_folder(tmp_path / "both", a_campaign(), a_bench()))))
    assert all(one in words for one in ("What does not hold", "Every comparison is paired", "What nothing killed"))


def test_the_summary_names_what_nothing_killed(page: Path) -> None:
    summary = (page.parent / SUMMARY).read_text(encoding="utf-8")
    assert "**Mutants: not all killed** by the properties (12 of 340: some; profile gate)." in summary
    assert "- hand-written: 3 of 5 killed (60 %), median 500 steps, 1 s\n- generated: 3 of 3 killed" in summary
    assert "- 3 of 4 kills that count steps took at most 200\n- not counted: 1 broken, 1 does not apply" in summary
    assert "Nothing killed:\n\n- labels/alive: The label was cut. (survived)\n- expiry/hung: " in summary
    assert "- labels/old: Somebody wrote labels/old. (does not apply: patch failed)" in summary
    assert "expiry/slow" not in summary


# The figures


def bars(axes: Axes) -> dict[str, list[tuple[str, float]]]:
    """What the bars of each row stand for, and how long they are, from the left."""
    names = {colour: outcome for outcome, colour in MUTANT_COLOURS.items()}
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    found: dict[str, list[tuple[str, float]]] = {label: [] for label in labels}
    for container in axes.containers:
        for bar in container:
            row = labels[round(bar.get_y() + bar.get_height() / 2)]
            colour = "#{:02X}{:02X}{:02X}".format(*(round(255 * part) for part in bar.get_facecolor()[:3]))
            assert bar.get_x() == sum(width for _, width in found[row]), "one ends where the next begins"
            found[row].append((names.get(colour, "not run"), bar.get_width()))
    return found


def test_bars_show_what_became_of_each_area_generated_ones_apart(run: Mutants) -> None:
    by_hand, generated = kills.draw(origins(run.mutants)).axes
    assert bars(by_hand) == {
        "expiry": [("killed", 2), ("hung", 1), ("equivalent", 1)],
        "labels": [("killed", 1), ("survived", 1), ("broken", 1), ("does not apply", 1)],
    }
    assert bars(generated) == {"generated-c": [("killed", 2), ("not run", 1)], "generated-sql": [("killed", 1)]}
    assert texts(by_hand) == ["2 of 3", "1 of 2"]
    assert by_hand.get_title("left") == "hand-written: 3 of 5 killed (60 %)"
    assert generated.get_title("left") == "generated: 3 of 3 killed (100 %)"


def test_curves_rise_at_each_kill_beside_the_median_and_the_target(run: Mutants) -> None:
    everyone = everything(run.mutants)
    assert everyone
    steps, seconds = kill_speed.draw(origins(run.mutants), everyone).axes
    labels = [line.get_label() for line in steps.lines]
    assert labels == ["hand-written (2, median 500)", "generated (2, median 110)", "median 110", "target: 200"]
    assert [along(line)[1:] for line in steps.lines[:2]] == [[1, 1_000], [20, 200]]
    assert [along(line)[0] for line in steps.lines[2:]] == [110, 200]
    assert [line.get_label() for line in seconds.lines] == [
        "hand-written (3, median 1)",
        "generated (3, median 2)",
        "median 1.5",
    ]
    assert along(seconds.lines[0])[1:] == [0.5, 1.0, 30.0]
    assert np.asarray(seconds.lines[0].get_ydata()).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_kills_that_count_no_steps_have_a_curve_of_seconds(tmp_path: Path) -> None:
    only = [one for one in MUTANTS if one["name"] == "labels/tabled"]
    run = msgspec.convert(mutants(only), Mutants)
    everyone = everything(run.mutants)
    assert everyone
    (axes,) = kill_speed.draw(origins(run.mutants), everyone).axes
    assert axes.get_xlabel() == "seconds to the kill"


def test_the_matrix_counts_each_kill_once_and_shows_what_nothing_killed(run: Mutants) -> None:
    rows = kill_matrix.rows_of(areas(run.mutants))
    assert {file: dict(counts) for file, counts in rows.items()} == {
        kill_matrix.ALIVE_ROW: {"expiry": 1, "labels": 1},
        "walks/table": {"labels": 1, "generated-c": 1},
        "walks/walk": {"expiry": 2, "generated-c": 1, "generated-sql": 1},
    }
    (axes,) = kill_matrix.draw(areas(run.mutants)).axes
    cells = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert ((0, 2), "2") in cells, "expiry, walks/walk"
    assert ((2.5, 1), "1") in cells, "generated-c, walks/table: behind a gap"
    assert [text for _, text in sorted(cells) if _[1] > 3] == ["3", "2", "2", "1", "8"]


# Bad input

BAD: dict[str, tuple[Any, str]] = {
    "another schema": (mutants(schema=2), "its schema is 2, and this report reads 1"),
    "another outcome": (mutants([a_mutant("a/b", "dead")]), "mutants[0].outcome: invalid enum value 'dead'"),
    "another suite": (mutants(suite="luck"), "suite: invalid enum value 'luck'"),
    "wrong types": (mutants([a_mutant("a/b", seconds="long")]), "mutants[0].seconds is text, and should be a number"),
    "no kill": (mutants([a_mutant("a/b", kill={"test": "a"})]), 'mutants[0].kill has no "property"'),
    "foreign": ({"schema": 1, "mutants": []}, 'it has no "'),
}


@pytest.mark.parametrize("kind", BAD)
def test_mutants_that_cannot_be_read_get_one_clear_sentence(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, expected = BAD[kind]
    (tmp_path / "mutants.json").write_text(json.dumps(content), encoding="utf-8")
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "mutants.json is not a run of the mutants: " in said
    assert expected in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / PAGE).exists()
    assert main(["--compare", str(tmp_path), str(tmp_path)]) == 2


# The program


def test_a_run_of_the_mutants_ends_with_the_page(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = try_toys(tmp_path, made_room(tmp_path, "killed"), capfd, WITH_PAGE)
    assert run.status == 0, run.errors
    (page,) = (tmp_path / "out").glob("2*/index.html")
    assert str(page) in "".join(run.output.split("\n"))
    assert "toys: 1 of 1 killed (100 %), median 8 steps" in words_of(page)
    assert rows_of(page)[1][2:4] == ["4", "8"]
