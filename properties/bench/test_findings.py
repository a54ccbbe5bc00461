"""The watch on the findings in PostgreSQL: it says what to do when one is mended, and the page agrees with it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest

from harness.building.build import Build
from harness.machine.postgres import server_user
from harness.machine.processes import runs, wait_gone
from harness.machine.scratch import temporary_folder
from harness.server.node import give_all
from properties.findings.catalogue import FINDINGS, PAGE, SCRIPTS, SHARED, Finding, on
from properties.findings.script import ScriptError, answer, end, running

MENDED = "has mended this: say so in properties/findings/README.md and in properties/findings/catalogue.py (tried)"
IN_17_AND_18 = Finding("one", on((17, 10), (18, 6), but=[(15, 18), (16, 14)]))
HANGS = """source "$(dirname "$0")/stock.sh"
new_server origin
start origin
head -n 1 $HERE/origin/postmaster.pid
sleep 999
"""


def sections() -> Iterator[tuple[str, str]]:
    """The script that a section of the page is about, and its text."""
    for section in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        if found := re.search(r"\(scripts/(\w+)\.sh\)", section):
            yield found[1], section


def test_each_finding_has_a_script_and_a_section_of_the_page() -> None:
    names = [finding.script for finding in FINDINGS]
    assert sorted(file.name for file in SCRIPTS.iterdir()) == sorted([SHARED, *(f"{name}.sh" for name in names)])
    assert [name for name, _section in sections()] == names


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.script)
def test_the_page_tells_the_versions(finding: Finding) -> None:
    assert f"**Versions**: {finding.versions()}." in " ".join(dict(sections())[finding.script].split())


def test_what_a_new_postgresql_has_mended_is_to_be_said() -> None:
    said = IN_17_AND_18.contradiction((18, 7), shown=False)
    assert said == f"PostgreSQL 18.7 {MENDED}"
    assert IN_17_AND_18.contradiction((19, 0), shown=False) == f"PostgreSQL 19.0 {MENDED}"
    assert "PostgreSQL 16.15 shows this" in IN_17_AND_18.contradiction((16, 15), shown=True)


def test_what_is_recorded_as_mended_passes() -> None:
    later = replace(IN_17_AND_18, tried={**IN_17_AND_18.tried, (18, 7): False})
    assert later.versions() == "shown on 17.10 and 18.6; not shown on 15.18, 16.14 and 18.7"
    no, yes = ((15, 4), (18, 7), (18, 8), (19, 0)), ((17, 11), (18, 0), (18, 6))
    as_recorded = dict.fromkeys(no, False) | dict.fromkeys(yes, True)
    assert {version: later.expected(version) for version in as_recorded} == as_recorded
    assert not any(later.contradiction(version, shown) for version, shown in as_recorded.items())


def test_what_a_version_lacks_is_not_tried() -> None:
    finding = Finding("one", on((17, 10)), needs="incremental backups")
    assert finding.lacking((16, 14)) == "PostgreSQL 16.14 has no incremental backups: 17 is the first"
    assert not finding.lacking((17, 0))


@pytest.mark.parametrize("status", [0, 1])
def test_an_answer_is_the_last_line(status: int) -> None:
    word = ("shown", "not shown")[status]
    assert answer(status, f"-- first\n{word}: it does so\n").sentence == "it does so"
    for other, said in ((2, "cannot run: there is no psql"), (status, "Killed"), (1 - status, f"{word}: it does so")):
        with pytest.raises(ScriptError, match=said):
            answer(other, said)


@pytest.mark.server
def test_a_script_that_is_interrupted_leaves_nothing(release: Build) -> None:
    with temporary_folder() as folder:
        copy(SCRIPTS / SHARED, folder)
        Path(folder, "hangs.sh").write_text(HANGS)
        give_all(folder, server_user())
        with running(folder / "hangs.sh", release.postgres, folder) as process:
            assert process.stdout is not None
            postmaster = int(process.stdout.readline())
            assert runs(postmaster)
            end(process)
        assert wait_gone([postmaster], timeout=60)  # pg_ctl is content when its file is gone, just before
        assert sorted(file.name for file in folder.iterdir()) == ["hangs.sh", SHARED]
