"""The mutants that there are: read from patches, and told apart by their names."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from harness.machine.postgres import SetupError

HERE = Path(__file__).parent
PATCHES, EQUIVALENT, KILLERS = "patches", "equivalent.toml", "killers.json"
"""In this folder."""

FORM = "a sentence that says what a developer did wrong, an empty line, and a unified diff"
SENTENCE, DIFF = r"(?!diff |--- ).+\.", re.compile(r"^(?:diff --git |--- )", re.MULTILINE)
PLACES = ("harness/extension/", "model/", "properties/concurrency/")
"""What a mutant may change. To break a property's own statement would be found by that property, and prove nothing."""
CHANGED = re.compile(r"^(?:---|\+\+\+) [ab]/(.+?)\t?$", re.MULTILINE)
"""The lines of a diff that name a file."""


@dataclass(frozen=True)
class Mutant:
    """A planted bug, from whatever source."""

    area: str
    """What it is about: it decides which properties are tried first."""
    own_name: str
    mistake: str
    """What a developer did wrong, in a sentence."""
    breaks: str
    """What comes of it, in words; may be empty."""
    diff: str
    """A unified diff from the project's folder, as ``git apply`` takes it."""

    @property
    def name(self) -> str:
        """The one that no other mutant has."""
        return f"{self.area}/{self.own_name}"

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Those that it changes, relative to the project's folder."""
        return tuple(dict.fromkeys(CHANGED.findall(self.diff)))


@dataclass(frozen=True)
class Catalogue:
    """The mutants, and what is known of them."""

    room: Path
    """The folder where it is kept."""
    mutants: Sequence[Mutant]
    equivalents: Mapping[str, str]
    """Those that do the same as the original, by name, with the reasons."""
    killers: Mapping[str, str]
    """What killed each last, by pytest's name."""

    def record(self, kills: Mapping[str, str]) -> None:
        """Keeps what has killed these mutants, and forgets mutants that are not there any more."""
        names = {one.name for one in self.mutants}
        kept = {name: test for name, test in sorted({**self.killers, **kills}.items()) if name in names}
        (self.room / KILLERS).write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def read_catalogue(room: Path, *others: Iterable[Mutant]) -> Catalogue:
    """The mutants that are kept in the folder as patches, and others; raises SetupError."""
    mutants = gathered(handwritten(room / PATCHES), *others)
    return Catalogue(room, mutants, read_equivalents(room / EQUIVALENT), read_killers(room / KILLERS))


def handwritten(folder: Path) -> list[Mutant]:
    """The mutants that are kept as patches below the folder; raises SetupError if one of them is not in that form."""
    return [read_patch(file) for file in sorted(folder.glob("*/*.patch"))]


def read_patch(file: Path) -> Mutant:
    """One of them; raises SetupError."""
    try:
        head, _, rest = file.read_text(encoding="utf-8").partition("\n\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"The patch {file} cannot be read ({error}): it is to have {FORM}.") from None
    begin = DIFF.search(rest)
    words, diff = (rest[: begin.start()], rest[begin.start() :]) if begin else (rest, "")
    mutant = Mutant(file.parent.name, file.stem, head, " ".join(words.split()).removeprefix("Breaks: "), diff)
    if not re.fullmatch(SENTENCE, head) or not mutant.files:
        raise SetupError(f"The patch {file} is not in the form that it is to have: {FORM}.")
    if elsewhere := [name for name in mutant.files if not name.startswith(PLACES)]:
        raise SetupError(
            f"The patch {file} changes {elsewhere[0]}: it is to change files in {', '.join(PLACES)} alone."
        )
    return mutant


def gathered(*sources: Iterable[Mutant]) -> list[Mutant]:
    """The mutants from all sources; raises SetupError if two have one name."""
    mutants: dict[str, Mutant] = {}
    for mutant in (one for source in sources for one in source):
        if mutant.name in mutants:
            raise SetupError(f"Two mutants have the name {mutant.name}: give one of them another.")
        mutants[mutant.name] = mutant
    return list(mutants.values())


def read_equivalents(file: Path) -> dict[str, str]:
    """Mutants that do the same as the original, by name, with the reasons; raises SetupError."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(
            f"{file} cannot be read ({error}): it is to have lines such as \"area/name\" = 'why'."
        ) from None
    for name, reason in table.items():
        if not isinstance(reason, str) or not reason.strip():
            raise SetupError(
                f"{file} does not say why {name} does the same as the original: give the reason as a text."
            )
    return table


def read_killers(file: Path) -> dict[str, str]:
    """What killed each mutant last; raises SetupError."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        raise SetupError(f"{file} cannot be read ({error}): restore it from the repository.") from None
