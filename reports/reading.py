"""Reading JSON that may be missing, truncated or foreign: what is wrong with it is told in one sentence."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Reader = Callable[[object], T]
"""Takes a value as JSON has it and returns it as the report wants it, or raises Foreign."""

Scalar = str | float | bool | None


class Unreadable(Exception):  # noqa: N818 - its message is for people
    """There is no report to be made of this; the message is one sentence that says why."""


class Foreign(ValueError):  # noqa: N818
    """A value that is not what a results file has there."""


def read_file(path: Path, read: Reader[T], kind: str) -> T:
    """A JSON file; raises Unreadable."""
    return parse(text_of(path), read, f"{path} is not {kind}")


def read_lines(path: Path, read: Reader[T], kind: str) -> list[T]:
    """A file of JSON lines; raises Unreadable."""
    lines = enumerate(text_of(path).splitlines(), 1)
    return [parse(line, read, f"{path} is not {kind}: line {number}") for number, line in lines if line.strip()]


def text_of(path: Path) -> str:
    """What is in a file; raises Unreadable."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Unreadable(f"{path} cannot be read: it is not text.") from None


def parse(text: str, read: Reader[T], complaint: str) -> T:
    """JSON as ``read`` understands it; raises Unreadable."""
    try:
        return read(json.loads(text))
    except json.JSONDecodeError as error:
        raise Unreadable(f"{complaint}: it is no JSON, or ends too early (line {error.lineno}).") from None
    except RecursionError:
        raise Unreadable(f"{complaint}: it is nested too deeply.") from None
    except Foreign as error:
        raise Unreadable(f"{complaint}: {error}.") from None


# Readers


def text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise Foreign(f"{quoted(value)} is no text")
    return value


def number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Foreign(f"{quoted(value)} is no number")
    return value


def count(value: object) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Foreign(f"{quoted(value)} is no whole number")
    return value


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Foreign(f"{quoted(value)} is neither true nor false")
    return value


def scalar(value: object) -> Scalar:
    """Anything that is printed in one line: lists and objects become their JSON."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def optional(read: Reader[T]) -> Reader[T | None]:
    """Null, or what ``read`` reads."""
    return lambda value: None if value is None else read(value)


def listed(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list."""

    def read_list(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Foreign(f"{quoted(value)} is no list")
        return tuple(inside(f"[{position}]", one, read) for position, one in enumerate(value))

    return read_list


def mapped(read: Reader[T]) -> Reader[dict[str, T]]:
    """An object with any names."""
    return lambda value: {name: inside(name, one, read) for name, one in an_object(value).items()}


def field(value: object, name: str, read: Reader[T]) -> T:
    """A field that an object must have."""
    found = an_object(value)
    if name not in found:
        raise Foreign(f"{name} is missing")
    return inside(name, found[name], read)


def field_or(value: object, name: str, read: Reader[T], default: T) -> T:
    """A field that an object may have; null counts as absent."""
    found = an_object(value).get(name)
    return default if found is None else inside(name, found, read)


def many(value: object, name: str, read: Reader[T]) -> tuple[T, ...]:
    """A field with a list; nothing if it is absent."""
    found = an_object(value).get(name)
    return () if found is None else inside(name, found, listed(read))


def named(value: object, name: str, read: Reader[T]) -> dict[str, T]:
    """A field with an object of any names; nothing if it is absent."""
    found = an_object(value).get(name)
    return {} if found is None else inside(name, found, mapped(read))


def an_object(value: object) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Foreign(f"{quoted(value)} is no object")
    return value


def inside(name: str, value: object, read: Reader[T]) -> T:
    """Reads a part, and says which one it was if it is wrong."""
    try:
        return read(value)
    except Foreign as error:
        raise Foreign(f"{name}: {error}") from None


def schema(value: object, wanted: int) -> None:
    """The version of the format; raises Foreign if this report does not know it."""
    found = field(value, "schema", count)
    if found != wanted:
        raise Foreign(f"its schema is {found}, and this report reads {wanted}")


def quoted(value: object) -> str:
    """A value in an error message."""
    words = json.dumps(value, default=str)
    return words if len(words) <= 40 else words[:40] + " ..."
