"""What the extension says follows PostgreSQL's style: a message is no sentence, a detail and a hint are whole ones.

The rules are those of "Error Message Style Guide" in PostgreSQL's documentation.
"""

import re

import pytest

from harness.machine.project import EXTENSION

LITERAL = r'"(?:[^"\\]|\\.)*"'
SAID = re.compile(rf"\b(errmsg|errdetail|errhint)(?:_plural|_internal|_log)?\(\s*(?:_\()?\s*((?:{LITERAL}\s*)+)")
NAMES = ("%", '\\"')
"""A message may begin with what something is called."""


def messages() -> list[tuple[str, str]]:
    """The kind of each text in the sources, and the text."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(EXTENSION.glob("*.c"))]
    found = [match for source in sources for match in SAID.finditer(source)]
    return [(match[1], "".join(part[1:-1] for part in re.findall(LITERAL, match[2]))) for match in found]


def mistake(kind: str, text: str) -> str | None:
    """What is wrong with it; None: nothing."""
    if text == "%s":  # it is elsewhere
        return None
    if kind == "errmsg":
        if text.endswith("."):
            return "a message ends without a full stop"
        return None if text[0].islower() or text.startswith(NAMES) or text[:3].isupper() else "it begins in lower case"
    if not text.endswith((".", "?")):
        return "a sentence has an end"
    return None if text[0].isupper() or text.startswith(NAMES) else "a sentence begins with a capital letter"


def test_messages_are_in_postgresql_s_style() -> None:
    said = messages()
    assert len(said) > 100, "most of what the extension says was not found in its sources"
    wrong = [f"{kind}: {text!r}: {why}" for kind, text in said if (why := mistake(kind, text))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("errmsg", "it failed."), ("errmsg", "It failed"), ("errdetail", "It has"), ("errhint", "start another one.")],
)
def test_a_mistake_is_found(kind: str, text: str) -> None:
    assert mistake(kind, text)
