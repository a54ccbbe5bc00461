"""The report shows what two suites kill of the same planted bugs, or one suite before and after a change.

The folders here are made up; no server runs.
"""

from pathlib import Path

import pytest

from properties.bench.drawn import along, texts
from properties.bench.made_kills import EXAMPLES, a_mutant, a_mutants_folder
from properties.bench.made_results import a_campaign, a_folder, words_of
from reports.figures import kill_pairs
from reports.folder import read_folder
from reports.mutant_pairs import Pairs, pairs_of
from reports.report import SUMMARY, write_comparison

pytestmark = pytest.mark.filterwarnings("error:Glyph")  # a letter that the font of the figures lacks


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Results of the properties, and of examples."""
    return a_mutants_folder(tmp_path / "A"), a_mutants_folder(tmp_path / "B", EXAMPLES, suite="examples")


def pairs(before: Path, after: Path) -> Pairs:
    """What two folders have in common."""
    found = pairs_of((read_folder(before).mutants, read_folder(after).mutants), (before.name, after.name))
    assert found
    return found


@pytest.mark.parametrize("swapped", [False, True])
def test_two_suites_are_compared_on_what_both_have_tried(two: tuple[Path, Path], swapped: bool) -> None:
    given = tuple(reversed(two)) if swapped else two
    page = write_comparison(given[0], given[1])
    words, summary = words_of(page), (page.parent / SUMMARY).read_text(encoding="utf-8")
    told = (
        "5 mutants were tried by both. Killed: properties 3 (60 %), example-based tests 2 (40 %). Left out: "
        "1 equivalent (both), 1 not run (example-based tests), 1 not the same bug in both, though of the same name, "
        "4 only in A, 1 only in B."
    )
    assert told in words
    assert told in summary
    assert "Planted bugs, properties 3 of 5 killed (60 %) Planted bugs, example-based tests 2 of 5 killed" in words
    alone = "labels/alive The label was cut. survived; killed by ttl"
    assert f"Killed only by example-based tests {alone}" in words
    assert "Killed only by example-based tests: 1\n\n- labels/alive: The label was cut. (survived)" in summary
    assert "Killed only by properties 2 mutants expiry/slow" in words
    assert "Killed only by properties: 2." in summary
    assert ("Example-based tests: B ; properties: A" if swapped else "Properties: A ; example-based tests: B") in words
    assert not any(one in words for one in ("Before", "after", "Ratios", "No verdict changed"))
    assert {one.name for one in (page.parent / "figures").iterdir()} == {"mutants-compared.png", "mutants-compared.svg"}


def test_dumbbells_show_both_shares_of_each_area_and_of_all(two: tuple[Path, Path]) -> None:
    found = pairs(*two)
    (axes,) = kill_pairs.draw(found, found.sums).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "expiry",
        "labels",
        "generated-c",
        "hand-written",
        "generated",
        "all",
    ]
    assert texts(axes) == ["2, 1 of 3", "0, 1 of 1", "1, 0 of 1", "2, 2 of 4", "1, 0 of 1", "3, 2 of 5"]
    (legend,) = axes.figure.legends
    named = dict(zip((text.get_text() for text in legend.get_texts()), legend.get_lines(), strict=True))
    for name, share in (("properties", 60), ("example-based tests", 40)):  # of the last row
        (marker,) = [line for line in axes.lines[-3:-1] if along(line) == [share]]
        assert marker.get_color() == named[name].get_color()
    ends = [along(line) for line in axes.lines if line.get_marker() == "None"]
    assert [[round(share) for share in end] for end in ends[:6]] == [
        [67, 33],
        [0, 100],
        [100, 0],
        [50, 50],
        [100, 0],
        [60, 40],
    ]


def test_one_suite_that_was_run_twice_is_compared_before_and_after(tmp_path: Path) -> None:
    again = [a_mutant("expiry/slow", "survived"), a_mutant("expiry/hung"), a_mutant("expiry/fast")]
    before, after = a_mutants_folder(tmp_path / "A"), a_mutants_folder(tmp_path / "B", again)
    page = write_comparison(before, after)
    words, summary = words_of(page), (page.parent / SUMMARY).read_text(encoding="utf-8")
    assert "Killed: before 2 (66.67 %), after 2 (66.67 %)." in words
    assert "Killed only before expiry/slow Somebody wrote expiry/slow. killed by it <conforms>; survived" in words
    assert "Killed only after: 1\n\n- expiry/hung: Somebody wrote expiry/hung. (hung" in summary
    assert "Killed only before: 1\n\n- expiry/slow" in summary


def test_runs_that_share_no_mutant_can_be_compared(tmp_path: Path) -> None:
    one, other = a_mutants_folder(tmp_path / "A"), a_mutants_folder(tmp_path / "B", [a_mutant("a/b")], suite="examples")
    words = words_of(write_comparison(one, other))
    assert "No mutant was tried by both. Left out: 12 only in A, 1 only in B." in words
    assert "Killed only by example-based tests None." in words


def test_a_folder_without_planted_bugs_is_named_in_a_comparison(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = a_folder(tmp_path / "C", a_campaign())
    assert "Only A has mutants." in words_of(write_comparison(two[0], other))
    assert "Only A has mutants." in words_of(write_comparison(other, two[0]))
