"""Mutants that no one chose: each is another program that compiles, and a change elsewhere changes none of them."""

import shutil
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest

from harness.machine.postgres import Postgres
from harness.machine.project import ROOT
from properties.mutants.generator import SOURCES, drawn, generated
from properties.mutants.soundness import Check, checking, of_python
from properties.mutants.tree import apply

SCRIPT = "harness/extension/shared_backup--1.0.sql"
C_FILE = "harness/extension/results.c"
MODEL_FILE = "model/state.py"


@pytest.fixture(scope="module")
def check(postgres: Postgres) -> Iterator[Check]:
    """A check against the PostgreSQL under test."""
    with checking(postgres, ROOT) as result:
        yield result


@pytest.mark.parametrize(
    "text",
    [
        "def f(a: int) -> int:\n    '''Another.'''\n    return a\n",
        "def f(a: str):\n    pass\n    return a  # comment\n",
    ],
)
def test_what_only_tells_people_something_is_the_same_program(text: str) -> None:
    assert of_python(text) == of_python("def f(a: int) -> int:\n    '''One.'''\n    return a\n")


@pytest.mark.parametrize("text", ["def f(:\n", "def f():\n    return ab\n", "return 1\n"])
def test_what_python_cannot_run_is_no_program(text: str) -> None:
    assert of_python(text) is None


@pytest.mark.parametrize("file", [str(path.relative_to(ROOT)) for path in (ROOT / "model").rglob("*.py")])
def test_every_name_of_the_model_is_bound_somewhere(file: str) -> None:
    assert of_python((ROOT / file).read_text(encoding="utf-8")) is not None


@pytest.mark.server
def test_c_is_compiled_as_it_is_built(check: Check) -> None:
    text = (ROOT / C_FILE).read_text(encoding="utf-8")
    assert check.program(C_FILE, f"/* a comment */\n{text}") == check.original(C_FILE)
    assert check.program(C_FILE, f"{text}\nint more = 1;\n") not in (check.original(C_FILE), None)
    for refused in ("int more = nothing;", "static int more(void);", "void more(void) { int unused; }"):
        assert check.program(C_FILE, f"{text}\n{refused}\n") is None


@pytest.mark.server
def test_a_bug_of_other_versions_changes_nothing_here(check: Check) -> None:
    text = (ROOT / C_FILE).read_text(encoding="utf-8")
    for condition, nothing in (("PG_VERSION_NUM < 150000", True), ("PG_VERSION_NUM >= 150000", False)):
        after = f"{text}\n#if {condition}\nint\t\tmore = 1;\n#endif\n".splitlines(keepends=True)
        diff = "".join(unified_diff(text.splitlines(keepends=True), after, f"a/{C_FILE}", f"b/{C_FILE}"))
        assert check.changes_nothing(diff, [C_FILE]) == nothing


@pytest.mark.server
def test_a_script_is_run(check: Check) -> None:
    text = (ROOT / SCRIPT).read_text(encoding="utf-8")
    assert check.program(SCRIPT, f"-- a comment\n{text}") == check.original(SCRIPT)
    assert check.program(SCRIPT, text.replace("fast boolean DEFAULT false", "fast boolean DEFAULT true")) not in (
        check.original(SCRIPT),
        None,
    )
    assert check.program(SCRIPT, text.replace("pg_lsn", "pg_nothing")) is None


@pytest.mark.server
def test_every_source_gives_mutants_that_apply_and_differ(check: Check, tmp_path: Path) -> None:
    mutants = generated(13, 0, check)
    assert len({one.name for one in mutants}) == len(mutants) == 14
    assert {one.area for one in mutants} == {source.area for source in SOURCES}
    for one in mutants:
        (file,) = one.files
        copy = tmp_path / one.own_name / file
        copy.parent.mkdir(parents=True)
        shutil.copy(ROOT / file, copy)
        apply(one.diff, tmp_path / one.own_name)
        assert check.program(file, copy.read_text(encoding="utf-8")) not in (check.original(file), None), one.name


def test_a_seed_draws_the_same_again_and_a_change_elsewhere_changes_little(tmp_path: Path) -> None:
    """Without a server: of the model alone."""
    (source,) = [one for one in SOURCES if one.area == "generated-model"]
    python = Check(tmp_path, tmp_path, [], session=None)  # type: ignore[arg-type]  # neither C nor SQL is looked at
    shutil.copytree(ROOT / "model", tmp_path / "model")

    def names(seed: int) -> set[str]:
        return {one.name for one in drawn(source, 5, seed, python)}

    before = names(0)
    assert names(0) == before
    assert not names(1) & before
    file = tmp_path / MODEL_FILE
    file.write_text(f"# Longer by a line.\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    assert names(0) == before
