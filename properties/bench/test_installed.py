"""``nox -s versions`` takes one PostgreSQL of each version that is here, and tells where the others can be had."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.machine.postgres import find_postgres
from properties.bench.made_installs import made_install
from properties.campaign import installed
from properties.campaign.installed import main

Passed = list[list[str]]


@pytest.fixture
def passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Passed:
    """What the campaign was told; nothing is here but what a test makes in its folder, and the bundled one."""
    calls: Passed = []

    def campaign(arguments: Sequence[str]) -> int:
        calls.append(list(arguments))
        return 7

    monkeypatch.setattr("properties.campaign.__main__.main", campaign)
    monkeypatch.setattr(installed, "PACKAGED", [str(tmp_path / "{}" / "bin" / "pg_config")])
    monkeypatch.setattr(installed, "WHEEL", ("no_such_package", ""))
    return calls


def test_all_that_are_here_are_passed_on_with_the_options(
    tmp_path: Path, passed: Passed, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [made_install(tmp_path / number, f"PostgreSQL {number}.1") for number in ("17", "15")]
    assert main(["--profile", "dev", "-x"]) == 7
    assert passed == [
        ["--profile", "dev", "-x", f"--pg-config={names[1]}", f"--pg-config={names[0]}", "--pg-config=bundled"]
    ]
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"PostgreSQL {major}" for major in (15, 16, 17, 18)]
    assert lines[0] == f"PostgreSQL 15: 15.1, {names[1]}"
    assert lines[1].startswith("PostgreSQL 16: not here; install postgresql-16 and postgresql-server-dev-16")
    assert lines[1].endswith("or name its source with --source")


def test_what_is_here_and_cannot_be_used_is_told_with_the_reason(
    tmp_path: Path, passed: Passed, capsys: pytest.CaptureFixture[str]
) -> None:
    made_install(tmp_path / "15", "PostgreSQL 15.1", headers=False)
    main([])
    said = capsys.readouterr().out
    assert "comes without the headers" in said
    assert "PostgreSQL 15: not here" in said
    assert passed == [["--pg-config=bundled"]]


def test_a_wheel_serves_where_nothing_is_installed(
    tmp_path: Path, passed: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = made_install(tmp_path / "wheel", "PostgreSQL 16.4")
    (tmp_path / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path.parent))
    monkeypatch.setattr(installed, "WHEEL", (tmp_path.name, "wheel/bin/pg_config"))
    main([])
    package = made_install(tmp_path / "16", "PostgreSQL 16.1")
    main([])
    assert passed == [
        [f"--pg-config={wheel}", "--pg-config=bundled"],
        [f"--pg-config={package}", "--pg-config=bundled"],
    ]


def test_a_source_is_built_and_goes_before_what_is_installed(
    tmp_path: Path, passed: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_install(tmp_path / "17", "PostgreSQL 17.1")
    built = made_install(tmp_path / "built", "PostgreSQL 17.2")
    sources: list[Path] = []

    def build(source: Path, _workdir: Path) -> Path:
        sources.append(source)
        return built

    monkeypatch.setattr(installed, "source_build", build)
    main(["--source", "some.tar.gz"])
    assert sources == [Path("some.tar.gz")]
    assert passed == [[f"--pg-config={built}", "--pg-config=bundled"]]
    assert find_postgres(built).major == 17


def test_a_beta_of_the_next_version_is_tried_beside_them_and_not_promised(
    tmp_path: Path, passed: Passed, capsys: pytest.CaptureFixture[str]
) -> None:
    beta = made_install(tmp_path / "19", "PostgreSQL 19beta2")
    made_install(tmp_path / "20", "PostgreSQL 20devel")
    main([])
    assert passed == [["--pg-config=bundled", f"--pg-config={beta}"]]
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"PostgreSQL 19: 19beta2, {beta}; tried, not promised: the extension is for 15 to 18"
    )


def test_a_source_that_cannot_be_built_is_told_before_anything_runs(
    tmp_path: Path, passed: Passed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--source", str(tmp_path / "nowhere")]) == 2
    assert "There is nothing at" in capsys.readouterr().err
    assert passed == []
