"""What PGXN and Debian are told of the extension is what PostgreSQL is told: names, versions, files, licence."""

import re
from typing import Literal

import msgspec
import pytest

from harness.machine.project import EXTENSION, ROOT

DEBIAN = EXTENSION / "debian"
SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
TERM = re.compile(r"[^\s/\\\x00-\x1f]{2,}")


class Kept(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
    """What of PGXN's specification 1.0.0 is used here; mandatory is what has no default."""


class Provided(Kept):
    """An extension in the distribution."""

    file: str
    version: str
    abstract: str = ""
    docfile: str = ""


class Spec(Kept):
    """What it is written by."""

    version: Literal["1.0.0"]
    url: str = ""


class Metadata(Kept):
    """META.json."""

    name: str
    version: str
    abstract: str
    maintainer: str | list[str]
    license: Literal["postgresql"]
    provides: dict[str, Provided]
    meta_spec: Spec
    description: str = ""
    release_status: Literal["stable", "testing", "unstable"] = msgspec.field(name="release_status", default="stable")
    prereqs: dict[Literal["runtime", "build", "test"], dict[Literal["requires", "recommends"], dict[str, str]]] = {}
    tags: list[str] = []


@pytest.fixture
def metadata() -> Metadata:
    return msgspec.json.decode((EXTENSION / "META.json").read_bytes(), type=Metadata)


def control() -> dict[str, str]:
    """What PostgreSQL is told, by the control file."""
    text = (EXTENSION / "shared_backup.control").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+) = '?(.*?)'?$", text, re.MULTILINE))


def test_pgxn_is_told_the_version_that_postgresql_makes(metadata: Metadata) -> None:
    (provided,) = metadata.provides.values()
    default = control()["default_version"]
    assert SEMANTIC.fullmatch(metadata.version)
    assert provided.version == metadata.version == f"{default}.0"
    assert provided.file == f"shared_backup--{default}.sql"


def test_pgxn_is_told_the_name_that_postgresql_knows(metadata: Metadata) -> None:
    assert (EXTENSION / f"{metadata.name}.control").is_file()
    assert TERM.fullmatch(metadata.name)
    assert list(metadata.provides) == [metadata.name]
    makefile = (EXTENSION / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^EXTENSION = (.*)$", makefile, re.MULTILINE) == [metadata.name]


def test_every_file_that_pgxn_is_told_of_is_there_and_installed(metadata: Metadata) -> None:
    makefile = (EXTENSION / "Makefile").read_text(encoding="utf-8")
    (installed,) = re.findall(r"^DATA = (.*)$", makefile, re.MULTILINE)
    for provided in metadata.provides.values():
        assert (EXTENSION / provided.file).is_file()
        assert (EXTENSION / provided.docfile).is_file()
        assert provided.file in installed.split()


def test_every_script_is_installed_and_there_is_one_for_the_default_version() -> None:
    makefile = (EXTENSION / "Makefile").read_text(encoding="utf-8")
    for name in ("shared_backup", "shared_backup_instruments"):
        (installed,) = re.findall(rf"^DATA \+?= ({name}--.*)$", makefile, re.MULTILINE)
        assert sorted(installed.split()) == sorted(path.name for path in EXTENSION.glob(f"{name}--*.sql"))
        assert f"{name}--{control()['default_version']}.sql" in installed.split()


def test_pgxn_is_told_the_oldest_postgresql_that_the_readme_names(metadata: Metadata) -> None:
    readme = (EXTENSION / "README.md").read_text(encoding="utf-8")
    (oldest,) = re.findall(r"It works with PostgreSQL (\d+) to \d+", readme)
    assert metadata.prereqs["runtime"]["requires"] == {"PostgreSQL": f"{oldest}.0.0"}
    assert (DEBIAN / "pgversions").read_text() == f"{oldest}+\n"


def test_debian_is_told_the_same_version_and_name() -> None:
    source, version = re.match(r"(\S+) \((\S+)\)", (DEBIAN / "changelog").read_text()).groups()  # type: ignore[union-attr]
    assert version == control()["default_version"]
    text = (DEBIAN / "control").read_text()
    assert re.findall("^Source: (.*)$", text, re.MULTILINE) == [source]
    assert re.findall("^Package: (.*)$", text, re.MULTILINE) == ["postgresql-15-shared-backup"]
    assert text == (DEBIAN / "control.in").read_text().replace("PGVERSION", "15")


def test_debian_is_told_the_licence_word_for_word() -> None:
    told = (DEBIAN / "copyright").read_text().partition("License: PostgreSQL\n")[2].replace("\n .\n", "\n\n")
    licence = (ROOT / "LICENSE").read_text()
    assert told.split() == licence.partition("authors\n")[2].split()
