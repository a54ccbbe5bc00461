"""The findings in PostgreSQL, and on which versions each was tried with which result: the one place that knows.

The page tells it in words, and ``properties/bench/test_findings.py`` holds the two together. When a property says that
a PostgreSQL has mended something, that version is added here, and to the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

Version = tuple[int, int]
"""Major and minor, such as 18 and 6."""

FOLDER = Path(__file__).parent
PAGE = FOLDER / "README.md"
SCRIPTS = FOLDER / "scripts"
SHARED = "stock.sh"
"""What all scripts begin with."""

TRIED: tuple[Version, ...] = ((15, 18), (16, 14), (17, 10), (18, 6))


@dataclass(frozen=True)
class Finding:
    """Something that PostgreSQL does; ``script``, without its suffix, names it."""

    script: str
    tried: Mapping[Version, bool]
    """Whether the script showed it on that version."""
    needs: str = ""
    """What PostgreSQL has only since the first version on which it was tried; empty: it always had."""

    @property
    def first(self) -> Version:
        """The first version on which it was tried."""
        return min(self.tried)

    def lacking(self, version: Version) -> str:
        """Why it cannot be tried on that version; empty if it can."""
        if not self.needs or version[0] >= self.first[0]:
            return ""
        return f"PostgreSQL {in_words(version)} has no {self.needs}: {self.first[0]} is the first"

    def expected(self, version: Version) -> bool:
        """Is it to be shown there? As on the last version before of the same major one, or else the nearest to that."""
        same = [one for one in self.tried if one[0] == version[0]]
        known = same or [*self.tried]
        before = [one for one in known if one <= version]
        return self.tried[max(before) if before else min(known)]

    def contradiction(self, version: Version, shown: bool) -> str:
        """What is to be said if that is not as expected; empty if it is."""
        if shown == self.expected(version):
            return ""
        place = "properties/findings/README.md and in properties/findings/catalogue.py (tried)"
        done = "shows this, which was not to be expected" if shown else "has mended this"
        return f"PostgreSQL {in_words(version)} {done}: say so in {place}"

    def versions(self) -> str:
        """The sentence of the page about the versions on which it was tried."""
        there, gone = ([in_words(one) for one in sorted(self.tried) if self.tried[one] == shown] for shown in (1, 0))
        parts = [f"shown on {listed(there)}" if there else "", f"not shown on {listed(gone)}" if gone else ""]
        return "; ".join(filter(None, parts))


def in_words(version: Version) -> str:
    """As PostgreSQL writes it."""
    return ".".join(map(str, version))


def listed(words: Sequence[str]) -> str:
    """Some words, as a sentence lists them."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def on(*versions: Version, but: Sequence[Version] = ()) -> Mapping[Version, bool]:
    """Shown on these versions, and not on those."""
    return MappingProxyType({**dict.fromkeys(versions, True), **dict.fromkeys(but, False)})


FINDINGS = (
    Finding("prepared_transaction", on((17, 10), (18, 6), but=((15, 18), (16, 14), (19, 0)))),
    Finding("full_page_writes_unlogged", on(*TRIED)),
    Finding("another_promotion", on((15, 20), (16, 14), (17, 12), (18, 6))),
    Finding("label_hides_incremental", on((17, 10), (18, 6)), needs="incremental backups"),
    Finding("label_newline", on(*TRIED)),
    Finding("upgrade_misses_library", on((18, 6)), needs="search path for extensions"),
    Finding("stop_loses_label", on(*TRIED)),
    Finding("restart_cancels", on(*TRIED)),
    Finding("pooled_session", on(*TRIED)),
    Finding("null_label", on(*TRIED)),
)
"""In the order of the page: what loses data first."""
