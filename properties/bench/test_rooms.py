"""The rooms keep their order: what ``pyproject.toml`` does not say to the import linter is said here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine.project import ROOT

TOPS = ("model", "harness", "properties", "benchmarks", "reports")
SOURCES = sorted(file for top in TOPS for file in (ROOT / top).rglob("*.py"))


def imported(source: Path) -> Iterator[str]:
    """The modules that a file names in its imports, wherever they are."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_no_test_is_a_library() -> None:
    tests = {str(file.relative_to(ROOT)).removesuffix(".py").replace("/", ".") for file in SOURCES}
    tests = {module for module in tests if module.rpartition(".")[2].startswith("test_")}
    assert len(tests) > 50
    assert not {str(file): used for file in SOURCES if (used := tests.intersection(imported(file)))}


@pytest.mark.parametrize("top", TOPS)
def test_every_room_says_what_lives_there(top: str) -> None:
    rooms = [folder for folder in (ROOT / top, *(ROOT / top).rglob("*")) if any(folder.glob("*.py"))]
    for room in rooms:
        assert ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))), f"{room} does not"
