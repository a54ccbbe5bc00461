"""The reasons why lines and branches of the extension are not reached, which ``unreached.toml`` keeps.

A reason is kept for a function and the text of a line, without what is before and after it, so that it survives edits
elsewhere. A text that is there twice is kept twice, and excuses two: of lines each is a statement, of branches each is
one way out of the decision. ``sometimes`` is for what depends on which of two processes comes first: it may be reached.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from harness.machine.postgres import SetupError
from harness.schema.c_coverage import CCoverage, File, Function, Kind, Unreached
from properties.recording.verdict import count

REASONS = Path(__file__).with_suffix(".toml")


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why some lines and branches of a function are not reached."""

    file: str
    function: str
    reason: str
    lines: tuple[str, ...] = ()
    """The text of the first line of each statement, or the first that is not reached."""
    branches: tuple[str, ...] = ()
    """That of the decision's first line, as often as there are ways out that are not taken."""
    sometimes: bool = False
    """They may be reached."""


class Place(NamedTuple):
    """What a reason is kept for."""

    file: str
    function: str
    kind: Kind
    text: str

    @property
    def in_words(self) -> str:
        """Where it is."""
        return f"{self.file}, {self.function}: {self.text}"


def read_reasons(path: Path = REASONS) -> list[Reason]:
    """All that are kept; raises SetupError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        found = msgspec.convert(table.get("unreached", []), list[Reason])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SetupError(f"{path.name} cannot be read ({error}): mend it.") from None
    if bad := next((one for one in found if not one.reason.strip() or not (one.lines or one.branches)), None):
        raise SetupError(f"{path.name} has an entry for {bad.function} without a reason, or without lines: mend it.")
    return found


def judged(coverage: CCoverage, reasons: list[Reason], sources: Mapping[str, bytes]) -> CCoverage:
    """The same with its reasons, and with what is wrong."""
    at_most = Counter(place for one in reasons for place in places(one))
    at_least = Counter(place for one in reasons if not one.sometimes for place in places(one))
    found: Counter[Place] = Counter()
    lines: dict[Place, int] = {}
    for file, function, one in everything(coverage):
        place = Place(file.name, function.name, one.kind, one.text)
        found[place] += 1 if one.kind is Kind.LINES else one.number
        lines.setdefault(place, one.line)
    there = {(file.name, function.name, text) for file, function, text in texts(coverage, sources)}
    findings = [no_reason(place, lines[place], number, at_most[place]) for place, number in found.items()]
    for place in at_most:
        if (place.file, place.function, place.text) not in there:
            findings.append(f"{place.in_words}: a reason is kept, and there is no such line: drop it, or mend the text")
        elif found[place] < at_least[place]:
            findings.append(f"{place.in_words}: {reached(place, at_least[place] - found[place])}")
    return replace(with_reasons(coverage, reasons), findings=tuple(filter(None, findings)))


def places(reason: Reason) -> Iterator[Place]:
    """What a reason is kept for, as often as it is."""
    for kind, found in ((Kind.LINES, reason.lines), (Kind.BRANCHES, reason.branches)):
        yield from (Place(reason.file, reason.function, kind, text) for text in found)


def everything(coverage: CCoverage) -> Iterator[tuple[File, Function, Unreached]]:
    """All that was not reached."""
    for file in coverage.files:
        for function in file.functions:
            yield from ((file, function, one) for one in function.unreached)


def texts(coverage: CCoverage, sources: Mapping[str, bytes]) -> Iterator[tuple[File, Function, str]]:
    """The text of every line of every function."""
    for file in coverage.files:
        text = sources[file.name].decode().splitlines()
        for function in file.functions:
            numbers = [line.number for line in function.every]
            yield from ((file, function, line.strip()) for line in text[min(numbers) - 1 : max(numbers)])


def with_reasons(coverage: CCoverage, reasons: list[Reason]) -> CCoverage:
    """The same with the reasons that are kept."""
    kept: dict[Place, str] = {}
    for one in reasons:
        for place in set(places(one)):
            kept[place] = "; ".join(filter(None, [kept.get(place), one.reason]))

    def explained(file: File, function: Function) -> Function:
        return replace(
            function,
            unreached=tuple(
                replace(one, reason=kept.get(Place(file.name, function.name, one.kind, one.text), ""))
                for one in function.unreached
            ),
        )

    return replace(
        coverage,
        files=tuple(
            replace(file, functions=tuple(explained(file, function) for function in file.functions))
            for file in coverage.files
        ),
    )


def no_reason(place: Place, line: int, number: int, excused: int) -> str:
    """What is told of what was not reached; nothing if it is excused."""
    if number <= excused:
        return ""
    kept = f"reasons are kept for {excused}" if excused else "no reason is kept"
    return f"{place.in_words} (line {line}): {of_what(place, number)} not reached, and {kept}"


def reached(place: Place, number: int) -> str:
    """What is told of a reason that is none any more."""
    return f"a reason is kept for {of_what(place, number)} too many, which is reached: drop it"


def of_what(place: Place, number: int) -> str:
    """In words."""
    return count(number, "statement of this text" if place.kind is Kind.LINES else "branch")
