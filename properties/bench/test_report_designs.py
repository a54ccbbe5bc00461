"""The page of an exploration shows every verdict and every step, needs only itself, and says what it cannot read."""

import dataclasses
import json
import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from harness.schema import counterexample as schema
from harness.schema.exploration import Counterexample, Exploration, Judgement, Promise, Verdict
from harness.schema.replays import Replay, Replays
from harness.schema.replays import Verdict as Replayed
from model.design import CATALOG, SHARED, THREAD, Design
from model.numbers import StartPoint
from model.operations import Abort, Start
from model.steps import NextPhase
from properties.bench.made_explorations import AT_ONCE, WITH_GRAPHS, made_folder, told
from properties.bench.made_results import Loads, words_of
from properties.exploration.records import designed
from properties.exploration.scripts import script
from properties.recording.isolation_spec import isolation_spec
from properties.recording.isolation_steps import UntellableError
from properties.recording.psql_script import psql_script
from reports.__main__ import main
from reports.designs.folder import read_explored
from reports.designs.matrix import anchor, rows
from reports.designs.page import EXPLORER
from reports.designs.sequence import sequence
from reports.designs.summary import designs_summary
from reports.report import PAGE, SUMMARY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exploration with its report."""
    made = made_folder(tmp_path_factory.mktemp("designs") / "made")
    assert main([str(made)]) == 0
    return made


def results_of(folder: Path) -> Exploration:
    return msgspec.json.decode((folder / "exploration.json").read_bytes(), type=Exploration)


def test_without_scripts_the_page_shows_every_verdict(folder: Path) -> None:
    said = words_of(folder / PAGE)
    claims = {design.name: design.claims for design in results_of(folder).designs}
    for one in results_of(folder).judgements:
        claimed, broken = one.promise in claims[one.design], one.counterexample is not None
        words = "broken" if broken else "kept"
        assert f"{f'claimed and {words}' if claimed else f'{words}, and not claimed'} by {one.design}" in said
    for promise in results_of(folder).promises:
        assert promise.sentence in said


def test_each_counterexample_is_on_the_page_with_its_steps_and_its_scripts(folder: Path) -> None:
    page, said = (folder / PAGE).read_text(), words_of(folder / PAGE)
    for one in results_of(folder).judgements:
        if one.counterexample is not None:
            assert f'id="{anchor(one.design, one.promise)}"' in page
            assert f"{one.design}.{one.promise}.sql, for psql" in said


@pytest.mark.parametrize("name", [PAGE, EXPLORER])
def test_the_pages_load_nothing(name: str, folder: Path) -> None:
    parser = Loads()
    parser.feed((folder / name).read_text())
    loaded = {
        one for one in parser.found if one not in ("script", PAGE) and not one.startswith(("#", "data:", EXPLORER))
    }
    assert loaded == set()
    assert not re.search(r"@import|url\(|src=", (folder / name).read_text())


def test_the_diagram_tells_each_step_and_what_there_is_then() -> None:
    found = told(THREAD)
    drawn = str(sequence(found, "a <title>"))
    assert "a &lt;title&gt;" in drawn
    for words in ("reserve", "take start point", "publish start", "claim to stop", "55006 object in use",
                  "is lost before end backup", "the server crashes, and recovers (crash)"):  # fmt: skip
        assert words in drawn, words
    assert drawn.count('class="note bad"') == 1
    for step in found.steps:
        assert f">{step.number}</text>" in drawn
        assert f"core counts {step.after.core}" in drawn


def test_what_is_kept_so_far_is_not_said_to_be_kept(folder: Path) -> None:
    found = read_explored(folder)
    cut = tuple([replace(one, complete=False, why="the time was up") for one in found.exploration.explored])
    for row in rows(replace(found.exploration, explored=cut)):
        for cell in row.cells:
            assert cell.broken or "as far as was looked" in cell.words


def test_a_claim_that_is_broken_stands_in_the_summary_step_by_step(folder: Path) -> None:
    found = read_explored(folder)
    broken = next(one for one in found.exploration.judgements if one.counterexample)
    claimed = tuple(
        [replace(one, verdict=Verdict.BROKEN) if one is broken else one for one in found.exploration.judgements]
    )
    said = designs_summary(dataclasses.replace(found, exploration=replace(found.exploration, judgements=claimed)))
    assert f"{broken.design} claims" in said
    assert "1. session 0: start a: ok, 1" in said
    assert "claims" not in (folder / SUMMARY).read_text()


def test_beside_a_counterexample_stands_what_the_server_said(folder: Path, tmp_path: Path) -> None:
    judged = [one for one in results_of(folder).judgements if one.counterexample]
    replays = Replays(
        postgresql="18.6",
        counterexamples=(
            Replay(design=judged[0].design, promise=judged[0].promise, verdict=Replayed.AGREES, steps=2),
            Replay(design=judged[1].design, promise=judged[1].promise, verdict=Replayed.NOT_REPLAYED, why="no <thing>"),
            Replay(design=judged[2].design, promise=judged[2].promise, verdict=Replayed.DISAGREES, why="step 1: no"),
        ),
    )
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "exploration.json").write_bytes((folder / "exploration.json").read_bytes())
    (copy / "replays.json").write_bytes(msgspec.json.encode(replays))
    assert main([str(copy)]) == 0
    said = words_of(copy / PAGE)
    assert "Replayed on PostgreSQL 18.6: as the model says." in said
    assert "Not replayed on a server: no <thing>." in said
    assert "Replayed on PostgreSQL 18.6: against the model (step 1: no)." in said
    assert "1 of 2 histories came out as the model says" in (copy / SUMMARY).read_text()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("exploration.json", "{", "it is no JSON"),
        ("exploration.json", '{"schema": 99}', "its schema is 99"),
        ("graph-stock.json", '{"design": 1}', "design is a whole number"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_sentence(
    name: str, text: str, complaint: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("exploration.json", "graph-stock.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    (tmp_path / name).write_text(text)
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip()
    assert complaint in said
    assert len(said.splitlines()) == 1


def test_an_edge_that_leads_to_what_is_not_there_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exploration.json").write_bytes((folder / "exploration.json").read_bytes())
    graph = json.loads((folder / "graph-stock.json").read_text())
    graph["edges"][0][1] = len(graph["nodes"])
    (tmp_path / "graph-stock.json").write_text(json.dumps(graph))
    assert main([str(tmp_path)]) == 2
    assert "an edge leads to what is not there" in capsys.readouterr().err


def test_graphs_that_were_not_copied_along_are_left_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "exploration.json").write_bytes((folder / "exploration.json").read_bytes())
    assert main([str(tmp_path)]) == 0
    assert not (tmp_path / EXPLORER).exists()
    assert EXPLORER not in (tmp_path / PAGE).read_text()
    assert {graph.design for graph in read_explored(folder).graphs} == {design.name for design in WITH_GRAPHS}


# The scripts


def scripted(found: Counterexample, design: Design) -> schema.Counterexample:
    """A history as it is kept for scripts."""
    judged = Judgement(promise="made_up", design=design.name, verdict=Verdict.NO, counterexample=found)
    return script(judged, found, designed(design), Promise(name="made_up", sentence="It is made up."))


def test_a_script_sends_each_call_once_and_lets_it_go_on_phase_by_phase() -> None:
    said = psql_script(scripted(told(SHARED), SHARED))
    wanted = [
        "SET SESSION AUTHORIZATION dave;",
        "SELECT shared_backup_injection_point_attach('start-reserved', label => 'a');",
        "SELECT start_lsn, token FROM shared_backup_start('a', true, NULL::interval);",
        "SELECT shared_backup_injection_point_wakeup('start-reserved', 'a');",
        "55006 object_in_use",
        "SELECT shared_backup_injection_point_wakeup('start-point-taken', 'a');",
        "shared_backup_stop('a', false, NULL::uuid);",
        "pg_terminate_backend",
        r"\prompt 'Restart the server (crash), then press Enter: ' answer",
    ]
    position = 0
    for words in wanted:
        position = said.index(words, position) + len(words)
    assert said.count("FROM shared_backup_start(") == 1


def test_the_script_of_a_design_that_nobody_has_built_says_so() -> None:
    assert "There is no implementation" in psql_script(scripted(told(CATALOG), CATALOG))
    assert "There is no implementation" not in psql_script(scripted(told(SHARED), SHARED))


def test_a_start_that_is_named_later_is_remembered_by_its_token() -> None:
    steps = (Start(0, "a"), NextPhase(0), NextPhase(0), Abort(1, "a", StartPoint(1)))
    said = psql_script(scripted(told(SHARED, steps), SHARED))
    assert r"AS start_1 (start_lsn, token) \gset start_1_" in said
    assert "shared_backup_abort('a', :'start_1_token'::uuid)" in said


def test_what_restarts_no_server_is_a_specification_for_the_isolation_tester_too() -> None:
    assert "permutation step1_connect step2_connect" in isolation_spec(scripted(told(SHARED, AT_ONCE[:-1]), SHARED))
    with pytest.raises(UntellableError):
        isolation_spec(scripted(told(SHARED), SHARED))
