"""What a failure leaves beside its text: the counterexample for psql, for the isolation tester, and to be replayed."""

from dataclasses import dataclass
from pathlib import Path

from harness.schema.campaign import Property
from reports.reading import text_of

USES = {".sql": "for psql", ".spec": "for PostgreSQL's isolationtester", ".json": "for nox -s replay"}
"""The endings of the files, and what they are for."""


@dataclass(frozen=True)
class Script:
    """One file of a counterexample."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Without its folder."""
        return self.path.name

    @property
    def use(self) -> str:
        """What it is for."""
        return USES[self.path.suffix]

    @property
    def to_read(self) -> bool:
        """It says the same in a form that is made for people."""
        return self.path.suffix != ".json"


def read_scripts(folder: Path, properties: tuple[Property, ...]) -> dict[str, tuple[Script, ...]]:
    """Those of each failure, by the property's test; raises Unreadable. A file that is not there is left out.

    ``folder``: the results folder.
    """
    found = {one.test: tuple(script for name in one.counterexamples for script in scripts(folder, name))
             for one in properties if one.counterexamples}  # fmt: skip
    return {test: some for test, some in found.items() if some}


def scripts(folder: Path, name: str) -> list[Script]:
    """The files of the counterexample that has this name; raises Unreadable."""
    paths = [(folder / "failures" / Path(name).name).with_suffix(suffix) for suffix in USES]
    return [Script(path, text_of(path)) for path in paths if path.is_file()]
