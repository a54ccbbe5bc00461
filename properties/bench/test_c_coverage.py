"""What is said of the extension's lines and branches is so, and each gap is reached, explained, or named."""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.clients.implementation import SHARED, STOCK
from harness.machine.postgres import SetupError
from harness.schema.campaign import Verdict
from properties.bench.made_campaigns import HOLDING, campaign
from properties.campaign import gap
from properties.recording.c_coverage import c_coverage
from properties.recording.c_statements import statements
from properties.recording.unreached import Reason, judged, read_reasons
from properties.recording.verdict import Property, Recorder

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
