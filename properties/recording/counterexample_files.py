"""The files of a failure beside its text: ``*.json`` to try it again, ``*.sql`` for psql, ``*.spec`` for the isolation
tester."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.schema.counterexample import Counterexample
from properties.recording.isolation_spec import isolation_spec
from properties.recording.isolation_steps import UntellableError
from properties.recording.psql_script import psql_script
from properties.recording.verdict import Property, failure_file

FOLDER = "failures"


class Files(NamedTuple):
    """Those of one counterexample, and what is in them."""

    stem: str
    one: Counterexample

    @property
    def json(self) -> str:
        """Where the data is, relative to the results folder."""
        return f"{FOLDER}/{self.stem}.json"

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """The name of each file, what is in it, and what it is for; without text: why there is none."""
        yield f"{self.stem}.json", json_text(self.one), "to try it again: nox -s replay -- FILE"
        yield f"{self.stem}.sql", psql_script(self.one), "for psql"
        try:
            yield f"{self.stem}.spec", isolation_spec(self.one), "for PostgreSQL's isolationtester"
        except UntellableError as reason:
            yield f"{self.stem}.spec", "", f"missing: {reason}"


def files_of(one: Property) -> list[Files]:
    """The files of a property's counterexamples."""
    stem = Path(failure_file(one)).stem
    several = len(one.counterexamples) > 1
    return [
        Files(f"{stem}.{number}" if several else stem, each) for number, each in enumerate(one.counterexamples, start=1)
    ]


def write_files(folder: Path, one: Property) -> None:
    """Writes them into the folder of the failures; raises OSError."""
    for files in files_of(one):
        for name, text, _ in files.texts():
            if text:
                (folder / FOLDER / name).write_text(text, encoding="utf-8")


def told(one: Property) -> str:
    """What is beside the text of a failure, in words."""
    found = [f"    {name:<{len(files.stem) + 5}}  {use}\n" for files in files_of(one) for name, _, use in files.texts()]
    return "\nThe same, beside this file:\n" + "".join(found) if found else ""


def json_text(one: Counterexample) -> str:
    """A counterexample as JSON."""
    return msgspec.json.format(msgspec.json.encode(one), indent=1).decode() + "\n"
