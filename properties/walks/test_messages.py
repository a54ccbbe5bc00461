"""What the extension says follows PostgreSQL's style: a message is no sentence, a detail and a hint are whole ones.

Here it is read in the sources; what a server says is looked at in test_error_table.py, by the same rules.
"""

import re

import pytest

from harness.machine.project import EXTENSION
from properties.walks.message_style import NAME, is_message, is_sentence

LITERAL = r'"(?:[^"\\]|\\.)*"'
SAID = re.compile(rf"\b(errmsg|errdetail|errhint)(?:_plural|_internal|_log)?\(\s*(?:_\()?\s*((?:{LITERAL}\s*)+)")


def messages() -> list[tuple[str, str]]:
    """The kind of each text in the sources, and the text."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(EXTENSION.glob("*.c"))]
    found = [match for source in sources for match in SAID.finditer(source)]
    return [(match[1], "".join(part[1:-1] for part in re.findall(LITERAL, match[2]))) for match in found]


def in_style(kind: str, text: str) -> bool:
    """Does it follow the rules, whatever is put into it?"""
    filled = re.sub("^%", NAME, text.replace('\\"', NAME))
    return text == "%s" or (is_message(filled) if kind == "errmsg" else is_sentence(filled))  # or it is elsewhere


def test_messages_are_in_postgresql_s_style() -> None:
    said = messages()
    assert len(said) > 100, "most of what the extension says was not found in its sources"
    wrong = [f"{kind}: {text!r}" for kind, text in said if not in_style(kind, text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("errmsg", "it failed."), ("errmsg", "It failed"), ("errdetail", "It has"), ("errhint", "start another one.")],
)
def test_a_mistake_is_found(kind: str, text: str) -> None:
    assert not in_style(kind, text)
