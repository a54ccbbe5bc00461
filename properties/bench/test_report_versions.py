"""The page of several PostgreSQL shows first where they differ, and each cell leads to the failure of that version.

The campaigns here are made up; no server runs.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from harness.machine.postgres import find_postgres
from harness.running.results import write_json
from harness.schema.campaign import Campaign
from properties.bench.browser import headless, looked_at
from properties.bench.made_installs import made_install
from properties.bench.made_results import Loads, a_campaign, a_property, words_of
from properties.campaign.side_by_side import Ended, side_by_side
from reports.__main__ import main
from reports.campaign import anchor
from reports.report import PAGE, SUMMARY
from reports.versions.folder import read_versions
from reports.versions.matrix import parts

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WHEN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
PHONE = 390
WHOLE: dict[str, Any] = {"percent": 100.0, "reachable": 4, "seen": 4, "missing": []}
CASES = [a_property(f"it restores: {case}", sentence="it restores", case=case) for case in ("fast", "crash")]


def a_version(number: str, *properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A campaign on that PostgreSQL."""
    bad = any(one["verdict"] == "fails" for one in properties)
    return a_campaign(properties=list(properties), verdict="fails" if bad else "holds", coverage=WHOLE,
                      postgresql={"version": number}, **more)  # fmt: skip


OLD = a_version(
    "15.20 (Debian)",
    a_property("the view <shows> all"),
    a_property("two is even"),
    a_property("intervals", "skipped", reason="intervals are finite | here"),
    *CASES,
)
NEW = a_version(
    "18.6",
    a_property("the view <shows> all", "fails", reason="nothing | <shown>", failure="failures/one.txt"),
    a_property("two is even"),
    a_property("intervals"),
    a_property("of 18 alone"),
    *CASES,
)
NOT_RUN = "19devel"


def a_folder_of(place: Path, *campaigns: dict[str, Any], not_run: str = NOT_RUN) -> Path:
    """What is left of campaigns on these, and of one that was not run; returns the folder that ``latest`` leads to."""
    ended = []
    for number, campaign in enumerate(campaigns):
        folder = place / f"on-{number}"
        (folder / "failures").mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(campaign))
        (folder / "failures" / "one.txt").write_text("To see it by hand: SELECT 1\n")
        ended.append(Ended(folder.name, msgspec.convert(campaign, Campaign)))
    versions = [*(one["postgresql"]["version"] for one in campaigns), not_run]
    named = [find_postgres(made_install(place / "installed" / str(number), f"PostgreSQL {version}"))
             for number, version in enumerate(versions)]  # fmt: skip
    (place / "all").mkdir()
    write_json(place / "all" / "versions.json", side_by_side(WHEN, named, ended, interrupted=False))
    return place / "latest"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions that differ, and one that was not run, with the report."""
    made = a_folder_of(tmp_path_factory.mktemp("versions"), OLD, NEW)
    assert main([str(made)]) == 0
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with headless() as found:
        yield found


def in_order(text: str, *words: str) -> None:
    """They are all there, each behind the one before."""
    position = 0
    for each in words:
        assert each in text[position:], f"{each!r} is not behind what comes before it"
        position = text.index(each, position) + len(each)


def test_the_page_begins_with_what_differs(folder: Path) -> None:
    in_order(
        words_of(folder / PAGE),
        "✗ fails 1 property holds on one PostgreSQL and not on another; it fails on 18.6; it was not run on 19devel",
        "A cell that does not hold leads to the failure",
        "the view <shows> all 18.6: nothing | <shown> ✓ holds on 15.20 ✗ fails on 18.6",
        "Skipped on one, or not there",
        "intervals 15.20: intervals are finite | here – skipped on 15.20 ✓ holds on 18.6",  # noqa: RUF001
        "of 18 alone · not there on 15.20 ✓ holds on 18.6",
        "The same on all 3 properties",
        "it restores (2 cases) ✓ holds on 15.20 ✓ holds on 18.6",
        "PostgreSQL 19devel was not run.",
    )


def test_what_fails_comes_before_what_crashed(tmp_path: Path) -> None:
    names = {"breaks": "crashed", "is wrong": "fails"}
    old = a_version("15.20", *(a_property(f"it {name}", group=name) for name in names))
    new = a_version("18.6", *(a_property(f"it {name}", verdict, group=name) for name, verdict in names.items()))
    differs = parts(read_versions(a_folder_of(tmp_path, old, new)).versions, {}, tmp_path)[0]
    assert [group for group, _ in differs.groups] == ["is wrong", "breaks"]


def test_the_summary_begins_with_what_differs(folder: Path) -> None:
    in_order(
        (folder / SUMMARY).read_text(),
        "**fails**: 1 property holds on one PostgreSQL and not on another; it fails on 18.6;",
        "**Holds on one, and not on another**: 1.\n\n| property | 15.20 | 18.6 | why |",
        "| made up: the view <shows> all | holds | fails | 18.6: nothing \\| <shown> |",
        "**Skipped on one, or not there**: 2.",
        "| made up: of 18 alone | not there | holds |  |",
        "The same on all: 3.",
        "| 15.20 (Debian) | holds | 4 hold, 1 skipped | 100 % |",
        "| 19devel | not run |",
    )


def test_a_page_of_each_version_is_made_unless_it_is_there(folder: Path, tmp_path: Path) -> None:
    assert "15.20 (Debian)" in words_of(folder.parent / "on-0" / PAGE)
    made = a_folder_of(tmp_path, OLD, NEW)
    (tmp_path / "on-0" / PAGE).write_text("it is there")
    assert main([str(made)]) == 0
    assert (tmp_path / "on-0" / PAGE).read_text() == "it is there"
    assert (tmp_path / "on-1" / PAGE).is_file()


def test_the_page_loads_nothing(folder: Path) -> None:
    parser = Loads()
    parser.feed((folder / PAGE).read_text())
    assert {one for one in parser.found if not one.startswith(("#", "../on-"))} == set()


def test_versions_that_were_not_copied_along_are_shown_without_links(tmp_path: Path) -> None:
    made, alone = a_folder_of(tmp_path / "made", OLD, NEW), tmp_path / "alone"
    alone.mkdir()
    (alone / "versions.json").write_bytes((made / "versions.json").read_bytes())
    assert main([str(alone)]) == 0
    assert "✗ fails on 18.6" in words_of(alone / PAGE)
    assert "on-1/" not in (alone / PAGE).read_text()


def test_links_lead_there_from_wherever_the_page_is(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "else where"
    assert main([str(folder), "--output", str(output)]) == 0
    parser = Loads()
    parser.feed((output / PAGE).read_text())
    links = {one.partition("#")[0] for one in parser.found if not one.startswith("#")}
    assert {(output / link).resolve() for link in links} == {
        (folder.parent / name / PAGE).resolve() for name in ("on-0", "on-1")
    }


def test_a_cell_that_does_not_hold_leads_to_the_failure_of_that_version(folder: Path, browser: "Browser") -> None:
    (failing,) = [one for one in NEW["properties"] if one["verdict"] == "fails"]
    with looked_at(browser, (folder / PAGE).resolve().as_uri()) as page:
        assert page.locator("table.matrix a").count() == 1
        page.click("table.matrix a")
        page.wait_for_url("**/on-1/*")
        shown = page.locator(f"#{anchor(failing['test'])}:target")
        assert "SELECT 1" in shown.inner_text()


def test_what_agrees_is_folded_away_and_what_differs_is_not(folder: Path, browser: "Browser") -> None:
    with looked_at(browser, (folder / PAGE).resolve().as_uri()) as page:
        assert page.get_by_text("the view <shows> all").is_visible()
        assert not page.get_by_text("two is even").is_visible()
        page.click("#agrees summary")
        assert page.get_by_text("two is even").is_visible()


def test_on_a_phone_nothing_sticks_out(folder: Path, browser: "Browser") -> None:
    with looked_at(browser, (folder / PAGE).resolve().as_uri(), PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "versions.json is not campaigns on several PostgreSQL: it is no JSON"),
        ('{"schema": 99}', "its schema is 99"),
        ('{"schema": 1, "when": "now"}', 'it has no "seconds"'),
    ],
)
def test_what_is_wrong_with_the_file_is_told_in_one_sentence(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "versions.json").write_text(text)
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_a_comparison_names_what_it_can_compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--compare", str(folder), str(folder)]) == 2
    assert "name the results folder of one of them" in capsys.readouterr().err
    before, after = (str(folder.parent / name) for name in ("on-0", "on-1"))
    assert main(["--compare", before, after]) == 0
