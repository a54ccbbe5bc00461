"""A results folder: the results of a campaign (``results.json``), of the benchmarks (``bench.json``), or both."""

from dataclasses import dataclass, replace
from pathlib import Path

from reports.bench import Bench, read_bench
from reports.campaign import Campaign, Property, read_campaign
from reports.history import History, read_event
from reports.reading import Unreadable, read_file, read_lines
from reports.timeline import Timeline, read_timeline

CAMPAIGN, BENCH = "results.json", "bench.json"
END_OF_ESSENCE = "===== All that pytest says ====="


@dataclass(frozen=True)
class Results:
    """What a results folder holds."""

    folder: Path
    campaign: Campaign | None
    bench: Bench | None
    histories: tuple[History, ...]
    timelines: tuple[Timeline, ...]
    failures: dict[str, str]
    """The essential part of each failure, by the property's test."""

    @property
    def name(self) -> str:
        """The folder's own name, also if a link led to it."""
        return self.folder.resolve().name


def read_folder(folder: Path) -> Results:
    """Everything in a folder; raises Unreadable."""
    if not folder.is_dir():
        raise Unreadable(f"There is no results folder {folder}: `nox -s verify` or `nox -s bench` makes one.")
    campaign = read_file(folder / CAMPAIGN, read_campaign, "a campaign's results") if has(folder, CAMPAIGN) else None
    bench = read_file(folder / BENCH, read_bench, "a run of the benchmarks") if has(folder, BENCH) else None
    if campaign is None and bench is None:
        raise Unreadable(f"{folder} is no results folder: it has neither {CAMPAIGN} nor {BENCH}.")
    properties = campaign.properties if campaign else ()
    histories, timelines = read_histories(folder, properties), read_timelines(folder, properties)
    return Results(folder, campaign, bench, histories, timelines, read_failures(folder, properties))


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
            found.append(History(one.name, one.verdict, tuple(read_lines(path, read_event, "a history"))))
    return tuple(history for history in found if history.events)


def read_timelines(folder: Path, properties: tuple[Property, ...]) -> tuple[Timeline, ...]:
    """The parts of concurrent histories; raises Unreadable. A file that was not copied along is left out."""
    found = []
    for one in properties:
        path = folder / "histories" / Path(one.timeline or "-").name
        if one.timeline and path.exists():
            part = read_file(path, read_timeline, "a part of a history")
            found.append(replace(part, title=one.name))
    return tuple(part for part in found if part.events)


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
