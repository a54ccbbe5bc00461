"""Rules of the bench's own source that neither the linter nor the type checker knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from harness.machine.project import ROOT
from model.operations import Operation

SOURCES = sorted(file for room in ("model", "harness", "properties") for file in (ROOT / room).rglob("*.py"))
OPERATIONS = {operation.__name__ for operation in get_args(Operation)}


def elsewhere(pattern: str, *files: str) -> list[str]:
    """The lines with this regular expression in them in all files of properties/ but these."""
    return [
        f"{file.name}:{number}: {line.strip()}"
        for file in SOURCES
        if file.is_relative_to(ROOT / "properties") and file.name not in (*files, Path(__file__).name)
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if re.search(pattern, line)
    ]


def classes(pattern: ast.pattern) -> Iterator[str]:
    """The classes that a case takes."""
    match pattern:
        case ast.MatchClass(cls=ast.Name(id=name)):
            yield name
        case ast.MatchOr(patterns=patterns):
            for one in patterns:
                yield from classes(one)
        case ast.MatchAs(pattern=ast.pattern() as inner):
            yield from classes(inner)
        case _:
            return


def open_ended(source: str) -> list[int]:
    """The lines of the matches on operations that pass over those they do not name."""
    return [
        found.lineno
        for found in ast.walk(ast.parse(source))
        if isinstance(found, ast.Match)
        and OPERATIONS & {name for case in found.cases for name in classes(case.pattern)}
        and not (isinstance(found.cases[-1].pattern, ast.MatchAs) and found.cases[-1].pattern.pattern is None)
    ]


def test_a_match_that_passes_over_operations_is_found() -> None:
    named = "match one:\n  case Stop() | Abort():\n    pass\n"
    assert open_ended(named) == [1]
    assert open_ended(f"{named}  case _:\n    pass\n") == []
    assert open_ended("match one:\n  case Ok():\n    pass\n") == []


def test_no_operation_is_passed_over_in_silence() -> None:
    """A match on operations says what becomes of the others: an error, best by assert_never, or something else."""
    assert [f"{file.relative_to(ROOT)}:{line}" for file in SOURCES for line in open_ended(file.read_text())] == []


def test_what_runs_is_the_postgresql_that_was_named() -> None:
    """The fixture ``postgres`` knows it; who looks for one does not know of --pg-config."""
    assert elsewhere(r"find_postgres\(\)|embedded_postgres", "conftest.py", "test_setup.py") == []


def test_what_failed_before_is_tried_first() -> None:
    """UNSHRUNK sees to that, and so does who names no phases."""
    assert elsewhere(r"\bphases=(?!UNSHRUNK\b|True\b)[A-Z(\[]|\bPhase\.", "profiles.py") == []
