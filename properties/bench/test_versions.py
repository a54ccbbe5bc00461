"""A campaign on several PostgreSQL tells them apart: each runs as it does alone, and where they differ comes first.

The PostgreSQL here are made up: a pg_config that says a version, which is all that the made-up properties ask.
"""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.machine.postgres import Postgres, find_postgres
from harness.machine.processes import hear_signals
from harness.machine.project import ROOT
from harness.schema.campaign import Verdict
from harness.schema.versions import Standing, Versions, standing_of
from properties.bench.made_campaigns import CONFTEST, HOLDING, PATIENCE, Ended, campaign, command, written
from properties.bench.made_installs import made_install
from properties.campaign.__main__ import main
from properties.campaign.side_by_side import names_of

MADE = {"15": "15.20 (Debian 15.20-0+deb12u1)", "16": "16.4", "17": "17.2"}
MIXED = """
import os
import pytest

def test_two_is_even():
    assert 2 % 2 == 0

def test_one_is_even():
    assert 1 % 2 == 0

def test_servers_are_old(postgres):
    assert postgres.major < 17

def test_the_checker_knows_servers(postgres):
    {15: 0, 17: 0}[postgres.major]

def test_what_old_servers_lack(postgres):
    if postgres.major < 17:
        pytest.skip("it came with PostgreSQL 17")

def test_each_number_is_known(number):
    pass
"""
NUMBERED = """
def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        old = "/15/" in metafunc.config.getoption("--pg-config")
        metafunc.parametrize("number", [1] if old else [1, 2])
"""
FAILING_ON_16 = "def test_it_is_not_16(postgres):\n    assert postgres.major != 16\n"


def made(folder: Path, *numbers: str) -> list[str]:
    """The options that name made-up installations of these versions."""
    paths = [made_install(folder / number, f"PostgreSQL {MADE[number]}") for number in numbers]
    return [f"--pg-config={path}" for path in paths]


def results_of(run: Ended) -> Versions:
    """What stands side by side."""
    return msgspec.json.decode((run.results / "latest" / "versions.json").read_bytes(), type=Versions)


def own_results(run: Ended) -> list[dict[str, Any]]:
    """The results.json of each version."""
    return [msgspec.json.decode((run.results / str(one.folder) / "results.json").read_bytes())
            for one in results_of(run).ran]  # fmt: skip


def standings(results: Versions) -> dict[str, Standing]:
    """Of each property."""
    return {one.name: one.standing for one in results.properties}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Three versions, and properties of which some hold on some of them."""
    folder = tmp_path_factory.mktemp("mixed")
    return campaign(folder, *made(folder, "15", "16", "17"), test_mixed=MIXED, conftest=CONFTEST + NUMBERED)


def test_where_versions_differ_is_told_first(mixed: Ended) -> None:
    (_, end) = mixed.output.split("Side by side")
    lines = [" ".join(line.split()) for line in end.splitlines()]
    parts = [line for line in end.splitlines() if line and line[0] in "HST" and "propert" in line]
    assert parts == [
        "Holds on one, and not on another: 2 properties",
        "Holds on none: 1 property",
        "Skipped on one, or not there: 2 properties",
        "The same on all: 2 properties",
    ]
    start = lines.index("mixed: servers are old")
    assert lines[start + 1] == "15.20, 16.4: holds"
    assert lines[start + 2].startswith("17.2: fails (assert 17 < 17")
    assert "15.20, 16.4: skipped (it came with PostgreSQL 17)" in lines
    assert "2 properties hold on one PostgreSQL and not on another; it fails on 15.20, 16.4, 17.2" in lines[-1]
    assert lines[-1].startswith("Verdict FAILS")


def test_a_property_is_judged_on_all_versions_together(mixed: Ended) -> None:
    assert standings(results_of(mixed)) == {
        "two is even": Standing.AGREES,
        "one is even": Standing.NOWHERE,
        "servers are old": Standing.DIFFERS,
        "the checker knows servers": Standing.DIFFERS,
        "what old servers lack": Standing.PARTLY,
        "each number is known: 1": Standing.AGREES,
        "each number is known: 2": Standing.PARTLY,
    }


def test_what_became_of_a_property_is_kept_with_the_reason(mixed: Ended) -> None:
    found = {one.name: one for one in results_of(mixed).properties}
    crashed, skipped, new = (
        found[name] for name in ("the checker knows servers", "what old servers lack", "each number is known: 2")
    )
    assert crashed.verdicts == {"15.20": "holds", "16.4": "crashed", "17.2": "holds"}
    assert list(crashed.reasons) == ["16.4"]
    assert crashed.reasons["16.4"].startswith("KeyError: 16")
    assert skipped.reasons == dict.fromkeys(["15.20", "16.4"], "it came with PostgreSQL 17")
    assert new.verdicts == {"16.4": "holds", "17.2": "holds"}
    assert "    15.20: there is no such property\n" in mixed.output


def test_each_version_leaves_its_own_results(mixed: Ended) -> None:
    assert mixed.status == 1
    results = results_of(mixed)
    versions = [one["postgresql"]["version"] for one in own_results(mixed)]
    assert versions == [one.postgresql.version for one in results.campaigns] == list(MADE.values())
    for one, own in zip(results.campaigns, own_results(mixed), strict=True):
        assert (one.verdict, one.reason, one.seconds) == (own["verdict"], own["reason"], own["seconds"])
        assert sum(one.counts.values()) == len(own["properties"])
    assert sorted(path.name for path in mixed.results.iterdir() if not path.is_symlink()) == sorted(
        [*(str(one.folder) for one in results.campaigns), (mixed.results / "latest").readlink().name]
    )
    assert f"--pg-config={mixed.results.parent / '17' / 'bin' / 'pg_config'} -k test_servers_are_old" in mixed.output


def test_if_all_versions_hold_so_does_the_campaign(tmp_path: Path) -> None:
    run = campaign(tmp_path, *made(tmp_path, "15", "17"), test_good=HOLDING)
    results = results_of(run)
    assert (run.status, results.verdict, results.reason) == (0, Verdict.HOLDS, "")
    assert run.output.rstrip().endswith("Verdict  HOLDS: on 15.20, 17.2")


def test_one_version_by_itself_leaves_what_it_always_did(tmp_path: Path) -> None:
    run = campaign(tmp_path, *made(tmp_path, "15"), test_good=HOLDING)
    assert (run.status, run.json["postgresql"]["version"]) == (0, MADE["15"])
    assert "Side by side" not in run.output
    assert not list(run.results.glob("*/versions.json"))


def test_after_the_first_failure_no_version_is_run(tmp_path: Path) -> None:
    run = campaign(tmp_path, "-x", *made(tmp_path, "15", "16", "17"), test_one=FAILING_ON_16)
    results = results_of(run)
    assert (run.status, results.verdict) == (1, Verdict.FAILS)
    assert [one.verdict for one in results.campaigns] == ["holds", "fails", "not run"]
    assert results.reason.endswith("it fails on 16.4; it was not run on 17.2; it holds on 15.20")
    assert standings(results) == {"it is not 16": Standing.DIFFERS}
    assert len(own_results(run)) == 2


def test_the_processes_of_a_campaign_have_its_postgresql(tmp_path: Path) -> None:
    run = campaign(tmp_path, "--workers=2", *made(tmp_path, "15", "16"), test_one=FAILING_ON_16)
    assert [one.verdict for one in results_of(run).campaigns] == ["holds", "fails"]


def test_ctrl_c_stops_later_versions_too(tmp_path: Path) -> None:
    slow = HOLDING + "def test_new_servers_are_slow(postgres):\n    import time\n"
    slow += "    time.sleep(600 if postgres.major > 15 else 0)\n"
    program = command(tmp_path, written(tmp_path, test_slow=slow), *made(tmp_path, "15", "16", "17"))
    pipe = subprocess.PIPE
    process = subprocess.Popen(program, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=hear_signals)
    assert process.stdout is not None
    before = ""
    while before.count("two is even (") < 2:
        assert process.poll() is None
        before += process.stdout.readline()
    time.sleep(0.3)  # for the slow one to begin; if it has not, it is interrupted all the same
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    run = Ended(process.returncode, before + output, errors, tmp_path / "out")
    results = results_of(run)
    assert (run.status, results.verdict, errors) == (130, Verdict.INTERRUPTED, "")
    assert [one.verdict for one in results.campaigns] == ["holds", "interrupted", "not run"]
    assert standings(results) == {"two is even": Standing.AGREES, "new servers are slow": Standing.UNCHECKED}
    assert "Verdict  INTERRUPTED" in output


def test_a_version_that_cannot_be_set_up_stops_no_other(tmp_path: Path) -> None:
    needs = "import pytest\nfrom harness.machine.postgres import SetupError\n"
    needs += "from properties.support.servers import setting_up\n@pytest.fixture\n@setting_up()\n"
    needs += "def built(postgres):\n    if postgres.major == 16:\n        raise SetupError('It does not compile.')\n"
    run = campaign(tmp_path, *made(tmp_path, "16", "17"), test_it=needs + "def test_it(built): pass\n")
    results = results_of(run)
    assert (run.status, run.errors) == (2, "It does not compile.\n")
    assert [(one.verdict, one.reason) for one in results.campaigns] == [
        ("crashed", "It does not compile."),
        ("holds", ""),
    ]
    assert (results.verdict, results.reason) == (Verdict.CRASHED, "it crashed on 16.4; it holds on 17.2")


def test_what_one_campaign_counted_is_not_anothers(tmp_path: Path) -> None:
    counts = "from pathlib import Path\nfrom harness.building import counters\n"
    counts += "def test_nothing_was_counted():\n    assert not counters._counted\n"
    counts += "    counters._counted[Path('/nowhere')] = 'gcov'\n"
    run = campaign(tmp_path, *made(tmp_path, "15", "16"), test_counts=counts)
    assert run.status == 0, run.output


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["{15}"], ["{15} and {15} lead to the same PostgreSQL 15.20 (Debian 15.20-0+deb12u1): name it once"]),
        (["{15}/../pg_config"], ["lead to the same PostgreSQL 15.20"]),
        (
            ["/nowhere/a", "/nowhere/b"],
            ["There is no pg_config at /nowhere/a:", "There is no pg_config at /nowhere/b:"],
        ),
    ],
    ids=["twice", "by two names", "nowhere"],
)
def test_before_anything_runs_each_postgresql_that_cannot_be_used_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: list[str]
) -> None:
    fifteen = made_install(tmp_path / "15", f"PostgreSQL {MADE['15']}")
    (tmp_path / "15" / "bin" / "pg_config").parent.joinpath("x").mkdir()
    names = [
        str(fifteen),
        *(one.replace("{15}/..", f"{fifteen.parent}/x/..").replace("{15}", str(fifteen)) for one in more),
    ]
    assert main([f"--results={tmp_path / 'out'}", *(f"--pg-config={one}" for one in names)], tmp_path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for line, words in zip(captured.err.splitlines(), says, strict=True):
        assert words.replace("{15}", str(fifteen)) in line
    assert not (tmp_path / "out").exists()


def test_a_wrong_expression_leaves_nothing_of_any_version(tmp_path: Path) -> None:
    run = campaign(tmp_path, "-k", "labels and (", *made(tmp_path, "15", "16"), test_good=HOLDING)
    assert run.status == 2
    assert run.errors.startswith("Wrong expression passed to '-k': labels and (")
    assert run.errors.count("\n") == 1
    assert list(run.results.iterdir()) == []


@pytest.mark.parametrize(
    ("verdicts", "standing"),
    [
        ("holds fails", Standing.DIFFERS),
        ("holds crashed skipped", Standing.DIFFERS),
        ("holds interrupted", Standing.UNCHECKED),
        ("holds not-run", Standing.UNCHECKED),
        ("fails crashed", Standing.NOWHERE),
        ("fails skipped", Standing.NOWHERE),
        ("fails absent", Standing.NOWHERE),
        ("interrupted interrupted", Standing.NOWHERE),
        ("holds skipped", Standing.PARTLY),
        ("holds absent", Standing.PARTLY),
        ("holds holds", Standing.AGREES),
        ("skipped skipped", Standing.AGREES),
    ],
)
def test_only_what_fails_or_is_not_checked_is_alarming(verdicts: str, standing: Standing) -> None:
    every = {None if one == "absent" else Verdict(one.replace("-", " ")) for one in verdicts.split()}
    assert standing_of(every) is standing


def test_builds_of_one_version_have_names_of_their_own(tmp_path: Path) -> None:
    def named(place: str, version: str) -> Postgres:
        return find_postgres(made_install(tmp_path / place, version))

    every = [named("a", "PostgreSQL 15.20 (Debian)"), named("b", "PostgreSQL 19devel"), named("c", "PostgreSQL 15.20")]
    assert names_of(every) == ["15.20 (1)", "19devel", "15.20 (2)"]
