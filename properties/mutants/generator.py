"""Mutants that no one chose: universalmutator's rules on the extension, its script, the model, and the checkers.

A line has at most one mutant, so that long lines count for no more than short ones. Which lines and which mutants of
them is drawn by a hash of their text and a seed, so that a change elsewhere does not change the draw, and a name means
the same as long as its line is there. What does not compile, or compiles to the same program, is passed by
(``properties.mutants.soundness``).
"""

import contextlib
import difflib
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from universalmutator.mutator import mutants_regexp

from harness.schema.mutants import GENERATED_AREA
from properties.mutants.catalogue import Mutant
from properties.mutants.soundness import Check

RULES = Path(__file__).with_name("sql.rules")


@dataclass(frozen=True)
class Source:
    """Files that mutants are made of."""

    area: str
    """Of the mutants."""
    files: Sequence[str]
    """From the project's folder, with wildcards."""
    rules: Sequence[str]
    """universalmutator's, or a file of such."""
    share: float
    """Of all generated mutants."""
    passed_by: Sequence[str] = ()
    """Names of files that are none of them."""


MODEL = [f"model/{name}.py" for name in ("design", "state", "outcomes", "transition")]
C_RULES, PYTHON_RULES = ("universal.rules", "c_like.rules", "c.rules"), ("universal.rules", "python.rules")
SOURCES = (
    Source(f"{GENERATED_AREA}c", ["harness/extension/*.c"], C_RULES, 0.6, ["instruments.c", "injection_points.c"]),
    Source(f"{GENERATED_AREA}sql", ["harness/extension/shared_backup--1.0.sql"], [str(RULES)], 0.08),
    Source(f"{GENERATED_AREA}model", MODEL, PYTHON_RULES, 0.2),
    Source(
        f"{GENERATED_AREA}checkers",
        ["model/promises/*.py", "model/linearizability/*.py", "properties/concurrency/porcupine.py"],
        PYTHON_RULES,
        0.12,
        ["__init__.py"],
    ),
)


class Candidate(NamedTuple):
    """A line, and what may take its place."""

    number: int
    """Of the line, from 1."""
    before: str
    after: str
    """One line or more."""
    key: str
    """A hash of the line and what takes its place, in hexadecimal."""


def generated(number: int, seed: int, check: Check) -> list[Mutant]:
    """About so many mutants of the files in the tree of ``check``: fewer if it has fewer lines that can be mutated.

    Raises SetupError if the files themselves do not compile.
    """
    return [mutant for source in SOURCES for mutant in drawn(source, round(number * source.share), seed, check)]


def is_generated(name: str) -> bool:
    """Is a mutant of that name one that no one chose?"""
    return name.startswith(GENERATED_AREA)


def drawn(source: Source, number: int, seed: int, check: Check) -> Iterator[Mutant]:
    """So many of one source."""
    tree = check.tree
    lines = [(file, line) for file in files_of(source, tree) for line in by_line(file, tree, source.rules, seed)]
    programs: set[bytes] = set()
    for file, line in sorted(lines, key=lambda one: min(candidate.key for candidate in one[1])):
        if number == 0:
            return
        if found := first_sound(file, line, check, programs):
            yield mutant_of(source.area, file, tree, found)
            number -= 1


def files_of(source: Source, tree: Path) -> list[str]:
    """Its files, from the tree's folder."""
    found = sorted(path for pattern in source.files for path in tree.glob(pattern))
    return [str(path.relative_to(tree)) for path in found if path.name not in source.passed_by]


def by_line(file: str, tree: Path, rules: Sequence[str], seed: int) -> list[list[Candidate]]:
    """The candidates of each line that has some, drawn ones first."""
    text = lines_of(tree / file)
    seen = Counter[str]()
    occurrence = {number: seen.update([line]) or seen[line] for number, line in enumerate(text, 1)}
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # it tells of its rules
        made = mutants_regexp(text, list(rules), ignorePatterns=[], ignoreStringOnly=file.endswith(".py"))
    result: dict[int, list[Candidate]] = {}
    for number, after, *_rule in made:
        words = f"{seed} {file} {occurrence[number]} {text[number - 1]} {after}"
        key = hashlib.sha256(words.encode()).hexdigest()
        result.setdefault(number, []).append(Candidate(number, text[number - 1], after, key))
    return [sorted(candidates, key=lambda one: one.key) for candidates in result.values()]


def first_sound(file: str, candidates: Iterable[Candidate], check: Check, programs: set[bytes]) -> Candidate | None:
    """The first that compiles, to a program that is not among these; its program is among them then."""
    for one in candidates:
        program = check.program(file, changed(lines_of(check.tree / file), one))
        if program is not None and program != check.original(file) and program not in programs:
            programs.add(program)
            return one
    return None


def mutant_of(area: str, file: str, tree: Path, one: Candidate) -> Mutant:
    """The mutant, with its diff."""
    lines = lines_of(tree / file)
    diff = "".join(difflib.unified_diff(lines, changed(lines, one).splitlines(keepends=True), f"a/{file}", f"b/{file}"))
    mistake = f"{Path(file).name}, line {one.number}: `{one.before.strip()}` became `{' '.join(one.after.split())}`."
    return Mutant(area, f"{Path(file).stem.partition('--')[0]}-{one.key[:8]}", mistake, "", diff)


def changed(lines: Sequence[str], one: Candidate) -> str:
    """The text of the file with the mutant in it."""
    return "".join([*lines[: one.number - 1], one.after, *lines[one.number :]])


def lines_of(file: Path) -> list[str]:
    """With their ends."""
    return file.read_text(encoding="utf-8").splitlines(keepends=True)
