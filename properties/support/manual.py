"""The page for PostgreSQL's manual, ``doc/shared-backup.sgml``, as tests read it."""

from collections.abc import Iterator
from functools import cache
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from harness.machine.project import EXTENSION

PAGE = EXTENSION / "doc" / "shared-backup.sgml"
ENTITIES = '<!DOCTYPE sect1 [<!ENTITY mdash "&#8212;">]>'
"""Those of DocBook's that it uses."""


@cache
def page() -> Element:
    """The page."""
    return ElementTree.fromstring(ENTITIES + PAGE.read_text(encoding="utf-8"))


def words(element: Element | None) -> str:
    """All that it says, with single spaces; without what is for the index alone."""
    return "" if element is None else " ".join("".join(_texts(element)).split())


def _texts(element: Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag != "indexterm":
            yield from _texts(child)
        yield child.tail or ""


def names(tag: str) -> set[str]:
    """What is marked as this anywhere."""
    return {words(one) for one in page().iter(tag)}


def rows(title: str) -> list[list[Element]]:
    """The entries of the rows in the body of the table with this title."""
    tables = [one for one in page().iter("table") if words(one.find("title")) == title]
    (table,) = tables
    return [list(row) for row in table.findall("tgroup/tbody/row")]


def signatures() -> list[str]:
    """Of the functions."""
    return [words(one) for one in page().iter("para") if one.get("role") == "func_signature"][1:]


def columns(view: str) -> list[tuple[str, str]]:
    """The names and types of a view's columns."""
    found = [entry.find("para") for (entry,) in rows(f"{view} Columns")]
    return [(words(one.find("structfield")), words(one.find("type"))) for one in found if one is not None]


def parameters() -> dict[str, tuple[str, str]]:
    """The configuration parameters: their types, and what is said of them."""
    found = {}
    for entry in page().iter("varlistentry"):
        name, kind = words(entry.find("term/varname")), words(entry.find("term/type"))
        found[name] = (kind, words(entry.find("listitem")))
    return found
