"""The statements of a C source, as far as its coverage needs them: where each is, and whether it decides something.

The compiler tells branches of everything that a macro hides, too: whether a message is logged, whether an assertion
holds, whether a lock is free. So **a branch counts only where our own source decides**: in the condition of an ``if``,
``for``, ``while`` or ``switch``, or in a statement with ``?:``, ``&&`` or ``||``; and not in one that calls
``ereport``, ``elog`` or an ``Assert``. What a macro in such a condition decides counts with it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NOT_CODE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'    # comments, text, letters
      | ^[ \t]*\#(?:\\\n|[^\n])* """,  # directives
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
HEADER = re.compile(r"(?:if|for|while|switch|\w*foreach\w*)\s*\(")
DECIDES = re.compile(r"(?:if|for|while|switch)\s*\(|\?|&&|\|\|")
REPORTS = re.compile(r"\b(?:ereport|elog|Assert\w*|StaticAssert\w*)\b")
LABEL = re.compile(r"case\b[^?]*|default\s*|[A-Za-z_]\w*\s*")


@dataclass(frozen=True)
class Statement:
    """A statement, or what comes before the body of one, such as a condition."""

    first: int
    """Line numbers."""
    last: int
    code: str
    """Without comments and text."""

    @property
    def decides(self) -> bool:
        """Do its branches count?"""
        return bool(DECIDES.search(self.code)) and not REPORTS.search(self.code)


def statements(source: str) -> dict[int, Statement]:
    """The statement that each line of code belongs to: the first, if there are several."""
    found: dict[int, Statement] = {}
    for one in cut(NOT_CODE.sub(blank, source)):
        for number in range(one.first, one.last + 1):
            found.setdefault(number, one)
    return found


def blank(found: re.Match[str]) -> str:
    """As many lines, and no code; text stays something."""
    word = found[0]
    return word[0] + " " * (len(word) - 2) + word[0] if word[0] in "\"'" else re.sub(r"[^\n]", " ", word)


def cut(code: str) -> Iterator[Statement]:
    """The statements in their order."""
    start, depth = 0, 0
    for place, letter in enumerate(code):
        depth += (letter == "(") - (letter == ")")
        if depth:
            continue
        so_far = code[start:place].strip()
        if so_far in ("else", "do") and not (letter.isalnum() or letter == "_"):
            start, so_far = place, ""
        ends = (
            letter in ";{}" or (letter == ")" and HEADER.match(so_far)) or (letter == ":" and LABEL.fullmatch(so_far))
        )
        if ends:
            yield from statement(code, start, place + 1 if letter == ")" else place)
            start = place + 1


def statement(code: str, start: int, end: int) -> Iterator[Statement]:
    """The one between these places, unless there is nothing."""
    text = code[start:end]
    if words := text.strip():
        first = code.count("\n", 0, start + len(text) - len(text.lstrip())) + 1
        yield Statement(first, first + words.count("\n"), words)
