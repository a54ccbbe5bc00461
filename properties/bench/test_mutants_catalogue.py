"""The catalogue of mutants: what is kept is in order, what is not in its form is refused, and what is tried first."""

import shutil
from argparse import Namespace
from pathlib import Path

import pytest

from harness.machine.postgres import SetupError
from harness.machine.project import ROOT
from properties.bench.made_mutants import made_diff, made_patch
from properties.mutants import selection
from properties.mutants.__main__ import main
from properties.mutants.attempt import Plan, rank
from properties.mutants.catalogue import (
    HERE,
    PATCHES,
    Catalogue,
    Mutant,
    gathered,
    handwritten,
    read_catalogue,
    read_patch,
)
from properties.mutants.order import AREAS, FILES, likely, plans
from properties.mutants.tree import StaleError, apply

HOW = Plan(tests="properties", shrink=1)


def mutant(area: str, *files: str) -> Mutant:
    """One of which only this matters."""
    return Mutant(area, "one", "It is wrong.", "", "".join(f"+++ b/{file}\n" for file in files))


# What is committed


def test_every_patch_applies_to_the_tree() -> None:
    stale: dict[str, str] = {}
    for one in handwritten(HERE / PATCHES):
        try:
            apply(one.diff, ROOT, only_check=True)
        except StaleError as error:
            stale[one.name] = str(error)
    assert stale == {}


def test_no_mutant_is_another_s_twin(tmp_path: Path) -> None:
    made: dict[tuple[str, ...], list[str]] = {}
    for number, one in enumerate(handwritten(HERE / PATCHES)):
        tree = tmp_path / str(number)
        for file in one.files:
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, tree / file)
        apply(one.diff, tree)
        changed = (f"{file}\n{(tree / file).read_text(encoding='utf-8')}" for file in sorted(one.files))
        made.setdefault(tuple(changed), []).append(one.name)
    assert [names for names in made.values() if len(names) > 1] == []


def test_what_is_tried_first_is_there() -> None:
    known = [start for starts in [*AREAS.values(), *FILES.values()] for start in starts]
    for name in {*known, *read_catalogue(HERE).killers.values()}:
        file, _, test = name.partition("::")
        assert (ROOT / file).exists(), f"{name} is not there any more"
        assert not test or f"def {test.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), name


# The catalogue


@pytest.mark.parametrize("sentence", ["", "it has no full stop", "diff --git a/model/numbers.py b/model/numbers.py"])
def test_a_patch_without_a_sentence_is_refused(tmp_path: Path, sentence: str) -> None:
    file = made_patch(tmp_path, "wordless", made_diff("TOY = 1"), sentence)
    with pytest.raises(SetupError, match=r"wordless.patch is not in the form that it is to have: a sentence"):
        read_patch(file)


def test_a_patch_without_a_diff_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="and a unified diff"):
        read_patch(made_patch(tmp_path, "idle", ""))


def test_a_patch_of_what_is_no_implementation_is_refused(tmp_path: Path) -> None:
    diff = "--- a/properties/walks/test_ttl.py\n+++ b/properties/walks/test_ttl.py\n@@ -1 +1 @@\n-a\n+b\n"
    with pytest.raises(SetupError, match=r"changes properties/walks/test_ttl.py: it is to change files in harness/ext"):
        read_patch(made_patch(tmp_path, "cheat", diff))


def test_two_mutants_of_one_name_are_refused() -> None:
    with pytest.raises(SetupError, match="Two mutants have the name registry/one"):
        gathered([mutant("registry", "a")], [mutant("registry", "b")])


# The order


def test_first_comes_what_killed_it_last_or_what_is_likely_to_and_then_all_with_what_kills_most() -> None:
    one = mutant("errors", "harness/extension/registry.c")
    killers = {
        one.name: "a.py::test_it[x]",
        "other/1": "c.py::test_rare",
        "other/2": "b.py::test_b",
        "more": "b.py::test_b",
    }
    assert likely(one)[: len(AREAS["errors"])] == list(AREAS["errors"])
    assert set(likely(one)) == {*AREAS["errors"], *FILES["registry"]}
    first, everything = plans(one, killers, HOW)
    assert (first.only, everything.only) == (("a.py::test_it[x]",), ())
    assert everything.order[: 1 + len(likely(one))] == ("a.py::test_it[x]", *likely(one))
    assert everything.order[1 + len(likely(one)) :] == ("b.py::test_b", "a.py::test_it[x]", "c.py::test_rare")
    first, everything = plans(one, {}, HOW)
    assert (first.only, everything.only, everything.order) == (tuple(likely(one)), (), first.order)


@pytest.mark.parametrize(
    ("file", "folder", "on_a_server", "only"),
    [
        ("harness/extension/shared_backup--1.0.sql", "shared_backup", True, ()),
        ("model/linearizability/linearize.py", "linearizability", False, ()),
        ("properties/concurrency/porcupine.py", "concurrency", False, ("properties/concurrency",)),
    ],
)
def test_where_there_is_no_area_the_file_or_its_folder_tells(
    file: str, folder: str, on_a_server: bool, only: tuple[str, ...]
) -> None:
    one = mutant("of no such area", file)
    assert likely(one) == list(dict.fromkeys(FILES[folder]))
    _first, everything = plans(one, {}, HOW)
    assert (everything.on_a_server, everything.only) == (on_a_server, only)


def test_a_name_that_only_begins_the_same_is_another() -> None:
    order = ("p/test_a.py::test_x", "p/test_a.py", "p")
    names = ["p/test_a.py::test_x[1]", "p/test_a.py::test_xy", "p/test_b.py::test_x", "pp/test_c.py::test_x"]
    assert [rank(name, order) for name in names] == [0, 1, 2, 3]


# Which


def chosen(**options: object) -> Namespace:
    """A command line."""
    return Namespace(**{"selection": None, "since": None, "all": False, "profile": "gate", "most": None, **options})


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["a/one", "c/one"]),
        ({"all": True}, ["a/one", "b/one", "c/one"]),
        ({"profile": "nightly"}, ["a/one", "b/one", "c/one"]),
        ({"selection": "B/ nothing"}, ["b/one"]),
        ({"selection": "a/ b/", "since": "HEAD"}, ["a/one"]),
    ],
)
def test_a_gate_tries_what_a_change_may_have_made_survive(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], names: list[str]
) -> None:
    monkeypatch.setattr(selection, "changed_since", lambda commit: {"model/state.py", "properties/x.py", "README.md"})
    mutants = [mutant("a", "model/state.py"), mutant("b", "model/tour.py"), mutant("c", "model/tour.py")]
    catalogue = Catalogue(
        Path(), mutants, {}, {"c/one": "properties/x.py::test_it", "b/one": "properties/y.py::test_it"}
    )
    assert [one.name for one in selection.select(catalogue, chosen(**options)).mutants] == names


def test_of_many_a_number_is_drawn_by_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "changed_since", lambda commit: {"model/state.py"})
    mutants = [Mutant(f"{number:03}", "one", "Wrong.", "", "+++ b/model/state.py\n") for number in range(99)]
    catalogue = Catalogue(Path(), mutants, {}, {})

    def names(commit: str, **options: object) -> list[str]:
        monkeypatch.setattr(selection, "head", lambda: commit)
        return [one.name for one in selection.select(catalogue, chosen(**options)).mutants]

    drawn = names("a")
    assert (len(drawn), drawn) == (selection.GATE, sorted(drawn))
    assert names("a") == drawn
    assert names("b") != drawn
    assert len(names("a", most=7)) == len(names("a", all=True, most=7)) == 7
    assert len(names("a", all=True)) == len(names("a", most=99)) == 99


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-k", "nothing-like-that"], "No mutant has one of these words"),
        (["--since", "nowhere"], "There is no commit nowhere"),
        (["--all", "--pg-config", "/nowhere/pg_config"], "There is no pg_config at /nowhere/pg_config"),
        (["--all", "--results", "/dev/null/out"], "The results folder /dev/null/out cannot be written to"),
    ],
)
def test_wrong_arguments_get_one_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


def test_a_patch_that_does_not_apply_leaves_the_tree_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "numbers.py").write_text("Another.\n", encoding="utf-8")
    with pytest.raises(StaleError, match="patch failed"):
        apply(made_diff("TOY = 1"), tmp_path)
    assert (tmp_path / "model" / "numbers.py").read_text(encoding="utf-8") == "Another.\n"
