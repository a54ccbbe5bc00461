"""``nox -s package`` builds what it says and finds what is wrong with it; and the machine stays as it was."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.building import debian
from harness.building.build import Build
from harness.building.debian import Package, check_tools
from harness.machine.postgres import SetupError, find_postgres
from harness.machine.project import ROOT
from properties.bench.made_installs import made_install
from properties.packaging import contents
from properties.packaging.__main__ import main
from properties.packaging.contents import content_flaws, expected, library_flaws

PATIENCE = 600.0
FOLDERS = (debian.PLACE, Path("/usr/share/postgresql"), Path("/etc/postgresql"), Path("/var/lib/postgresql"))


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """What looks like one; nobody has built it."""
    postgres = find_postgres(made_install(tmp_path / "pg", "PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"))
    (postgres.pgxs.parents[1] / "Makefile.global").write_text("with_llvm\t= yes\n")
    return Package(tmp_path / "postgresql-15-shared-backup_1.0_amd64.deb", postgres)


def machine() -> Iterator[object]:
    """What a package, or a server of Debian's, would leave."""
    for folder in FOLDERS:
        yield from sorted(str(path) for path in folder.rglob("*") if "backup" in path.name or path.parent == folder)
    packages = ["dpkg-query", "--show", "--showformat", "${Package} ${Status}\n", "postgresql*"]
    yield subprocess.run(packages, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_package_is_built_installed_used_and_removed(tmp_path: Path) -> None:
    try:
        check_tools()
    except SetupError as error:
        pytest.skip(str(error))
    before = list(machine())
    program = [sys.executable, "-m", "properties.packaging", "--output", str(tmp_path)]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert "Each package does what the README says." in run.stdout
    assert sorted(path.name.partition("_")[0] for path in tmp_path.iterdir()) == sorted(
        debian.package_name(postgres) for postgres in debian.debian_postgres()
    )
    assert list(machine()) == before


def test_what_is_missing_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                               tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.setattr(debian, "TOOLS", {"dh-of-nobody": "debhelper", "sh": "dash"})
    monkeypatch.setattr(debian, "PLACE", tmp_path)
    assert main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        "Packages cannot be built here: on Debian or Ubuntu,"
        " apt-get install debhelper postgresql postgresql-server-dev-all.",
        line,
    )


def test_a_file_too_many_or_too_few_is_found(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    there = expected(package)
    monkeypatch.setattr(contents, "files_of", lambda _: there)
    assert content_flaws(package) == []
    script = next(name for name in there if name.endswith(".sql"))
    instruments = script.replace("shared_backup--", "shared_backup_instruments--")
    monkeypatch.setattr(contents, "files_of", lambda _: there - {script} | {instruments})
    assert content_flaws(package) == [
        f"postgresql-15-shared-backup lacks {script}.",
        f"postgresql-15-shared-backup has {instruments}, which does not belong into it.",
    ]


def test_instruments_in_the_library_are_found(release: Build, instrumented: Build) -> None:
    library = Path("lib", "shared_backup.so")
    assert library_flaws(release.stage / library) == []
    assert len(library_flaws(instrumented.stage / library)) == len(contents.TRACES)
