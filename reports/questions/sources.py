"""The results that the answers are made of: of each kind the newest that says what is asked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.schema.benchmarks import Benchmarks
from harness.schema.campaign import Campaign
from harness.schema.run import Circumstances
from harness.schema.simulation import Simulation
from reports.campaign import ends_of
from reports.designs.folder import Explored, read_explored
from reports.figures.memory import memory_of
from reports.folder import EXPLORATION, read_folder
from reports.reading import Unreadable
from reports.simulation import base, curves

Run = TypeVar("Run", bound=Circumstances)

LATEST = "latest"
FIXED, DYNAMIC = "fixed", "shared"
"""The candidates of benchmarks that compare preallocated with dynamic memory."""


@dataclass(frozen=True)
class Sources:
    """What there is; None: nothing says that, and the page tells which command does."""

    exploration: Explored | None
    memory: Benchmarks | None
    """With what an open backup costs in memory."""
    storage: Benchmarks | None
    """With preallocated memory beside dynamic memory."""
    fleet: Simulation | None
    """With the bills of the designs."""
    ttl: Simulation | None
    """With a sweep of the time to live."""
    restarts: Campaign | None
    """With backups that met a restart."""

    def any(self) -> bool:
        """Is there anything to answer with?"""
        return any(one is not None for one in vars(self).values())


def find_sources(places: Sequence[Path]) -> Sources:
    """What is in these results folders, or in the folders in them; raises Unreadable."""
    folders = [folder for place in places for folder in results_folders(place)]
    explored = [read_explored(folder) for folder in folders if (folder / EXPLORATION).exists()]
    results = [read_folder(folder) for folder in folders if not (folder / EXPLORATION).exists()]
    benches = [one.bench for one in results if one.bench]
    simulations = [one.simulation for one in results if one.simulation]
    found = Sources(
        exploration=max(explored, key=lambda one: one.exploration.when, default=None),
        memory=newest(benches, lambda one: memory_of(one) is not None),
        storage=newest(benches, compares_storage),
        fleet=newest(simulations, lambda one: base(one) is not None and not curves(one)[1])
        or newest(simulations, base),
        ttl=newest(simulations, lambda one: bool(curves(one)[1])),
        restarts=newest([one.campaign for one in results if one.campaign], lambda one: bool(ends_of(one))),
    )
    if not found.any():
        raise Unreadable(
            f"There are no results in {', '.join(map(str, places))}: "
            "`nox -s explore`, `bench`, `simulate` and `verify` make some."
        )
    return found


def compares_storage(run: Benchmarks) -> bool:
    """Is preallocated memory measured beside dynamic memory?"""
    return any({FIXED, DYNAMIC} <= one.candidates.keys() for one in run.benchmarks)


def newest(runs: Sequence[Run], says: Callable[[Run], object]) -> Run | None:
    """The newest run that says it."""
    return max((one for one in runs if says(one)), key=lambda one: one.when, default=None)


def results_folders(place: Path) -> Iterator[Path]:
    """The folder itself if it has results in it, else those in it that have; raises Unreadable if it is none."""
    if not place.is_dir():
        raise Unreadable(f"There is no folder {place}: name folders with results.")
    if any(is_results(file) for file in place.iterdir()):
        yield place
        return
    for folder in sorted(place.iterdir()):
        if folder.is_dir() and folder.name != LATEST and any(is_results(file) for file in folder.iterdir()):
            yield folder


def is_results(file: Path) -> bool:
    """Is it a file with the results of a run?"""
    return file.name in ("results.json", "bench.json", "simulation.json", EXPLORATION)
