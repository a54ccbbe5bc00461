"""The report answers which backups survive a restart: of each design, after each kind, in the servers' own words.

What it shows is made up here, or counted as properties count it; no server runs.
"""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.clients.implementation import DURABLE, SHARED, STOCK
from harness.schema.campaign import Campaign, SurvivalCase, Verdict
from harness.server.session import SqlError
from properties.bench.made_results import PANIC, a_campaign, a_folder, a_property, a_restore, words_of
from properties.durable.after_a_cut import POWER_CUT
from properties.durable.catalogue import CATALOGUE
from properties.durable.lockstep import Fall
from properties.durable.standbys import DESIGN as STANDBY
from properties.durable.standbys import PROMOTION
from properties.recording.results import recorded
from properties.recording.tally import Tally, attempt
from properties.recording.verdict import Property
from reports.__main__ import main
from reports.campaign import ends_of
from reports.figures.survival import draw
from reports.report import SUMMARY, write_report
from reports.style import FATE_COLOURS, FATE_SIGNS
from reports.survival import BROKEN, DESIGNS, FATES, KINDS, NONE, REFUSED, SEVERAL, WHOLE, End, kinds, parts, reasons

pytestmark = pytest.mark.filterwarnings("error:Glyph")  # a letter that the font of the figures lacks

FAST, KILLED = str(Fall.FAST), str(Fall.POSTMASTER)
RESET = "The WAL has been reset <since> the backup was started."


def a_survival_case(design: str, *across: str, but: str = "") -> dict[str, Any]:
    """What a backup went through."""
    return {"design": design, "across": list(across), "but": but}


def a_refusal(reason: str, design: str, *across: str, but: str = "", refused: int = 1) -> dict[str, Any]:
    """One of the refusals of a property."""
    return {**a_survival_case(design, *across, but=but), "sqlstate": "55000", "reason": reason, "refused": refused}


RESTORES = [
    a_restore("plain", survival_case=None),
    *(a_restore("durable", survival_case=a_survival_case("durable", FAST)) for _ in range(41)),
    a_restore("durable", survival_case=a_survival_case("durable", FAST, KILLED)),
    a_restore("catalogue", PANIC, survival_case=a_survival_case("catalogue", FAST)),
    a_restore(
        "control", "FATAL:  short of 0/A1", survival_case=a_survival_case("durable", FAST, but="without its <file>")
    ),
    a_restore(
        "control", "FATAL:  short of 0/B2", survival_case=a_survival_case("durable", KILLED, but="without its <file>")
    ),
    a_restore("control", "FATAL:  torn", survival_case=a_survival_case("durable", FAST, but="WAL reset")),
    a_restore("strange", "PANIC:  odd", survival_case=a_survival_case("mine", "a flood")),
]
REFUSALS = [
    a_refusal("backup is not in progress", "stock", FAST, refused=3),
    a_refusal(RESET, "durable", FAST, but="WAL reset", refused=1_200),
    a_refusal("It expired at 10:01.", "durable", KILLED, but="too late"),
    a_refusal("It expired at 10:02.", "durable", FAST, but="too late"),
]


def a_restarted_campaign(**more: Any) -> dict[str, Any]:
    """A results.json with backups that crossed restarts."""
    return a_campaign(properties=[a_property("two is even", restores=RESTORES, refusals=REFUSALS)], **more)


def ends() -> list[End]:
    """What became of those backups."""
    return ends_of(msgspec.convert(a_restarted_campaign(), Campaign))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a folder with all that."""
    return write_report(a_folder(tmp_path_factory.mktemp("report") / "restarted", a_restarted_campaign()))


# From the property to the report


def test_what_a_property_counts_is_what_the_report_reads() -> None:
    """... and nothing of it gets lost on the way through results.json."""
    gone = SqlError("55000", 'shared backup "a" was lost', "The WAL has been reset.")
    tally, way = Tally(), SurvivalCase(DURABLE.name).through(FAST).through(FAST)
    assert way.through(KILLED).across == (FAST, KILLED)
    tally.restores += [attempt("a", True, "", 0, 0.5, way), attempt("b", False, "PANIC:  no", 0, 0.5)]
    tally.refused(way.with_fault("WAL reset"), gone)
    tally.refused(way.with_fault("WAL reset"), SqlError("55000", "another label", gone.detail))
    tally.refused(SurvivalCase(STOCK.name), SqlError("55000", "backup is not in progress"))
    one = Property("two is even", "made up", "test_two", verdict=Verdict.HOLDS, tally=tally)
    written = json.loads(msgspec.json.encode(recorded(one)))
    found = ends_of(msgspec.convert(a_campaign(properties=[written]), Campaign))
    assert [
        (end.survival_case.design, end.survival_case.across, end.survival_case.but, end.fate, end.number)
        for end in found
    ] == [
        ("durable", (FAST,), "", WHOLE, 1),
        ("durable", (FAST,), "WAL reset", REFUSED, 2),
        ("stock", (), "", REFUSED, 1),
    ]
    assert [end.said for end in found] == ["", "The WAL has been reset.", "backup is not in progress"]


def test_a_fault_stays_with_a_backup_over_later_restarts() -> None:
    lost = SurvivalCase(DURABLE.name).through(FAST, "WAL reset").through(KILLED, "too late")
    assert (lost.across, lost.but) == ((FAST, KILLED), "WAL reset")


def test_the_report_knows_every_design_and_every_kind_of_restart_that_properties_name() -> None:
    assert set(DESIGNS) == {STANDBY, *(one.name for one in (STOCK, SHARED, CATALOGUE, DURABLE))}
    assert (NONE, *Fall, POWER_CUT, PROMOTION, SEVERAL) == KINDS
    assert set(FATES) == set(FATE_COLOURS) == set(FATE_SIGNS)


# What is computed


def test_backups_are_counted_by_design_and_kind_of_restart() -> None:
    survival, refused, controls = parts(ends())
    assert [row.name for row in survival.rows] == [DESIGNS[one] for one in ("stock", "catalogue", "durable")] + ["mine"]
    assert kinds(survival.rows) == [FAST, SEVERAL, "a flood"]
    stock, catalogue, durable, mine = survival.rows
    assert (stock.cell(FAST), stock.cell(SEVERAL)) == ({REFUSED: 3}, {})
    assert (catalogue.cell(FAST), catalogue.said) == ({BROKEN: 1}, [(BROKEN, PANIC)])
    assert (durable.cell(FAST), durable.cell(SEVERAL), durable.said) == ({WHOLE: 41}, {WHOLE: 1}, [])
    assert mine.cell("a flood") == {BROKEN: 1}
    assert {row.name: row.fates for row in refused.rows} == {
        "too late": {REFUSED: 2},
        "WAL reset": {REFUSED: 1_200, BROKEN: 1},
    }
    assert {row.name: row.fates for row in controls.rows} == {"without its <file>": {BROKEN: 2}}


def test_words_that_differ_in_numbers_only_are_quoted_once() -> None:
    _, _, controls = parts(ends())
    assert controls.rows[0].said == [(BROKEN, "FATAL:  short of 0/A1")]
    found = reasons(ends())
    assert [(one.design, one.reason, one.refused, one.after) for one in found] == [
        ("stock", "backup is not in progress", 3, [f"a restart ({FAST})"]),
        ("durable", RESET, 1_200, ["WAL reset"]),
        ("durable", "It expired at 10:01.", 2, ["too late"]),
    ]


# What is shown


def test_the_page_answers_which_backups_survive(page: Path) -> None:
    words = words_of(page)
    assert f"backups {FAST} {SEVERAL} a flood core's own functions stop said no: backup is not in progress" in words
    assert "durable backups restored whole: 41 restored whole: 1" in words
    assert f"catalogue table copy not restored: {PANIC} copy not restored: 1".replace(":  ", ": ") in words
    assert "1,205 stops said no, for 3 reasons" in words
    assert f"durable backups 55000 {RESET} WAL reset 1,200" in words


def test_the_summary_answers_which_backups_survive(page: Path) -> None:
    summary = (page.parent / SUMMARY).read_text()
    assert "**Which backups survive a restart?**" in summary
    assert "| durable backups | restored whole: 41 | restored whole: 1 |  |  |" in summary
    panic = "`PANIC: online backup was canceled, recovery cannot continue`"
    assert f"| shared memory and a catalogue table | copy not restored: 1 |  |  | {panic} |" in summary
    assert "| WAL reset | stop said no: 1,200, copy not restored: 1 |" in summary
    assert f"| durable | 55000 | {RESET} | 1,200 |" in summary


def test_the_figures_show_each_row_with_its_numbers_and_its_words(page: Path) -> None:
    names = [part.name for part in parts(ends())]
    assert names == ["survival", "survival-refused", "survival-controls"]
    for name in names:
        assert (page.parent / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    (axes,) = draw(parts(ends())[1].rows).axes
    shown = [text.get_text() for text in axes.texts]
    assert "– 1,200" in shown  # noqa: RUF001
    assert "✗ 1" in shown
    assert any(RESET in text and "FATAL: torn" in text for text in shown)


def test_no_text_of_a_figure_lies_over_another() -> None:
    """Whatever long words servers and properties find."""
    said = "FATAL:  " + "a long complaint about many things " * 9
    names = ["wrong", "wrong, too", "wrong, as ever", "with something wrong " * 4]
    long = [a_restore("a", said, survival_case=a_survival_case("durable", FAST, but=name)) for name in names]
    many = [a_restore("a", survival_case=a_survival_case("durable", FAST, but="all at once")) for _ in range(1_000)]
    down = a_refusal("no", "durable", FAST, but="all at once", refused=1_000)
    one = a_property("a", restores=[*long, *many], refusals=[down])
    for part in parts(ends_of(msgspec.convert(a_campaign(properties=[one]), Campaign))):
        figure = draw(part.rows)
        figure.draw_without_rendering()
        (axes,) = figure.axes
        boxes = [text.get_window_extent() for text in axes.texts]
        over = [
            (one.get_text(), other.get_text())
            for (one, box), (other, beside) in combinations(zip(axes.texts, boxes, strict=True), 2)
            if box.overlaps(beside)
        ]
        assert not over, f"{part.name}: these lie over each other: {over}"
        assert max(box.x1 for box in boxes) <= figure.bbox.x1, f"{part.name}: words go over the edge"


def test_results_of_before_passages_were_recorded_have_a_report(tmp_path: Path) -> None:
    page = write_report(a_folder(tmp_path / "old", a_campaign()))
    assert "Restarts" not in words_of(page)
    assert "survive a restart" not in (page.parent / SUMMARY).read_text()
    assert not (page.parent / "figures" / "survival.png").exists()


@pytest.mark.parametrize("name", ["restores", "refusals"])
def test_a_passage_that_is_none_gets_one_clear_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong: dict[str, Any] = {
        "restores": {"restores": [a_restore("a", survival_case={**a_survival_case("durable"), "across": FAST})]},
        "refusals": {"refusals": [{**a_refusal("no", "durable"), "across": FAST}]},
    }[name]
    folder = a_folder(tmp_path / "bad", a_campaign(properties=[a_property("a", **wrong)]))
    assert main([str(folder)]) == 2
    where = f"{name}[0].{'survival_case.' if name == 'restores' else ''}across"
    assert f"{where} is text, and should be a list" in capsys.readouterr().err
