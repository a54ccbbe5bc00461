"""What a process of a campaign is given at a time: tests that belong together, the longest ones first."""

import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from properties.recording.verdict import Property

LONG = ("test_lost_workers.py", "walks", "concurrency", "faults", "durable")
"""Folders and files whose tests take longest, from the longest on: they begin first, and all processes end together."""


class Shard(NamedTuple):
    """Tests of one file, in their order."""

    tests: tuple[str, ...]
    """pytest's names of them."""
    part: int = 1
    """Which part of their examples is drawn."""
    seed: int | None = None
    """The campaign's, for what is drawn; None: the profile's examples are always the same."""

    def seed_of(self, test: str) -> int | None:
        """For what that test draws in that part."""
        return None if self.seed is None else zlib.crc32(f"{self.seed} {self.part} {test}".encode())


class Alive(NamedTuple):
    """The process goes on: told now and then."""


class Began(NamedTuple):
    """A test begins."""

    test: str


class Ended(NamedTuple):
    """A test that has ended, in whatever process."""

    one: Property
    reports: list[dict[str, object]]
    """What pytest says of its set-up, call and clearing up, as data."""
    drew: bool = False
    """Did Hypothesis draw examples for it, so that another seed would look at others?"""


class Counted(NamedTuple):
    """What the servers of a process have counted of the extension's lines and branches, when it ends."""

    traces: list[bytes]
    """As ``harness.building.counters`` has them."""


class Done(NamedTuple):
    """A shard has ended, or the process has; what it says if it could not go on."""

    setup_error: str = ""
    internal_error: str = ""


def cut(items: Sequence[pytest.Item]) -> list[Shard]:
    """All tests in shards: a file whose tests share a server of their own is one, else a test with all its cases."""
    files = [(file, list(group)) for file, group in groupby(items, key=lambda item: item.path)]
    files.sort(key=lambda pair: rank(pair[0]))
    return [Shard(tuple(item.nodeid for item in part)) for _file, tests in files for part in parts(tests)]


def parts(tests: list[pytest.Item]) -> Iterator[list[pytest.Item]]:
    """The shards of one file."""
    if any(map(shares, tests)):
        yield tests
    else:
        for _name, cases in groupby(tests, key=lambda item: getattr(item, "originalname", item.name)):
            yield list(cases)


def shares(item: pytest.Item) -> bool:
    """Does the test share something with the others of its file?"""
    found = item._fixtureinfo.name2fixturedefs.values() if isinstance(item, pytest.Function) else ()
    return any(one.scope == "module" for same in found for one in same)


def rank(file: Path) -> int:
    """When the tests of a file begin: the lowest first."""
    return next((place for place, folder in enumerate(LONG) if folder in file.parts), len(LONG))
