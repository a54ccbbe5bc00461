"""The baseline: what kills a mutant has to hold without it, or it proves nothing."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import cache_folder
from harness.running.results import LIBRARIES, versions
from properties.mutants.attempt import Plan
from properties.mutants.trials import Trials

KEPT = "mutants-baseline.json"
"""In the cache folder: what is known to hold."""
OF_NO_ACCOUNT = ("properties/bench/", "properties/mutants/", "properties/campaign/")
COUNTED = ("model/", "harness/", "properties/", "pyproject.toml")


class Held(Struct):
    """Properties that hold, and of what."""

    key: str
    """Of the tree, the PostgreSQL, the libraries and the profile."""
    tests: set[str]
    """pytest's names of them."""


@dataclass
class Baseline:
    """The unmutated tree, and what is known to hold there."""

    trials: Trials
    plan: Plan
    """What is tried on a mutant that is about nothing in particular."""
    held: Held

    def unheld(self, tests: Iterable[str]) -> dict[str, str]:
        """Those of them that do not hold, with the reasons; raises SetupError, HungError, OutOfTimeError."""
        failed: dict[str, str] = {}
        wanted = list(dict.fromkeys(tests))
        while left := tuple(test for test in wanted if test not in self.held.tests and test not in failed):
            ended = self.trials.attempt(msgspec.structs.replace(self.plan, order=left, only=left))
            if ended.kill:
                failed[ended.kill.test] = ended.kill.reason
            elif ended.error and not ended.held:
                failed |= dict.fromkeys(left, ended.error)
            else:
                failed |= dict.fromkeys(set(left).difference(ended.held), "it is skipped, or is not there")
            self.held.tests |= set(ended.held)
            keep(self.held)
        return failed


def baseline(trials: Trials, plan: Plan, postgres: Postgres) -> Baseline:
    """With what is known already of just this tree, this PostgreSQL, these libraries and these options."""
    digest = hashlib.sha256(repr((postgres, versions(LIBRARIES), plan.tests, plan.options)).encode())
    for file in sorted(path for path in trials.original.rglob("*") if path.is_file()):
        name = str(file.relative_to(trials.original))
        if name.startswith(COUNTED) and not name.startswith(OF_NO_ACCOUNT) and file.suffix != ".pyc":
            digest.update(repr((name, file.read_bytes())).encode())
    key = digest.hexdigest()
    try:
        known = msgspec.json.decode((cache_folder() / KEPT).read_bytes(), type=Held)
    except (OSError, msgspec.DecodeError):
        known = Held(key, set())
    return Baseline(trials, plan, known if known.key == key else Held(key, set()))


def keep(held: Held) -> None:
    """Keeps what is known; raises SetupError."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        fresh = cache_folder() / f".{KEPT}"
        fresh.write_bytes(msgspec.json.encode(held))
        fresh.rename(cache_folder() / KEPT)
    except OSError as error:
        raise SetupError(
            f"The cache folder {cache_folder()} cannot be written to ({error.strerror}): make it yours."
        ) from None
