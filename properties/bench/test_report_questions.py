"""The page to mail answers each question with what results there are, and names the command of each number.

What is missing it names with the command that makes it. The folders here are made up; no server runs.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from properties.bench.made_explorations import made_folder
from properties.bench.made_results import RUN, Loads, a_bench, a_benchmark, a_folder, a_spread, words_of
from properties.bench.made_simulations import COMMAND, a_bill, a_simulation
from reports.__main__ import main
from reports.questions.answers import EXPLORE, MEMORY, QUESTIONS, SIMULATE, STORAGE, SWEEP, VERIFY
from reports.questions.page import PAGE, TEXT

pytestmark = pytest.mark.filterwarnings("error:Glyph")  # a letter that the font of the figures lacks

FLEET = "nox -s simulate -- --servers 77"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with results of every kind but a campaign's, and older ones beside them."""
    place = tmp_path_factory.mktemp("questions")
    made_folder(place / "explored")
    a_folder(place / "measured", bench=a_bench())
    a_folder(place / "stored", bench=a_storage())
    simulated(place / "swept", a_simulation())
    simulated(place / "fleet", a_fleet(4_711))
    simulated(place / "old", {**a_fleet(1), "when": "2020-01-01T00:00:00+00:00"})
    assert main(["--questions", str(place), "--output", str(place / "out")]) == 0
    return place


def a_storage() -> dict[str, Any]:
    """A bench.json with both ways to keep backups."""
    one = a_benchmark(
        "fixed_start_latency",
        candidates={"fixed": a_spread(1.0, 2.0, 3.0), "shared": a_spread(1.0, 2.0, 3.0)},
        parameters={"room": 1_000},
        ratios=[{"candidate": "fixed", "against": "shared", "pairs": 3, "target": None, "verdict": "none",
                 **a_spread(1.0, 1.25, 2.0)}],
        values={"fixed: bytes reserved at start": 3 * 2.0**20, "shared: bytes reserved at start": 2.0**20},
    )  # fmt: skip
    return {**RUN, "verdict": "complete", "mode": "full", "selection": "preallocated", "benchmarks": [one]}


def a_fleet(connections: int) -> dict[str, Any]:
    """A simulation.json without a sweep, with the peer that people use today."""
    bills = [a_bill("script", connections_peak=connections), a_bill("thread", useless=3)]
    return a_simulation(command=FLEET, points=[{"changed": {}, "complete": True, "bills": bills}])


def simulated(folder: Path, simulation: dict[str, Any]) -> None:
    folder.mkdir()
    (folder / "simulation.json").write_text(json.dumps(simulation))


def text_of(folder: Path) -> str:
    """The mail, in one line."""
    return " ".join((folder / "out" / TEXT).read_text().split())


@pytest.mark.parametrize("words", [
    "takes 2 MiB. The first backup of a server takes 1 MiB. [nox -s bench]",
    "fixed / shared = 1.25 (1.00 to 2.00). [nox -s bench -- --full -k 'preallocated']",
    "Reserved when the server starts: fixed 3 MiB, shared 1 MiB. [nox -s bench -- --full -k 'preallocated']",
    "without a lease: with a time to live of 10 min orphans stay open for 1.5 hours in all, and 4,000 backups expire",
    f"1 h orphans stay open for 56 hours in all, and 0 backups expire whose copy is under way. [{COMMAND}]",
    "script: of 2,000 servers in 30 days, 4,711 connections are held at once at most; 34.5 hours of copying",
    f"thread: of 2,000 servers in 30 days, 0 connections are held at once at most; 34.5 hours of copying are repeated; "
    f"3 backups are handed out that do not restore. [{FLEET}]",
    "survives a restart: broken: stock, thread, catalog.",
    "All of these are kept by no design. [nox -s explore]",
])  # fmt: skip
def test_each_answer_has_its_figures_and_their_commands(words: str, results: Path) -> None:
    assert words in text_of(results)


def test_page_and_mail_say_the_same(results: Path) -> None:
    said = words_of(results / "out" / PAGE)
    for question in QUESTIONS:
        assert f"{question.number} {question.title}" in said
        assert f"{question.number}. {question.title}" in text_of(results)
    for words in ("fixed / shared = 1.25 (1.00 to 2.00).", "4,711 connections", "All of these are kept by no design."):
        assert words in said
        assert words in text_of(results)


def test_what_people_use_today_stands_in_the_same_table(results: Path) -> None:
    page = (results / "out" / PAGE).read_text()
    table = page[page.index('<section id="all">') :]
    for name in ("script", "stock", "thread", "catalog"):
        assert f'<th scope="row">{name}</th>' in table
    row = table[table.index('<th scope="row">script</th>') :].partition("</tr>")[0]
    assert "broken, and not claimed" in row
    assert "4,711" in row


def test_the_catalogue_s_counterexample_is_shown_with_the_question_of_restarts(results: Path) -> None:
    page = (results / "out" / PAGE).read_text()
    assert "not restorable" in page[page.index('<section id="Q3">') : page.index('<section id="Q4">')]


def test_lines_of_the_mail_fit_a_mail(results: Path) -> None:
    for line in (results / "out" / TEXT).read_text().splitlines():
        assert len(line) <= 76 or "nox -s" in line


def test_the_page_loads_nothing(results: Path) -> None:
    parser = Loads()
    parser.feed((results / "out" / PAGE).read_text())
    assert all(one.startswith(("#", "data:")) for one in parser.found)


def test_what_is_missing_is_named_with_its_command(tmp_path: Path) -> None:
    a_folder(tmp_path / "measured", bench=a_bench())
    assert main(["--questions", str(tmp_path / "measured"), "--output", str(tmp_path / "out")]) == 0
    said = text_of(tmp_path)
    for command in (EXPLORE, STORAGE, SWEEP, VERIFY, SIMULATE):
        assert f"`{command}` makes them" in said
        assert command in words_of(tmp_path / "out" / PAGE)
    assert f"`{MEMORY}`" not in said


def test_nothing_to_answer_with_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, complaint in ((tmp_path, "There are no results in"), (tmp_path / "none", "There is no folder")):
        assert main(["--questions", str(place), "--output", str(tmp_path)]) == 2
        said = capsys.readouterr().err.strip()
        assert complaint in said
        assert len(said.splitlines()) == 1
