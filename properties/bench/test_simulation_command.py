"""``nox -s simulate``: options, files, results, what is told of bad input, and what an interruption leaves."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.simulation import __main__ as program
from benchmarks.simulation import world as worlds
from benchmarks.simulation.parameters import NAMES, SOURCES, UNITS, Parameters, changed
from benchmarks.simulation.results import results_of
from benchmarks.simulation.ways import WAYS
from benchmarks.simulation.work import Counted, fleet, simulate_all
from harness.machine.project import ROOT
from harness.running.results import run_anywhere
from harness.schema.simulation import Simulation, Verdict
from properties.bench.made_results import a_bench, a_folder

SMALL = ("--servers=40", "--days=5", "--no-report")


def simulate(folder: Path, *options: str) -> Simulation:
    """A run that succeeds; what it leaves."""
    assert program.main([*SMALL, f"--results={folder}", *options]) == 0
    return msgspec.json.decode((folder / "latest" / "simulation.json").read_bytes(), type=Simulation)


def bills(run: Simulation) -> list[Any]:
    """All of its numbers."""
    return [msgspec.to_builtins(one) for one in run.points]


def test_every_design_gets_its_bill_and_the_table_shows_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = simulate(tmp_path, "--seed=7")
    [point] = run.points
    assert [one.way for one in point.bills] == list(WAYS) == list(run.fates)
    assert (run.verdict, point.complete, run.seed, run.parameters["servers"]) == (Verdict.COMPLETE, True, 7, 40)
    said = capfd.readouterr().out
    assert all(name in said for name in WAYS)
    assert "seed 7" in said
    assert re.search(r"backups due +200 +200", said) or re.search(rf"backups due +{point.bills[0].jobs}", said)


def test_each_point_of_a_sweep_gets_its_bill(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = simulate(tmp_path, "--sweep", "ttl=60,7200", "--sweep", "renewals=0,2", "--designs", "shared,thread")
    assert [one.changed for one in run.points] == [
        {"ttl": ttl, "renewals": renewals} for ttl in (60, 7200) for renewals in (0, 2)
    ]
    expired = [one.bills[0].causes["expiry"] for one in run.points]
    assert expired[0] > expired[2] > expired[1] == expired[3] == 0
    assert len({one.bills[1].good for one in run.points}) == 1, "in thread nothing expires"
    assert "false expiries" in capfd.readouterr().out


def test_the_number_of_workers_changes_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "MOST_SERVERS", 9)
    one, three = (simulate(tmp_path / str(number), f"--workers={number}") for number in (1, 3))
    assert bills(one) == bills(three)
    assert {bill.servers for bill in one.points[0].bills} == {40}


def test_a_file_changes_the_defaults_and_an_option_changes_the_file(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text('ttl = 900\nrenewals = 0\nmedian = 60\ndurations = "pareto"\n')
    run = simulate(tmp_path, f"--fleet={tmp_path / 'fleet.toml'}", "--ttl=1200", "--designs=shared")
    assert [run.parameters[name] for name in ("ttl", "renewals", "median", "durations")] == [1200, 0, 60.0, "pareto"]


def test_durations_of_one_s_own_are_drawn_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "seconds.csv").write_text("100\n99.5\n")
    quiet = ["--losses=0", "--restarts=0", "--crashes=0"]
    run = simulate(tmp_path, f"--durations={tmp_path / 'seconds.csv'}", *quiet, "--designs=stock")
    [bill] = run.points[0].bills
    assert bill.connection_hours == pytest.approx(bill.jobs * 100 / 3600, rel=0.01)


def test_bytes_are_those_that_the_benchmarks_measured(tmp_path: Path) -> None:
    bench = a_bench()
    [memory] = [one for one in bench["benchmarks"] if one["name"] == "memory"]
    memory["values"]["shared: bytes reserved at start"] = 300_000
    folder = a_folder(tmp_path / "bench", bench=bench)
    run = simulate(tmp_path, f"--bench={folder}", "--first-bytes=5e6", "--designs=stock,shared")
    expected = {"session_bytes": 2.1e6, "reserved_bytes": 3e5, "first_bytes": 5e6, "further_bytes": 400.0}
    assert {name: run.parameters[name] for name in expected} == expected
    assert run.sources == SOURCES | dict.fromkeys(expected, str(folder)) | {"first_bytes": "the command line"}
    stock, shared = run.points[0].bills
    assert stock.memory_peak_bytes == stock.connections_peak * 2.1e6
    busy = (shared.memory_peak_bytes - 40 * 3e5) / (5e6 - 3e5)
    assert busy == pytest.approx(shared.open_peak, abs=0.1), "one at a time on each server"


def test_the_command_is_told_but_not_where_it_ran(tmp_path: Path) -> None:
    run = simulate(tmp_path, "--workers", "1", "--designs", "stock")
    assert run.command == "nox -s simulate -- --servers=40 --days=5 --designs stock"


def test_a_design_of_one_s_own_is_simulated(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nstart = "a"\nstop = "b"\n[design]\nlike = "durable"\nlease = false\n')
    run = simulate(tmp_path, f"--designs={file},durable", "--ttl=60")
    assert run.fates["mine"] == run.fates["durable"]
    mine, durable = run.points[0].bills
    assert mine.causes["expiry"] > 0 == durable.causes["expiry"]


WRONG = {
    "--ttl=soon": 'ttl cannot be "soon": it is a whole number (seconds).',
    "--servers=0": "servers cannot be 0: it is from 1 to 10,000,000.",
    "--servers=1.5": 'servers cannot be "1.5": it is a whole number (servers).',
    "--seed=-1": "seed cannot be -1: it is 0 or more.",
    "--days=nan": "days cannot be nan",
    "--median=inf": "median cannot be inf",
    "--wal-bytes=inf": "wal_bytes cannot be inf",
    "--renewals=1": "a renewal at the deadline comes too late",
    "--renewals=9000 --ttl=60": "with 9000 renewals it is 9000 seconds or more",
    "--every=1 --days=3000": "A server cannot have that many backups",
    "--arrivals=never": "say schedule or poisson",
    "--durations=long": "or name a .csv file",
    "--durations=/nowhere.csv": "name a file of durations",
    "--restart-kind=slow": "say fast, immediate, crash",
    "--designs=best": 'There is no design "best": say some of stock, script, shared',
    "--sweep=ttl": "say --sweep ttl=600,3600",
    "--sweep=speed=1": 'There is no parameter "speed"',
    "--fleet=/nowhere.toml": "name a TOML file of parameters",
    "--bench=/nowhere": "name a folder that nox -s bench made",
    "--workers=none": "say 1 or more",
    "--results=/dev/null/below": "name another with --results",
}


@pytest.mark.parametrize("options", WRONG)
def test_bad_input_gets_one_sentence(options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([f"--results={tmp_path}", *options.split(" ")]) == 2
    said = capsys.readouterr()
    assert WRONG[options] in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


BAD_FILES = {
    "fleet.toml": {"ttl = ": "is no TOML", "speed = 1": 'There is no parameter "speed"', "ttl = [1]": "ttl cannot be"},
    "bench.json": {"{": "is no run of the benchmarks"},
    "seconds.csv": {"": "is no list of durations", "10\n-1": "above zero", "10\nx": "has something else than seconds"},
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in BAD_FILES for content in BAD_FILES[name]])
def test_a_bad_file_gets_one_sentence(
    name: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(content)
    option = {"fleet.toml": "--fleet", "bench.json": "--bench", "seconds.csv": "--durations"}[name]
    file = tmp_path if name == "bench.json" else tmp_path / name
    assert program.main([*SMALL, f"--results={tmp_path / 'out'}", f"{option}={file}"]) == 2
    said = capsys.readouterr().err
    assert BAD_FILES[name][content] in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("chunks", [0, 1])
def test_ctrl_c_keeps_what_there_is_and_says_that_it_is_partial(
    chunks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worlds, "MOST_SERVERS", 9)
    whole = simulate_all

    def cut_short(*arguments: Any) -> Iterator[Any]:
        for number, one in enumerate(whole(*arguments)):
            if number == chunks:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(program, "simulate_all", cut_short)
    assert program.main([*SMALL, f"--results={tmp_path}", "--designs=stock"]) == 130
    if not chunks:
        assert list(tmp_path.iterdir()) == []
        return
    run = msgspec.json.decode((tmp_path / "latest" / "simulation.json").read_bytes(), type=Simulation)
    assert (run.verdict, run.points[0].complete, run.points[0].bills[0].servers) == (Verdict.INTERRUPTED, False, 9)
    assert "Interrupted, and so partial: 9 of 40 servers were simulated." in capfd.readouterr().out


def test_a_point_that_nothing_was_simulated_of_has_no_bill() -> None:
    p = changed(Parameters(), {})
    about = run_anywhere(datetime.now(UTC), 1.0, ())
    one = results_of([Counted(fleet({}, p, (WAYS["stock"],)))], p, {}, "", about, interrupted=True)
    assert (one.points[0].bills, one.points[0].complete) == ((), False)


def test_the_readme_tells_every_parameter_with_its_unit_and_its_default() -> None:
    readme = (ROOT / "benchmarks" / "simulation" / "README.md").read_text()
    for name in NAMES:
        default = getattr(Parameters(), name)
        shown = (
            f"{default:,}"
            if isinstance(default, int)
            else f"{default:,.10g}"
            if isinstance(default, float)
            else default
        )
        assert f"| `{name}` | {shown} | {UNITS[name]} |" in readme, name
