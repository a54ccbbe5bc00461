"""``c_coverage.json``: a ``CCoverage``, which lines and branches of the extension's C a campaign has reached."""

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What was not reached."""

    LINES = "lines"
    """Those of a statement, or some of them."""
    BRANCHES = "branches"
    """Ways out of a decision that was reached."""


class Share(Struct, frozen=True):
    """How many of them were reached."""

    reached: int
    all: int

    @property
    def percent(self) -> float:
        """Of none all are reached."""
        return 100 * self.reached / self.all if self.all else 100.0


class Line(Struct, frozen=True, array_like=True):
    """A line with code: a list of three."""

    number: int
    reached: bool
    branches: tuple[bool, ...] = ()
    """The ways out of it, where it decides something: was each taken?"""


class Unreached(Struct, frozen=True, kw_only=True):
    """What was not reached of one statement."""

    kind: Kind
    line: int
    """Its number: the first that was not reached, or the first of the decision."""
    text: str
    """Of that line, without what is before and after it."""
    number: int
    """How many lines, or branches."""
    within: int = 0
    """Of lines: the branches that they have, which are not told by themselves."""
    reason: str = ""
    """Why not; empty: none is kept."""


class Function(Struct, frozen=True, kw_only=True):
    """A function of the extension."""

    name: str
    line: int
    """Where it begins."""
    lines: Share
    branches: Share
    every: tuple[Line, ...]
    """Its lines with code, as the compiler sees them."""
    unreached: tuple[Unreached, ...] = ()


class File(Struct, frozen=True, kw_only=True):
    """A source file."""

    name: str
    lines: Share
    branches: Share
    functions: tuple[Function, ...]


class CCoverage(Struct, frozen=True, kw_only=True):
    """What was reached of all files."""

    lines: Share
    branches: Share
    files: tuple[File, ...]
    not_judged: str = ""
    """Why the reasons were not compared with what was reached; empty: they were."""
    findings: tuple[str, ...] = ()
    """What is wrong: not reached without a reason, or a reason without what it is about; each in one line."""
