"""A results folder: what a campaign, the benchmarks, the mutants or a simulation left there."""

from dataclasses import dataclass
from pathlib import Path

from harness.schema.benchmarks import Benchmarks
from harness.schema.c_coverage import CCoverage
from harness.schema.campaign import Campaign, Property
from harness.schema.history import Event
from harness.schema.mutants import Mutants
from harness.schema.simulation import Simulation
from harness.schema.timeline import Timeline
from reports.bench import measured
from reports.campaign import properties_of
from reports.counterexamples import Script, read_scripts
from reports.history import History
from reports.reading import Unreadable, read_file, read_lines, read_results

CAMPAIGN, BENCH, MUTANTS, SIMULATION = "results.json", "bench.json", "mutants.json", "simulation.json"
C_COVERAGE = "c_coverage.json"
EXPLORATION = "exploration.json"
"""What ``nox -s explore`` leaves: see ``reports.designs``."""
VERSIONS = "versions.json"
"""What ``nox -s verify`` leaves of several PostgreSQL: see ``reports.versions``."""
END_OF_ESSENCE = "===== All that pytest says ====="


@dataclass(frozen=True)
class Results:
    """What a results folder holds."""

    folder: Path
    campaign: Campaign | None
    bench: Benchmarks | None
    mutants: Mutants | None
    simulation: Simulation | None
    histories: tuple[History, ...]
    timelines: tuple[tuple[str, Timeline], ...]
    """With the names of their properties."""
    failures: dict[str, str]
    """The essential part of each failure, by the property's test."""
    scripts: dict[str, tuple[Script, ...]]
    """The counterexample of each failure in other forms, by the property's test."""
    c_coverage: CCoverage | None
    """Of the extension's C, if it was counted."""

    @property
    def name(self) -> str:
        """The folder's own name, also if a link led to it."""
        return self.folder.resolve().name


def read_folder(folder: Path) -> Results:
    """Everything in a folder; raises Unreadable."""
    if not folder.is_dir():
        raise Unreadable(
            f"There is no results folder {folder}: "
            "`nox -s verify`, `bench`, `mutants`, `simulate` or `explore` makes one."
        )
    if has(folder, VERSIONS):
        raise Unreadable(f"{folder} has several PostgreSQL side by side: name the results folder of one of them.")
    campaign = bench = mutants = simulation = None
    if has(folder, CAMPAIGN):
        campaign = read_results(folder / CAMPAIGN, Campaign, "a campaign's results")
    if has(folder, BENCH):
        bench = measured(read_results(folder / BENCH, Benchmarks, "a run of the benchmarks"))
    if has(folder, MUTANTS):
        mutants = read_results(folder / MUTANTS, Mutants, "a run of the mutants")
    if has(folder, SIMULATION):
        simulation = read_results(folder / SIMULATION, Simulation, "a simulation")
    if not (campaign or bench or mutants or simulation):
        known = f"{CAMPAIGN}, {BENCH}, {MUTANTS}, {SIMULATION} or {EXPLORATION}"
        raise Unreadable(f"{folder} is no results folder: it has no {known}.")
    properties = properties_of(campaign)
    c_coverage = read_file(folder / C_COVERAGE, CCoverage, "a C coverage") if has(folder, C_COVERAGE) else None
    histories, timelines = read_histories(folder, properties), read_timelines(folder, properties)
    failures, scripts = read_failures(folder, properties), read_scripts(folder, properties)
    return Results(folder, campaign, bench, mutants, simulation, histories, timelines, failures, scripts, c_coverage)


def has(folder: Path, name: str) -> bool:
    """Is there such a file?"""
    return (folder / name).exists()


def read_histories(folder: Path, properties: tuple[Property, ...]) -> tuple[History, ...]:
    """The histories that were kept, failures first; raises Unreadable. A file that was not copied along is left out.

    So is one of a history that has a timeline: it is too long for a page.
    """
    found = []
    for one in sorted(properties, key=lambda one: not one.bad):
        path = folder / "histories" / Path(one.history or "-").name
        if one.history and path.exists() and not one.timeline:
            found.append(History(one.name, one.verdict, tuple(read_lines(path, Event, "a history"))))
    return tuple(history for history in found if history.events)


def read_timelines(folder: Path, properties: tuple[Property, ...]) -> tuple[tuple[str, Timeline], ...]:
    """The parts of concurrent histories; raises Unreadable. A file that was not copied along is left out."""
    found = []
    for one in properties:
        path = folder / "histories" / Path(one.timeline or "-").name
        if one.timeline and path.exists():
            found.append((one.name, read_file(path, Timeline, "a part of a history")))
    return tuple((name, part) for name, part in found if part.events)


def read_failures(folder: Path, properties: tuple[Property, ...]) -> dict[str, str]:
    """What a person needs of each failure; raises Unreadable. A file that was not copied along is left out."""
    found = {}
    for one in properties:
        path = folder / "failures" / Path(one.failure or "-").name
        if one.failure and path.is_file():
            found[one.test] = essence(path)
    return found


def essence(path: Path) -> str:
    """The message and the history to try by hand, without the traceback; raises Unreadable."""
    try:
        said = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
    return said.partition(END_OF_ESSENCE)[0].strip()
