"""The report shows what a simulated fleet costs, each number with the command that made it.

The folders here are made up; no server runs.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.container import BarContainer

from harness.schema.simulation import Simulation
from properties.bench.drawn import along, texts
from properties.bench.made_results import Loads, words_of
from properties.bench.made_simulations import COMMAND, a_point, a_simulation
from reports.__main__ import main
from reports.figures.simulation import draw_bills, draw_ttl
from reports.report import PAGE, SUMMARY
from reports.simulation import base, curves

pytestmark = pytest.mark.filterwarnings("error:Glyph")  # a letter that the font of the figures lacks


def a_page(folder: Path, **more: Any) -> Path:
    """The page of a folder with a simulation."""
    folder.mkdir()
    (folder / "simulation.json").write_text(json.dumps(a_simulation(**more)))
    assert main([str(folder)]) == 0
    return folder / PAGE


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sweep."""
    return a_page(tmp_path_factory.mktemp("fleet") / "some")


@pytest.fixture
def run() -> Simulation:
    """The same, as it is read."""
    return msgspec.convert(a_simulation(), Simulation)


def test_the_bill_is_that_of_the_fleet_as_its_parameters_say(page: Path, run: Simulation) -> None:
    words = words_of(page)
    assert "Of 2,000 servers, ttl = 3600, renewals = 3." in words
    assert "held at once, peak 431 0 0" in words
    assert "held, hours 98,765 0 0" in words
    assert "until a good one, mean 0.5 h 0.5 h 0.5 h" in words
    assert "handed out, does not restore, nobody knows 0 0 17" in words
    assert "hours open 81 56 81" in words
    assert "WAL of these, where full_page_writes is off 1 TiB 1 TiB 1 TiB" in words
    point = base(run)
    assert point
    assert point.changed == {"ttl": 3600, "renewals": 3}


def test_where_the_parameters_themselves_were_not_simulated_the_first_fleet_is_billed(run: Simulation) -> None:
    other = msgspec.structs.replace(run, points=run.points[:2])
    assert base(other) == run.points[0]


def test_every_number_names_the_command_that_made_it(page: Path) -> None:
    said = words_of(page)
    assert f"Every number of this section was made by {COMMAND}" in said
    assert said.count(COMMAND) >= 3, "and so does each figure"
    assert "seed 4711" in said
    assert f"made by `{COMMAND}`" in (page.parent / SUMMARY).read_text()


def test_the_fates_are_shown_as_the_model_says(page: Path) -> None:
    words = words_of(page)
    assert "stock goes on goes on goes on goes on goes on" in words
    assert "catalog ended does not restore goes on goes on goes on" in words


def test_every_point_of_the_sweep_is_in_a_table(page: Path) -> None:
    words = words_of(page)
    assert "600 0 shared 4,000 1.5 34.5 0 0" in words
    assert "600 3 shared 40 8 34.5 0 0" in words
    assert "restart 5 5 5" in words


def test_the_summary_has_the_bill(page: Path) -> None:
    summary = (page.parent / SUMMARY).read_text()
    assert "|  | stock | shared | catalog |" in summary
    assert "| Copies: hours repeated | 50 | 34 | 34 |" in summary
    assert "2,000 servers for 30 days, ttl = 3600, renewals = 3, seed 4711" in summary


def test_the_page_needs_nothing_but_itself(page: Path) -> None:
    parser = Loads()
    parser.feed(page.read_text())
    assert [one for one in parser.found if not one.startswith(("data:image/", "#"))] == []
    assert {path.name for path in (page.parent / "figures").iterdir()} == {
        f"simulation-{name}.{kind}" for name in ("bill", "ttl") for kind in ("png", "svg")
    }


def test_what_was_interrupted_says_that_it_is_partial(tmp_path: Path) -> None:
    points = [a_point(600, 0, 1.5, 4_000, complete=False), {"changed": {"ttl": 9}, "complete": False, "bills": []}]
    page = a_page(tmp_path / "cut", verdict="interrupted", points=points)
    assert "The run was interrupted: these figures are partial" in words_of(page)
    assert "(interrupted: partial)" in (page.parent / SUMMARY).read_text()


def test_of_one_point_there_is_no_curve(tmp_path: Path) -> None:
    page = a_page(tmp_path / "one", points=[a_point(3600, 3, 56.0, 0) | {"changed": {}}])
    assert {path.name for path in (page.parent / "figures").iterdir()} == {"simulation-bill.png", "simulation-bill.svg"}
    assert "Every point of the sweep" not in words_of(page)


def test_a_simulation_that_was_interrupted_before_any_point_still_has_a_page(tmp_path: Path) -> None:
    page = a_page(tmp_path / "none", points=[{"changed": {}, "complete": False, "bills": []}])
    assert "The bill" not in words_of(page)


def test_bad_input_gets_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "simulation.json").write_text(json.dumps(a_simulation(seed="x")))
    assert main([str(tmp_path)]) == 2
    assert "simulation.json is not a simulation: seed is text" in capsys.readouterr().err


# The figures


def test_the_bars_are_the_bill_and_what_does_not_restore_is_hatched(run: Simulation) -> None:
    axes = draw_bills(run.points[3].bills).axes
    assert texts(axes[0]) == ["431", "0", "0"]
    assert texts(axes[2]) == ["50", "34", "34, and 26 for what does not restore"]
    wasted, useless = (one for one in axes[2].containers if isinstance(one, BarContainer))
    assert [bar.get_width() for bar in wasted.patches] == [50.0, 34.5, 34.5]
    [hatched] = useless.patches
    assert (hatched.get_x(), hatched.get_width(), bool(hatched.get_hatch())) == (34.5, 26.0, True)


def test_the_curves_are_of_the_first_way_that_expires_with_and_without_a_lease(run: Simulation) -> None:
    way, some = curves(run)
    assert way == "shared"
    assert [(one.name, [ttl for ttl, _ in one.points]) for one in some] == [
        ("without a lease", [600, 3600]), ("with a lease", [600, 3600]),
    ]  # fmt: skip
    left, middle, right = draw_ttl(some).axes
    up = [[[float(y) for y in np.asarray(line.get_ydata())] for line in axes.lines] for axes in (left, middle)]
    assert up == [[[1.5, 41.0], [8.0, 56.0]], [[4000, 900], [40, 0]]]
    assert [along(line) for line in right.lines] == up[0]
    assert texts(right) == ["10 min", "1 h", "10 min", "1 h"]


def test_without_a_sweep_of_the_lease_the_curve_is_of_the_one_that_was_chosen(run: Simulation) -> None:
    points = tuple(msgspec.structs.replace(one, changed={"ttl": one.changed["ttl"]}) for one in run.points[1::2])
    _, some = curves(msgspec.structs.replace(run, points=points))
    assert [(one.name, one.leased) for one in some] == [("with a lease", True)]
