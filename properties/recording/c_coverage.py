"""Which lines and branches of the extension were reached, from what gcovr says of its counters and its sources."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from harness.schema.c_coverage import CCoverage, File, Function, Kind, Line, Share, Unreached
from properties.recording.c_statements import Statement, statements

# What is used of gcovr's JSON, format 0.x


class Branch(Struct, frozen=True):
    """A way out of a line, as one build numbers its blocks: builds may differ in that, and not in its own number."""

    branchno: int
    count: int


class TracedLine(Struct, frozen=True):
    """A line with code; one of a macro may be in several functions."""

    line_number: int
    count: int
    function_name: str = ""
    branches: tuple[Branch, ...] = ()


class TracedFunction(Struct, frozen=True):
    """A function."""

    name: str
    lineno: int


class TracedFile(Struct, frozen=True):
    """A source file."""

    file: str
    lines: tuple[TracedLine, ...]
    functions: tuple[TracedFunction, ...] = ()


class Trace(Struct, frozen=True):
    """All of it."""

    files: tuple[TracedFile, ...]
    version: str = field(name="gcovr/format_version", default="")


def c_coverage(trace: bytes, sources: Mapping[str, bytes]) -> CCoverage:
    """What was reached of the sources, which are those that were compiled, by name; other files are left out."""
    traced = msgspec.json.decode(trace, type=Trace)
    files = tuple(file_of(one, sources[one.file].decode()) for one in traced.files if one.file in sources)
    return CCoverage(
        lines=total(one.lines for one in files), branches=total(one.branches for one in files), files=files
    )


def file_of(traced: TracedFile, source: str) -> File:
    """One file."""
    begins = {one.name: one.lineno for one in traced.functions}
    text, parts = source.splitlines(), statements(source)
    in_order = sorted(traced.lines, key=lambda line: (begins.get(line.function_name, 0), line.line_number))
    functions = tuple(
        function_of(name, begins.get(name, 0), list(lines), text, parts)
        for name, lines in groupby(in_order, key=attrgetter("function_name"))
    )
    return File(
        name=traced.file,
        lines=total(one.lines for one in functions),
        branches=total(one.branches for one in functions),
        functions=functions,
    )


def function_of(
    name: str, begins: int, traced: list[TracedLine], text: list[str], parts: Mapping[int, Statement]
) -> Function:
    """One function."""
    every = tuple(line_of(line, parts.get(line.line_number)) for line in traced)
    branches = [taken for line in every for taken in line.branches]
    alone = {line.number: Statement(line.number, line.number, "") for line in every}
    grouped = groupby(every, key=lambda line: parts.get(line.number, alone[line.number]))
    missed = [one for part, lines in grouped for one in unreached(part, list(lines), text)]
    if not any(line.reached for line in every):  # told as one
        missed = [replace(missed[0], number=len(every), within=len(branches))]
    return Function(
        name=name,
        line=begins,
        lines=Share(sum(line.reached for line in every), len(every)),
        branches=Share(sum(branches), len(branches)),
        every=every,
        unreached=tuple(missed),
    )


def line_of(traced: TracedLine, part: Statement | None) -> Line:
    """One line; its branches count if its statement decides something."""
    taken: dict[int, bool] = {}
    if part is not None and part.decides:
        for one in traced.branches:
            taken[one.branchno] = taken.get(one.branchno, False) or one.count > 0
    return Line(traced.line_number, traced.count > 0, tuple(taken.values()))


def unreached(part: Statement, lines: list[Line], text: list[str]) -> Iterator[Unreached]:
    """What was not reached of a statement: of a line that was not, its branches are not told as well."""
    missed = [line for line in lines if not line.reached]
    if missed:
        first, within = missed[0].number, sum(len(line.branches) for line in missed)
        yield Unreached(kind=Kind.LINES, line=first, text=text[first - 1].strip(), number=len(missed), within=within)
    if ways := sum(not taken for line in lines if line.reached for taken in line.branches):
        yield Unreached(kind=Kind.BRANCHES, line=part.first, text=text[part.first - 1].strip(), number=ways)


def total(shares: Iterable[Share]) -> Share:
    """Several as one."""
    every = list(shares)
    return Share(sum(one.reached for one in every), sum(one.all for one in every))
