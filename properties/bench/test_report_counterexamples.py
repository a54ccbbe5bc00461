"""Beside a failure the page has its counterexample: to read, to save, and to be tried again.

The folders here are made up; no server runs.
"""

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest

from properties.bench.made_results import a_campaign, a_folder, a_property, words_of
from reports.__main__ import main
from reports.report import PAGE, write_report

SQL = "-- one is <even>\nSELECT shared_backup_start('a');\n"
SPEC = "# one is <even>\nsetup { SELECT 1; }\n"
DATA = '{"schema": 1, "promise": "東京 <b>"}\n'


class Saved(HTMLParser):
    """Collects the files that a page holds, by the names under which they are saved."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if name := given.get("download"):
            kind, _, content = (given["href"] or "").partition(",")
            assert kind == "data:text/plain;charset=utf-8;base64"
            assert name not in self.files
            self.files[name] = base64.b64decode(content).decode("utf-8")


def saved(page: Path) -> dict[str, str]:
    """What can be saved from a page."""
    parser = Saved()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.files


def a_failure(folder: Path, *names: str, **files: str) -> Path:
    """A results folder with a failure that has these counterexamples, and these files."""
    one = a_property("one is even", "fails", failure="failures/one.txt", counterexamples=names)
    a_folder(folder, a_campaign(properties=[one]))
    for name, text in files.items():
        (folder / "failures" / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return folder


def test_a_failure_has_its_counterexample_in_every_form_on_the_page(tmp_path: Path) -> None:
    folder = a_failure(tmp_path / "a", "failures/one.json", one_json=DATA, one_sql=SQL, one_spec=SPEC)
    page = write_report(folder, tmp_path / "elsewhere")
    assert saved(page) == {"one.sql": SQL, "one.spec": SPEC, "one.json": DATA}
    words = words_of(page)
    assert "one.sql, for psql ( save ) -- one is <even> SELECT shared_backup_start('a');" in words
    assert "one.spec, for PostgreSQL's isolationtester ( save ) # one is <even> setup { SELECT 1; }" in words
    assert f"one.json : nox -s replay -- {folder / 'failures' / 'one.json'} tries it again." in words
    assert words.index("Everything essential") < words.index("one.sql, for psql") < words.index("property verdict")


def test_each_of_several_counterexamples_is_on_the_page(tmp_path: Path) -> None:
    names = ("failures/one.1.json", "failures/one.2.json")
    folder = a_failure(tmp_path / "a", *names, one_1_json=DATA, one_1_sql=SQL, one_2_json=DATA, one_2_sql=SQL)
    assert list(saved(write_report(folder))) == ["one.1.sql", "one.1.json", "one.2.sql", "one.2.json"]


def test_a_form_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    """... as there is no script for the isolation tester if the server is restarted, or if it was not copied along."""
    folder = a_failure(tmp_path / "a", "failures/one.json", "failures/../../two.json", one_json=DATA)
    (tmp_path / "two.json").write_text("what is outside of the folder")
    assert list(saved(write_report(folder))) == ["one.json"]


def test_a_script_that_cannot_be_read_gets_one_clear_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_failure(tmp_path / "a", "failures/one.json", one_json=DATA)
    (folder / "failures" / "one.sql").write_bytes(b"\x80\x81")
    assert main([str(folder)]) == 2
    assert capsys.readouterr().err == f"{folder / 'failures' / 'one.sql'} cannot be read: it is not text.\n"
    assert not (folder / PAGE).exists()
