"""PostgreSQL is built from whatever source is named, once, and whatever is wrong with it is told."""

import bz2
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.building import source_build as module
from harness.building.source_build import GENERATED, source_build
from harness.machine.postgres import SetupError
from harness.machine.project import ROOT
from properties.campaign.cassert import main

CONFIGURE = """#!/bin/sh
PACKAGE_VERSION='18.6'
for word in "$@"; do case $word in --prefix=*) prefix=${word#--prefix=};; esac; done
mkdir -p contrib/amcheck
cat > Makefile <<END
all:
	@echo compiling
install:
	mkdir -p \\$(DESTDIR)$prefix/bin
	echo "$@" > \\$(DESTDIR)$prefix/bin/pg_config
END
printf 'all:\\ninstall:\\n' > contrib/amcheck/Makefile
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What looks like a source tree of PostgreSQL, and is built in no time."""
    tree = tmp_path / "postgresql-18.6"
    for name in (GENERATED, "src/include/pg_config.h.in"):
        (tree / name).parent.mkdir(parents=True)
        (tree / name).touch()
    (tree / "configure").write_text(CONFIGURE)
    (tree / "configure").chmod(0o755)
    return tree


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where builds are kept."""
    return tmp_path / "cache"


def packed(tree: Path, kind: str) -> Path:
    """The tree as a tarball."""
    tarball = tree.parent / f"sources.tar.{kind}"
    with tarfile.open(str(tarball), f"w:{kind}") as archive:  # type: ignore[call-overload]  # it knows them one by one
        archive.add(tree, tree.name)
    return tarball


def content(folder: Path) -> dict[Path, int]:
    """All that is in a folder, with when it changed."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def refused(source: Path, cache: Path) -> str:
    """Why it cannot be built: one sentence, and perhaps the end of a log; nothing may be left of it."""
    with pytest.raises(SetupError) as raised:
        source_build(source, cache, say=lambda _: None)
    assert not cache.exists() or list(cache.iterdir()) == []
    sentence, _, _ = str(raised.value).partition("\n")
    assert ". " not in sentence
    assert sentence.endswith((".", ":"))
    return str(raised.value)


def test_a_tree_is_built_beside_itself_and_once(tree: Path, cache: Path) -> None:
    before, said = content(tree), list[str]()
    pg_config = source_build(tree, cache, said.append)
    assert "--enable-cassert" in pg_config.read_text()
    assert said == ["Building PostgreSQL 18.6 with assertions, which takes some minutes ..."]
    assert source_build(tree, cache, said.append) == pg_config
    assert len(said) == 1
    assert content(tree) == before
    assert list(cache.iterdir()) == [pg_config.parent.parent]


def test_a_source_that_changed_is_built_anew(tree: Path, cache: Path) -> None:
    first = source_build(tree, cache)
    (tree / GENERATED).write_text("/* changed */\n")
    assert source_build(tree, cache) != first


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_tarball_is_unpacked(tree: Path, cache: Path, kind: str) -> None:
    assert source_build(packed(tree, kind), cache).is_file()
    assert len(list(cache.iterdir())) == 1


def test_nothing_there(tmp_path: Path, cache: Path) -> None:
    assert "There is nothing at" in refused(tmp_path / "nowhere", cache)


def test_no_source_of_postgresql(tmp_path: Path, tree: Path, cache: Path) -> None:
    (tree / "configure").write_text("PACKAGE_VERSION='1.0'\n")
    other = tmp_path / "other"
    (other / "src").mkdir(parents=True)
    assert "is not a source of PostgreSQL" in refused(other, cache)
    assert "apt-get source" in refused(other, cache)
    assert "does not hold a source of PostgreSQL" in refused(packed(other, "gz"), cache)


def test_too_old(tree: Path, cache: Path) -> None:
    (tree / "configure").write_text(CONFIGURE.replace("18.6", "14.12"))
    assert "is PostgreSQL 14.12: use version 15 or later" in refused(tree, cache)


@pytest.mark.parametrize("left", ["config.status", "src/include/pg_config.h"])
def test_configured_in_its_place(tree: Path, cache: Path, left: str) -> None:
    (tree / left).touch()
    assert "run make distclean" in refused(tree, cache)


def test_generators_missing(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GENERATORS", ("bison-of-nobody", "sh"))
    assert source_build(tree, cache).is_file()
    (tree / GENERATED).unlink()
    with pytest.raises(SetupError, match=r"install bison-of-nobody\.$"):
        source_build(tree, cache)


@pytest.mark.parametrize("content", [b"no tarball at all", bz2.compress(b"x" * 9999)[:40], b""])
def test_a_broken_tarball(tmp_path: Path, cache: Path, content: bytes) -> None:
    (tmp_path / "broken.tar.bz2").write_bytes(content)
    assert "cannot be unpacked" in refused(tmp_path / "broken.tar.bz2", cache)


@pytest.mark.parametrize(
    ("step", "trouble"),
    [("configure", "echo configure: error: no-luck; exit 1"), ("make", "printf 'all:\\n\\tno-luck\\n' > Makefile")],
)
def test_a_build_that_fails_shows_the_end_of_its_output(tree: Path, cache: Path, step: str, trouble: str) -> None:
    (tree / "configure").write_text(CONFIGURE + trouble + "\n")
    said = refused(tree, cache)
    assert re.match(rf"PostgreSQL cannot be built, because g?{step} failed; its output ends:\n", said)
    assert "no-luck" in said


def test_no_source_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--profile", "dev"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("There is no source to build from: name a source tree or a tarball")
    assert captured.err.count("\n") == 1


def test_what_is_not_the_builds_goes_to_the_campaign(tree: Path, cache: Path) -> None:
    """It says, of the fake that was built, what it says of any pg_config that does not answer as one."""
    program = [sys.executable, "-m", "properties.campaign.cassert", "--source", str(tree), "--profile", "dev"]
    environment = {"PATH": "/usr/bin:/bin", "BENCH_CACHE": str(cache)}
    run = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith(f"{cache}/cassert-")
    assert "name another pg_config" in run.stderr


# Patches


@pytest.fixture
def patch(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one patch that there is: it changes a file of the tree."""
    (tree / GENERATED).write_text("plain\n")
    patches = tmp_path / "patches"
    patches.mkdir()
    monkeypatch.setattr(module, "PATCHES", patches)
    (patches / "0001-one.patch").write_text(
        f"Why.\n\n--- a/{GENERATED}\n+++ b/{GENERATED}\n@@ -1 +1 @@\n-plain\n+patched\n"
    )
    return patches / "0001-one.patch"


def test_a_patched_build_is_another_one_and_leaves_the_source_as_it_is(tree: Path, cache: Path, patch: Path) -> None:
    with (tree / "configure").open("a") as configure:
        configure.write(f'cp "$(dirname "$0")/{GENERATED}" seen; mkdir -p $prefix && cp seen $prefix-seen\n')
    before, said = content(tree), list[str]()
    plain = source_build(tree, cache, said.append)
    assert source_build(tree, cache, said.append, patched=True) != plain
    assert said[1] == "Building PostgreSQL 18.6 with assertions and with our patches, which takes some minutes ..."
    assert content(tree) == before
    seen = sorted(path.read_text() for path in cache.glob("*-seen"))
    assert seen == ["patched\n", "plain\n"]


def test_a_patch_that_changed_makes_another_build(tree: Path, cache: Path, patch: Path) -> None:
    first = source_build(tree, cache, patched=True)
    patch.write_text(patch.read_text().replace("+patched", "+patched anew"))
    assert source_build(tree, cache, patched=True) != first


def test_without_assertions_it_is_built_to_be_fast(tree: Path, cache: Path) -> None:
    said = list[str]()
    words = source_build(tree, cache, said.append, assertions=False).read_text()
    assert "-O2" in words
    assert "--enable-cassert" not in words
    assert said == ["Building PostgreSQL 18.6 as it is, which takes some minutes ..."]


def test_a_patch_that_does_not_apply_is_told(tree: Path, cache: Path, patch: Path) -> None:
    (tree / GENERATED).write_text("something else\n")
    with pytest.raises(SetupError, match=r"0001-one\.patch does not apply to PostgreSQL 18\.6, name another source"):
        source_build(tree, cache, patched=True)
    assert list(cache.iterdir()) == []
