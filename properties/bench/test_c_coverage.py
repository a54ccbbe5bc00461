"""What is said of the extension's lines and branches is so, and each gap is reached, explained, or named."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from harness.building.build import Build, Flavour, Special, build
from harness.building.counters import find_gcov, merged, traces
from harness.clients.implementation import SHARED, STOCK
from harness.machine.postgres import Postgres, SetupError
from harness.schema.c_coverage import CCoverage, Kind
from harness.schema.campaign import Verdict
from harness.server.cluster import Cluster, open_cluster
from properties.bench.made_campaigns import HOLDING, campaign
from properties.bench.toy import write_toy
from properties.campaign import gap
from properties.recording.c_coverage import c_coverage
from properties.recording.c_statements import statements
from properties.recording.unreached import Reason, judged, read_reasons
from properties.recording.verdict import Property, Recorder

TOY = """
PG_FUNCTION_INFO_V1(weigh);
Datum
weigh(PG_FUNCTION_ARGS)
{
	int32		grams = PG_GETARG_INT32(0);

	if (grams < 0)
		ereport(ERROR,
				(errmsg("less than nothing")));
	if (grams > 1000 &&
		grams < 2000)
		grams = 1000;
	PG_RETURN_INT32(grams);
}
"""
DECLARED = "CREATE FUNCTION weigh(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';\n"


# What servers have counted


class Toy(NamedTuple):
    """An extension with one function, on a server."""

    build: Build
    cluster: Cluster
    source: bytes


@pytest.fixture(scope="module")
def toy(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """It counts."""
    folder = write_toy(tmp_path_factory.mktemp("toy"), DECLARED, TOY)
    for name in ("Makefile", "shared_backup.c"):  # a name that the extension has not
        text = (
            (folder / name).read_text().replace("MODULES = shared_backup", "MODULE_big = shared_backup\nOBJS = toy.o")
        )
        (folder / name.replace("shared_backup", "toy")).write_text(text)
    (folder / "shared_backup.c").unlink()
    built = build(postgres, Flavour.RELEASE, folder / "cache", sources=folder, special=Special.COUNTERS)
    with open_cluster(built, settings={"shared_preload_libraries": "shared_backup"}) as cluster:
        session = cluster.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.close()
        yield Toy(built, cluster, (folder / "toy.c").read_bytes())


def weigh(toy: Toy, *grams: int) -> None:
    """Calls the function, and waits until the process has ended."""
    session = toy.cluster.connect()
    for weight in grams:
        session.execute(f"SELECT weigh({weight})")
    pid = session.execute("SELECT pg_backend_pid()")[0][0]
    session.close()
    toy.cluster.wait_until(lambda: not Path(f"/proc/{pid}").exists(), 60, "a session's process to end")


def seen(toy: Toy) -> CCoverage:
    """What was reached of the toy so far."""
    return c_coverage(merged(traces()), {"toy.c": toy.source})


def told(coverage: CCoverage, function: str = "weigh") -> list[tuple[Kind, str, int]]:
    """What was not reached of a function."""
    every = [one for file in coverage.files for one in file.functions if one.name == function]
    return [(one.kind, one.text, one.number) for found in every for one in found.unreached]


@pytest.mark.server
def test_the_lines_and_branches_that_no_process_reached_are_told(toy: Toy) -> None:
    weigh(toy, 5)
    assert told(seen(toy)) == [
        (Kind.BRANCHES, "if (grams < 0)", 1),
        (Kind.LINES, "ereport(ERROR,", 1),
        (Kind.BRANCHES, "if (grams > 1000 &&", 3),
        (Kind.LINES, "grams = 1000;", 1),
    ]
    weigh(toy, 1500)
    assert told(seen(toy)) == [
        (Kind.BRANCHES, "if (grams < 0)", 1),
        (Kind.LINES, "ereport(ERROR,", 1),
        (Kind.BRANCHES, "if (grams > 1000 &&", 1),
    ], "what a later process reaches is added"


@pytest.mark.server
def test_a_process_that_is_killed_as_it_adds_its_counters_spoils_none(toy: Toy) -> None:
    weigh(toy, 5)
    before = seen(toy)
    fresh = Path(toy.build.environment["GCOV_PREFIX"], "fresh")
    assert fresh.is_dir(), "this is where processes add"
    (fresh / "toy.gcda").write_bytes(b"adcg half of what it")
    weigh(toy, 6)
    assert told(seen(toy)) == told(before)


@pytest.mark.server
@pytest.mark.parametrize("kind", ["immediate", "crash"])
def test_what_was_reached_before_the_server_is_killed_counts(toy: Toy, kind: str) -> None:
    before = counts(toy)
    session = toy.cluster.connect()
    session.execute("SELECT weigh(5), weigh(6)")
    toy.cluster.restart(kind)
    assert counts(toy) == before + 2


def counts(toy: Toy) -> int:
    """How often the function has ended so far."""
    trace = json.loads(merged(traces()))
    (found,) = (one for one in trace["files"] if one["file"] == "toy.c")
    last = toy.source.decode().splitlines().index("\tPG_RETURN_INT32(grams);") + 1
    return sum(one["count"] for one in found["lines"] if one["line_number"] == last)


@pytest.mark.server
def test_a_crash_of_the_server_leaves_counters_that_can_be_read(toy: Toy) -> None:
    for _ in range(5):
        toy.cluster.connect().close()  # its process ends just then
        toy.cluster.restart("crash")
    weigh(toy, 7)
    assert seen(toy).lines.reached


def test_only_gcc_counts(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho '#define __clang__ 1'\necho '#define __GNUC__ 4'\n")
    compiler.chmod(0o755)
    with pytest.raises(SetupError, match=r"is not gcc, which --gcov needs: install gcc, and set CC=gcc\.$"):
        find_gcov(str(compiler))


# Which branches count


@pytest.mark.parametrize(
    ("source", "deciding"),
    [
        ("if (a)\n\tb();", [1]),
        ("else if (a &&\n\tb)\n\tc();", [1, 2]),
        ("x = a ?\n\tb :\n\tc;\ny = d;", [1, 2, 3]),
        ("for (;;)\n{\n\tb();\n}", [1]),
        ("do\n{\n\tb();\n} while (a);", [4]),
        ("switch (a)\n{\n\tcase 1:\n\t\tb();\n}", [1]),
        ('if (a)\n\tereport(ERROR,\n\t\terrmsg("x"), b ? c : d);', [1]),
        ("elog(LOG, a && b);", []),
        ("Assert(a || b);", []),
        ("f(\"a ? b\", '?'); /* if (a && b) */", []),
        ("#if defined(A) && \\\n\tdefined(B)\nf();\n#endif", []),
        ("PG_TRY();\n{\n\tf();\n}", []),
    ],
)
def test_a_branch_counts_where_the_source_decides(source: str, deciding: list[int]) -> None:
    found = statements(source)
    assert [number for number in sorted(found) if found[number].decides] == deciding


# Reasons

SOURCE = b"void\nfetch(void)\n{\n\tif (a)\n\t\treturn;\n\tif (b)\n\t\treturn;\n\trest();\n}\n"
FIRST, SECOND = "if (a)", "return;"


def a_trace(*missed: int, branches: int = 2) -> bytes:
    """As gcovr tells of the source that these lines were not reached, and of the first if so many branches were."""
    lines: list[dict[str, Any]] = [
        {"line_number": number, "function_name": "fetch", "count": int(number not in missed), "branches": []}
        for number in (2, 4, 5, 6, 7, 8, 9)
    ]
    lines[1]["branches"] = [{"branchno": number, "count": int(number < branches)} for number in range(2)]
    found = {"file": "toy.c", "lines": lines, "functions": [{"name": "fetch", "lineno": 2}]}
    return json.dumps({"gcovr/format_version": "0.15", "files": [found]}).encode()


def a_reason(*lines: str, branches: tuple[str, ...] = (), sometimes: bool = False, **more: str) -> Reason:
    """One that is kept."""
    about = {"file": "toy.c", "function": "fetch", "reason": "only on Tuesdays", **more}
    return Reason(lines=lines, branches=branches, sometimes=sometimes, **about)


GAP = ["toy.c, fetch: return; (line 5): 1 statement of this text not reached, and no reason is kept"]


@pytest.mark.parametrize(
    ("trace", "reasons", "findings"),
    [
        (a_trace(), [], []),
        (a_trace(5), [], GAP),
        (a_trace(5), [a_reason(SECOND)], []),
        (a_trace(5, 7), [a_reason(SECOND)], [
            "toy.c, fetch: return; (line 5): 2 statements of this text not reached, and reasons are kept for 1"
        ]),
        (a_trace(5, 7), [a_reason(SECOND), a_reason(SECOND, reason="so it is")], []),
        (a_trace(5), [a_reason(SECOND, function="bring")], [
            *GAP, "toy.c, bring: return;: a reason is kept, and there is no such line: drop it, or mend the text"
        ]),
        (a_trace(), [a_reason(SECOND)], [
            "toy.c, fetch: return;: a reason is kept for 1 statement of this text too many, which is reached: drop it"
        ]),
        (a_trace(), [a_reason(SECOND, sometimes=True)], []),
        (a_trace(5), [a_reason(SECOND, sometimes=True)], []),
        (a_trace(), [a_reason("no();", sometimes=True)], [
            "toy.c, fetch: no();: a reason is kept, and there is no such line: drop it, or mend the text"
        ]),
        (a_trace(branches=1), [], [
            "toy.c, fetch: if (a) (line 4): 1 branch not reached, and no reason is kept"
        ]),
        (a_trace(branches=1), [a_reason(branches=(FIRST,))], []),
        (a_trace(branches=1), [a_reason(FIRST)], [
            "toy.c, fetch: if (a) (line 4): 1 branch not reached, and no reason is kept",
            "toy.c, fetch: if (a): a reason is kept for 1 statement of this text too many, which is reached: drop it",
        ]),
        (a_trace(2, 4, 5, 6, 7, 8, 9), [a_reason("fetch(void)")], []),
    ],
)  # fmt: skip
def test_each_gap_has_its_reason_and_each_reason_its_gap(
    trace: bytes, reasons: list[Reason], findings: list[str]
) -> None:
    sources = {"toy.c": SOURCE}
    assert list(judged(c_coverage(trace, sources), reasons, sources).findings) == findings


def test_a_branch_counts_once_however_builds_number_its_block() -> None:
    trace = json.loads(a_trace(branches=1))
    trace["files"][0]["lines"][1]["branches"] += [{"branchno": 1, "source_block_id": 3, "count": 5}]
    found = c_coverage(json.dumps(trace).encode(), {"toy.c": SOURCE})
    assert (found.branches.reached, found.branches.all) == (2, 2)


def test_a_reason_is_told_beside_its_gap() -> None:
    sources = {"toy.c": SOURCE}
    found = judged(c_coverage(a_trace(5), sources), [a_reason(SECOND)], sources)
    assert [one.reason for one in found.files[0].functions[0].unreached] == ["only on Tuesdays"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[unreached", "cannot be read"),
        ("[[unreached]]\nfile = 'a.c'", "cannot be read"),
        ("[[unreached]]\nfile = 'a.c'\nfunction = 'f'\nlines = ['x;']\nreason = ' '", "without a reason"),
        ("[[unreached]]\nfile = 'a.c'\nfunction = 'f'\nreason = 'because'", "without lines"),
        ("[[unreached]]\nfile = 'a.c'\nfunction = 'f'\nlines = ['x;']\nreason = 'y'\nwhy = 'z'", "why"),
    ],
)
def test_a_file_of_reasons_that_is_damaged_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "unreached.toml"
    path.write_text(text)
    with pytest.raises(SetupError, match=says):
        read_reasons(path)


# The campaign


def closed(folder: Path, monkeypatch: pytest.MonkeyPatch, trace: bytes, **chosen: Any) -> Property:
    """The property that a campaign ends with, if that was counted of the source."""
    recorder = Recorder(properties=[Property("it is so", "made up", "test_it", verdict=Verdict.HOLDS)])
    options = argparse.Namespace(**{"selection": None, "profile": "gate", **chosen})
    run = SimpleNamespace(
        folder=folder, implementation=chosen.get("implementation", SHARED), postgres=SimpleNamespace(bundled=True)
    )
    monkeypatch.setattr(gap, "merged", lambda traces: b"".join(traces))
    before = gap.Before({"toy.c": SOURCE, "instruments.c": b""}, [])
    gap.close_gap(recorder, options, run, [trace] if trace else [], before)  # type: ignore[arg-type] # a part
    return recorder.properties[-1]


def test_a_gap_without_a_reason_fails_the_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert closed(tmp_path, monkeypatch, a_trace()).verdict is Verdict.HOLDS
    one = closed(tmp_path, monkeypatch, a_trace(5))
    assert (one.verdict, one.finding) == (Verdict.FAILS, GAP[0])
    assert closed(tmp_path, monkeypatch, b"").verdict is Verdict.FAILS, "nothing was counted"
    assert json.loads((tmp_path / "c_coverage.json").read_text())["findings"] == GAP


@pytest.mark.parametrize(
    "chosen", [{"selection": "labels"}, {"profile": "dev"}, {"implementation": STOCK}], ids=lambda one: next(iter(one))
)
def test_a_part_of_the_campaign_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any]
) -> None:
    one = closed(tmp_path, monkeypatch, a_trace(5), **chosen)
    assert one.verdict is Verdict.SKIPPED
    assert one.reason.startswith("reasons are for")


def test_a_campaign_that_counts_nothing_says_so(tmp_path: Path) -> None:
    ended = campaign(tmp_path, "--gcov", test_made_up=HOLDING)
    assert "nothing was counted" in ended.output
    assert ended.one(gap.SENTENCE)["verdict"] == "skipped"
    assert ended.status == 0


def test_the_kept_reasons_can_be_read() -> None:
    assert all(one.reason for one in read_reasons())
