"""The report of a results folder: a page, a summary and the figures."""

import shutil
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from reports.compare import compared
from reports.figures.comparison import comparison_pictures
from reports.figures.kill_pairs import pair_pictures
from reports.figures.picture import Picture
from reports.folder import Results, read_folder
from reports.page import comparison_page, page
from reports.pictures import (
    bench_pictures,
    campaign_pictures,
    crowd_pictures,
    mutant_pictures,
    restore_pictures,
    simulation_pictures,
    survival_pictures,
)
from reports.reading import Unreadable
from reports.summary import summary
from reports.summary_of_two import comparison_summary

PAGE, SUMMARY, FIGURES = "index.html", "summary.md", "figures"


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Reads a results folder and writes its report there, or into ``output``; returns the page. Raises Unreadable."""
    results = read_folder(folder)
    kinds = (
        campaign_pictures,
        crowd_pictures,
        restore_pictures,
        survival_pictures,
        bench_pictures,
        mutant_pictures,
        simulation_pictures,
    )
    shown = [list(some(results)) for some in kinds]
    return written(output or folder, page(results, *shown), summary(results), chain(*shown))


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


def written(folder: Path, html: str, markdown: str, pictures: Iterable[Picture]) -> Path:
    """Writes all files, the page last; figures of an earlier report go. Raises Unreadable."""
    try:
        figures = folder / FIGURES
        shutil.rmtree(figures, ignore_errors=True)
        figures.mkdir(parents=True)
        for one in pictures:
            one.save(figures)
        (folder / SUMMARY).write_text(markdown, encoding="utf-8")
        (folder / PAGE).write_text(html, encoding="utf-8")
    except OSError as error:
        raise Unreadable(
            f"The report cannot be written to {folder} ({error.strerror}): name another folder with --output."
        ) from None
    return folder / PAGE
