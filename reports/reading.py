"""Reading files that may be missing, truncated or foreign: what is wrong with one is told in one sentence."""

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.schema.run import SCHEMA, Circumstances

T = TypeVar("T")
Results = TypeVar("Results", bound=Circumstances)

KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
"""What JSON has, in words."""


class Unreadable(Exception):  # noqa: N818 - its message is for people
    """There is no report to be made of this; the message is one sentence that says why."""


class Versioned(msgspec.Struct):
    """What every version of a file of results has."""

    schema: int


def read_results(path: Path, kind: type[Results], what: str) -> Results:
    """The results of a run; raises Unreadable."""
    complaint = f"{path} is not {what}"
    text = text_of(path)
    found = parse(text, Versioned, complaint).schema
    if found != SCHEMA:
        raise Unreadable(f"{complaint}: its schema is {found}, and this report reads {SCHEMA}.")
    return parse(text, kind, complaint)


def read_file(path: Path, kind: type[T], what: str) -> T:
    """A JSON file; raises Unreadable."""
    return parse(text_of(path), kind, f"{path} is not {what}")


def read_lines(path: Path, kind: type[T], what: str) -> list[T]:
    """A file of JSON lines; raises Unreadable."""
    lines = enumerate(text_of(path).split("\n"), 1)  # no other letter ends a line: a label may have some that might
    return [parse(line, kind, f"{path} is not {what}: line {number}") for number, line in lines if line.strip()]


def text_of(path: Path) -> str:
    """What is in a file; raises Unreadable."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Unreadable(f"{path} cannot be read: it is not text.") from None


def parse(text: str, kind: type[T], complaint: str) -> T:
    """JSON of that kind; raises Unreadable."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise Unreadable(f"{complaint}: {in_words(str(error))}.") from None
    except msgspec.DecodeError as error:
        raise Unreadable(f"{complaint}: it is no JSON, or ends too early ({error}).") from None
    except RecursionError:
        raise Unreadable(f"{complaint}: it is nested too deeply.") from None


def in_words(said: str) -> str:
    """What msgspec says of a value that is not of its kind: ``Expected `float`, got `str` - at `$.properties[0]```."""
    said, _, path = said.partition(" - at `$")
    where = path.rstrip("`").removeprefix(".") or "it"
    if found := re.fullmatch("Expected `(.*)`, got `(.*)`", said):
        wanted, got = (" or ".join(KINDS.get(kind, kind) for kind in some.split(" | ")) for some in found.groups())
        return f"{where} is {got}, and should be {wanted}"
    if found := re.fullmatch("Object missing required field `(.*)`", said):
        return f'{where} has no "{found[1]}"'
    return f"{where}: {said[:1].lower()}{said[1:].replace('`', '')}"
