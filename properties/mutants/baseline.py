"""The baseline: what kills a mutant has to hold without it, or it proves nothing."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import cache_folder
from harness.running.results import LIBRARIES, versions
from properties.mutants.attempt import Plan
from properties.mutants.trials import Trials

KEPT = "mutants-baseline.json"
"""In the cache folder: the properties that are known to hold, by the key of what they were tried on."""
MOST_KEYS = 8
"""Older ones are forgotten."""
ABSENT = "it is skipped, or is not there"
COUNTED = ("model", "harness", "properties", "pyproject.toml")
OF_NO_ACCOUNT = ("properties/bench/", "properties/mutants/", "properties/campaign/")
"""Properties do not use what is there."""


@dataclass
class Baseline:
    """The tree without any mutant, and what is known to hold there."""

    trials: Trials
    plan: Plan
    """What is tried on a mutant that is about nothing in particular."""
    key: str
    """Of the tree, the PostgreSQL, the libraries and the options."""
    held: set[str]
    """pytest's names of the properties that hold."""

    def unheld(self, tests: Iterable[str]) -> dict[str, str]:
        """Those of them that do not hold, with the reasons; raises SetupError, HungError, OutOfTimeError."""
        failed: dict[str, str] = {}
        wanted = list(dict.fromkeys(tests))
        while left := tuple(test for test in wanted if test not in self.held and test not in failed):
            ended = self.trials.attempt(replace(self.plan, order=left, only=left))
            if ended.kill:
                failed[ended.kill.test] = ended.kill.reason
            elif ended.error:
                raise SetupError(f"Without any mutant, the properties cannot be tried: {ended.error}")
            else:
                files = {test for test in left if any(one.startswith(f"{test}::") for one in ended.held)}
                self.held |= files  # what is left of them when their tests are known to hold is that they load
                failed |= dict.fromkeys(set(left).difference(ended.held, files), ABSENT)
            self.held |= set(ended.held)
            self.keep()
        return failed

    def keep(self) -> None:
        """Keeps what is known; raises SetupError."""
        known = {key: tests for key, tests in read_kept().items() if key != self.key} | {self.key: self.held}
        recent = dict(list(known.items())[-MOST_KEYS:])
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            fresh = cache_folder() / f".{KEPT}"
            fresh.write_bytes(msgspec.json.encode(recent))
            fresh.rename(cache_folder() / KEPT)
        except OSError as error:
            raise SetupError(
                f"The cache folder {cache_folder()} cannot be written to ({error.strerror}): make it yours."
            ) from None


def baseline(trials: Trials, plan: Plan, postgres: Postgres) -> Baseline:
    """With what is known already of just this tree, this PostgreSQL, these libraries and these options."""
    digest = hashlib.sha256(repr((postgres, versions(LIBRARIES), plan.tests, plan.options)).encode())
    for name, file in sources(trials.original, trials.original / plan.tests):
        digest.update(repr((name, file.read_bytes())).encode())
    key = digest.hexdigest()
    return Baseline(trials, plan, key, read_kept().get(key, set()))


def sources(tree: Path, tests: Path) -> Iterator[tuple[str, Path]]:
    """What properties depend on, by name: the tree without the rest of the bench, and their own folder."""
    for top in dict.fromkeys([*(tree / name for name in COUNTED), tests]):
        for file in sorted(top.rglob("*") if top.is_dir() else [top]):
            name = str(file.relative_to(tree) if file.is_relative_to(tree) else file)
            if file.is_file() and file.suffix != ".pyc" and not name.startswith(OF_NO_ACCOUNT):
                yield name, file


def read_kept() -> dict[str, set[str]]:
    """What is known, by key; nothing, if that cannot be read."""
    try:
        return msgspec.json.decode((cache_folder() / KEPT).read_bytes(), type=dict[str, set[str]])
    except (OSError, msgspec.DecodeError):
        return {}
