"""The report shows which lines and branches of the extension no property reaches, with the reasons, if they were
counted."""

from pathlib import Path

import msgspec
import pytest

from harness.schema.c_coverage import CCoverage, File, Function, Kind, Share, Unreached
from properties.bench.made_results import a_campaign, a_folder, words_of
from reports.c_coverage import gaps
from reports.figures.c_coverage import without_reason
from reports.reading import Unreadable
from reports.report import PAGE, write_report

LINES, BRANCHES = Share(8, 10), Share(3, 6)
MISSED = (
    Unreached(kind=Kind.BRANCHES, line=4, text="if (a < b)", number=1, reason="a is never <less>"),
    Unreached(kind=Kind.LINES, line=5, text="give_up();", number=2, within=2),
)
FUNCTION = Function(name="Fetch", line=2, lines=LINES, branches=BRANCHES, every=(), unreached=MISSED)
FOUND = CCoverage(
    lines=LINES,
    branches=BRANCHES,
    files=(File(name="toy.c", lines=LINES, branches=BRANCHES, functions=(FUNCTION,)),),
    findings=("toy.c, Fetch: give_up(); is bare",),
)


def a_report(folder: Path, found: bytes | None) -> Path:
    """The page's folder, with that as the coverage."""
    folder = a_folder(folder, a_campaign())
    if found is not None:
        (folder / "c_coverage.json").write_bytes(found)
    write_report(folder)
    return folder


def test_what_is_not_reached_is_shown_with_its_reason(tmp_path: Path) -> None:
    folder = a_report(tmp_path / "counted", msgspec.json.encode(FOUND))
    page = words_of(folder / PAGE)
    for words in (
        "8 of 10 lines and 3 of 6 branches of the extension were reached.",
        "toy.c, Fetch: give_up(); is bare",
        "if (a < b)",
        "a is never <less>",
        "give_up();",
        "none is kept",
    ):
        assert words in page
    assert (folder / "figures" / "c-coverage.png").stat().st_size > 10_000


def test_nothing_is_shown_if_nothing_was_counted(tmp_path: Path) -> None:
    folder = a_report(tmp_path / "plain", None)
    assert "C code" not in words_of(folder / PAGE)
    assert not (folder / "figures" / "c-coverage.png").exists()


def test_a_gap_without_a_reason_comes_first_and_takes_its_branches_along() -> None:
    assert [(gap.words, gap.reason) for gap in gaps(FOUND)] == [("2 lines", ""), ("1 branch", "a is never <less>")]
    assert [without_reason(FOUND, FOUND.files[0], kind) for kind in Kind] == [2, 2]


def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r'c_coverage.json is not a C coverage: it has no "lines"\.'):
        a_report(tmp_path / "broken", b"{}")
