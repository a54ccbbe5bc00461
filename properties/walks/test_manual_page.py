"""The page for PostgreSQL's manual is valid, and tells what there is: no more, and no less, than a server has."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from harness.building.build import Build
from harness.server.cluster import open_cluster
from harness.server.session import Session
from properties.support import manual
from properties.support.readme import rows_of

VIEWS = ("shared_backups", "shared_backup_stats", "shared_backup_starters")
FUNCTIONS = (
    "SELECT p.oid, proname::text, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)"
    " FROM pg_proc p, pg_depend d, pg_extension e"
    " WHERE d.refobjid = e.oid AND d.objid = p.oid AND extname = 'shared_backup' AND proname !~ 'list$'"
)
COLUMNS = (
    "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
)
SETTINGS = (
    "SELECT name, replace(vartype, 'bool', 'boolean'), current_setting(name), context, enumvals"
    " FROM pg_settings WHERE name LIKE 'shared\\_backup.%'"
)
CHANGED = {
    "sighup": "This parameter can only be set in the postgresql.conf file or on the server command line.",
    "postmaster": "This parameter can only be set at server start.",
}
ELSEWHERE = (
    "backup-lowlevel-base-backup", "backup-pitr-recovery", "errcodes-appendix", "guc-full-page-writes",
    "guc-max-replication-slots", "guc-max-worker-processes", "guc-shared-preload-libraries", "guc-wal-level",
    "monitoring-pg-stat-activity-view", "predefined-roles",
)  # fmt: skip
"""What it refers to in the other pages of the manual, where these are called so."""
BOOK = """<!DOCTYPE book PUBLIC "-//OASIS//DTD DocBook XML V4.5//EN"
    "http://www.oasis-open.org/docbook/xml/4.5/docbookx.dtd" [<!ENTITY page SYSTEM "{page}">]>
<book><title>Manual</title><appendix><title>Modules</title>&page;</appendix>
<appendix><title>Elsewhere</title>{elsewhere}</appendix></book>
"""
PUBLIC_ID = "-//OASIS//DTD DocBook XML V4.5//EN"
CATALOGUE = "/etc/xml/catalog"


# The text alone


def validated(page: Path, folder: Path) -> str:
    """What xmllint has against it."""
    stubs = "".join(f'<sect1 id="{one}" xreflabel="{one}"><title>x</title><para/></sect1>' for one in ELSEWHERE)
    book = folder / "book.xml"
    book.write_text(BOOK.format(page=page.as_uri(), elsewhere=stubs))
    command = ["xmllint", "--nonet", "--noent", "--valid", "--noout", str(book)]
    return subprocess.run(command, capture_output=True, text=True).stderr


def has_docbook() -> bool:
    """Are there xmllint, and DocBook's document type?"""
    if not (shutil.which("xmllint") and shutil.which("xmlcatalog")):
        return False
    return subprocess.run(["xmlcatalog", CATALOGUE, PUBLIC_ID], capture_output=True).returncode == 0


needs_docbook = pytest.mark.skipif(not has_docbook(), reason="there is no xmllint with DocBook's document type")


@needs_docbook
def test_it_is_valid_as_the_manual_is(tmp_path: Path) -> None:
    assert validated(manual.PAGE, tmp_path) == ""


@needs_docbook
@pytest.mark.parametrize(
    ("old", "new"),
    [("<para>", "<paragraph>"), ('linkend="guc-wal-level"', 'linkend="guc-wal"'), ("</sect2>", "")],
    ids=["no such element", "no such target", "not closed"],
)
def test_what_is_not_valid_is_found(tmp_path: Path, old: str, new: str) -> None:
    page = tmp_path / "page.sgml"
    page.write_text(manual.PAGE.read_text(encoding="utf-8").replace(old, new, 1))
    assert validated(page, tmp_path)


def test_it_refers_to_what_there_is() -> None:
    here = {one.get("id") for one in manual.page().iter() if one.get("id")}
    named = {one.get("linkend") for tag in ("xref", "link") for one in manual.page().iter(tag)}
    assert named <= here | {*ELSEWHERE}
    assert {*ELSEWHERE} <= named


def test_it_has_the_errors_of_the_readme() -> None:
    told = re.findall(r"\b[0-9A-Z]{5}\b", " ".join(manual.words(row[0]) for row in errors()))
    wanted = {code for row in rows_of("Errors", "") for code in re.findall(r"\b[0-9][0-9A-Z]{4}\b", row[0])}
    assert sorted(told) == sorted(wanted)


def errors() -> list[list[Element]]:
    return manual.rows("shared_backup Error Codes")


def test_it_has_the_wait_events_of_the_readme() -> None:
    told = [(manual.words(name), manual.words(kind)) for name, kind, _ in manual.rows("shared_backup Wait Events")]
    assert sorted(told) == sorted(waits())


def waits() -> Iterator[tuple[str, str]]:
    """By the README, whose tables follow each other: of locks, and of what is waited for in the extension."""
    locks = True
    for row in rows_of("What to know", "`SharedBackup"):
        for name in re.findall(r"`(\w+)`", row[0]):
            locks = locks and name != "SharedBackupStartTurn"
            yield name, "LWLock" if locks else "Extension"


# Beside a server


@pytest.fixture(scope="module")
def session(release: Build, only_the_extension: None) -> Iterator[Session]:
    with open_cluster(release, settings={"shared_preload_libraries": "shared_backup"}) as server:
        session = server.connect()
        session.execute("CREATE EXTENSION shared_backup")
        yield session
        session.close()


@pytest.mark.server
def test_it_has_the_functions_with_their_arguments(session: Session) -> None:
    assert sorted(manual.signatures()) == sorted(map(signature, session.execute(FUNCTIONS)))


def signature(row: tuple[object, ...]) -> str:
    """As the manual writes it: what comes in, what is returned, and the columns of that."""
    _, name, arguments, result = map(str, row)
    taken = re.sub(r"::\w+", "", arguments).split(", ")
    given = [one.removeprefix("OUT ") for one in taken if one.startswith("OUT ")]
    taken = [one for one in taken if not one.startswith("OUT ")]
    return f"{name} ( {', '.join(taken)} ) {result}" + (f" ( {', '.join(given)} )" if given else "")


@pytest.mark.server
@pytest.mark.parametrize("view", VIEWS)
def test_it_has_the_columns_of_the_views(session: Session, view: str) -> None:
    assert manual.columns(view) == session.execute(COLUMNS, (view,))


@pytest.mark.server
def test_it_has_the_settings_with_their_types_and_defaults(session: Session) -> None:
    settings, told = session.execute(SETTINGS), manual.parameters()
    assert set(told) == {name for name, *_ in settings}
    for name, kind, value, context, choices in settings:
        assert told[name][0] == kind, name
        words = told[name][1]
        assert re.search(rf"default is (?:[a-z0-9 ]+ \()?{re.escape(value)}\b", words), f"{name} is {value}: {words}"
        assert words.endswith(CHANGED[context]), name
        assert all(one in words for one in choices or ()), f"{name} may be any of {choices}"


@pytest.mark.server
@pytest.mark.parametrize(
    ("tag", "query"),
    [
        ("function", "SELECT proname::text FROM pg_proc"),
        ("structname", "SELECT relname::text FROM pg_class"),
        ("varname", "SELECT name FROM pg_settings"),
        ("structfield", "SELECT attname::text FROM pg_attribute UNION SELECT unnest(proargnames) FROM pg_proc"),
        ("parameter", "SELECT unnest(proargnames) FROM pg_proc"),
    ],
)
def test_it_names_nothing_that_is_not_there(session: Session, tag: str, query: str) -> None:
    there = {name for (name,) in session.execute(query)} | ({"covered"} if tag == "structfield" else set())
    assert manual.names(tag) - there == set()


@pytest.mark.server
def test_its_wait_events_are_names_that_the_library_has(release: Build) -> None:
    library = next(release.stage.rglob("shared_backup.so")).read_bytes()
    assert [name for name, _ in waits() if b"\0" + name.encode() + b"\0" not in library] == []
