"""The report of a results folder: a page, a summary and the figures."""

import shutil
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from reports.compare import compared
from reports.designs.folder import read_explored
from reports.designs.page import EXPLORER, designs_page, explorer_page
from reports.designs.summary import designs_summary
from reports.figures.comparison import comparison_pictures
from reports.figures.kill_pairs import pair_pictures
from reports.figures.picture import Picture
from reports.folder import EXPLORATION, VERSIONS, Results, read_folder
from reports.page import comparison_page, page
from reports.pictures import (
    bench_pictures,
    campaign_pictures,
    crowd_pictures,
    mutant_pictures,
    restore_pictures,
    sharing_pictures,
    simulation_pictures,
    survival_pictures,
)
from reports.reading import Unreadable
from reports.summary import summary
from reports.summary_of_two import comparison_summary
from reports.versions.folder import read_versions
from reports.versions.page import versions_page
from reports.versions.summary import versions_summary

PAGE, SUMMARY, FIGURES = "index.html", "summary.md", "figures"


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Reads a results folder and writes its report there, or into ``output``; returns the page. Raises Unreadable."""
    if (folder / EXPLORATION).exists():
        return write_designs(folder, output or folder)
    if (folder / VERSIONS).exists():
        return write_versions(folder, output or folder)
    results = read_folder(folder)
    kinds = (
        campaign_pictures,
        crowd_pictures,
        restore_pictures,
        survival_pictures,
        bench_pictures,
        mutant_pictures,
        simulation_pictures,
        sharing_pictures,
    )
    shown = [list(some(results)) for some in kinds]
    return written(output or folder, page(results, *shown), summary(results), chain(*shown))


def write_designs(folder: Path, output: Path) -> Path:
    """The report of an exploration, and the explorer beside it; returns the page. Raises Unreadable."""
    found = read_explored(folder)
    more = {EXPLORER: explorer_page(found)} if found.graphs else {}
    return written(output, designs_page(found), designs_summary(found), [], more)


def write_versions(folder: Path, output: Path) -> Path:
    """The report of several PostgreSQL side by side, and of those that have none yet; returns the page.

    Raises Unreadable.
    """
    found = read_versions(folder)
    pages = {name: place / PAGE for name, place in found.beside.items()}
    for beside in found.beside.values():
        if not (beside / PAGE).is_file():
            write_report(beside)
    return written(output, versions_page(found, pages, output.resolve()), versions_summary(found), [])


def write_comparison(before: Path, after: Path, output: Path | None = None) -> Path:
    """Compares two results folders; writes into ``output`` or beside the later one's report. Raises Unreadable."""
    first, second = read_folder(before), read_folder(after)
    changes = compared(first, second)
    pictures, mutants = list(comparison_pictures(changes)), list(pair_pictures(changes.mutants))
    return written(
        output or after / comparison_folder(first),
        comparison_page(first, second, changes, pictures, mutants),
        comparison_summary(first, second, changes),
        [*pictures, *mutants],
    )


def comparison_folder(before: Results) -> str:
    """What the folder of a comparison is called, inside the later results folder."""
    return f"compared-with-{before.name}"


def written(
    folder: Path, html: str, markdown: str, pictures: Iterable[Picture], more: Mapping[str, str] = MappingProxyType({})
) -> Path:
    """Writes all files, the page last; figures of an earlier report go. Raises Unreadable.

    ``more``: other pages, by the names of their files.
    """
    try:
        figures, shown = folder / FIGURES, list(pictures)
        shutil.rmtree(figures, ignore_errors=True)
        (figures if shown else folder).mkdir(parents=True, exist_ok=True)
        for one in shown:
            one.save(figures)
        for name, text in more.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / SUMMARY).write_text(markdown, encoding="utf-8")
        (folder / PAGE).write_text(html, encoding="utf-8")
    except OSError as error:
        raise Unreadable(
            f"The report cannot be written to {folder} ({error.strerror}): name another folder with --output."
        ) from None
    return folder / PAGE
