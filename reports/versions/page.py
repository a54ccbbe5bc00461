"""The page of several PostgreSQL side by side."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from harness.schema.versions import Standing, Version
from reports import words
from reports.campaign import counts_told
from reports.page import environment
from reports.versions.folder import SideBySide
from reports.versions.matrix import Part, parts

LONG = 20
"""Rows; a part with more is folded away, unless they differ."""


def versions_page(found: SideBySide, pages: Mapping[str, Path], output: Path) -> str:
    """The page, to be written into ``output``; ``pages``: those of the versions that there are, by name."""
    every = parts(found.versions, pages, output)
    return (
        environment()
        .get_template("versions.html.j2")
        .render(
            found=found,
            run=found.versions,
            parts=every,
            open=[part.standing for part in every if opened(part)],
            differing=len(found.versions.that(Standing.DIFFERS)),
            links={name: quote(os.path.relpath(page, output)) for name, page in pages.items()},
            counts_told=counts_told,
            counted=list(together(found.versions.ran)),
        )
    )


def opened(part: Part) -> bool:
    """Is it to be seen at once?"""
    return part.standing is Standing.DIFFERS or (part.standing is not Standing.AGREES and len(part.rows) <= LONG)


def together(versions: Sequence[Version]) -> Iterator[tuple[str, list[str]]]:
    """What was counted, with the words for each version."""
    for cells in zip(*map(counted, versions), strict=True):
        yield cells[0][0], [words for _, words in cells]


def counted(one: Version) -> Iterator[tuple[str, str]]:
    """What was counted on a version, in words."""
    yield "examples", words.a_count(one.examples)
    yield "steps", words.a_count(one.steps)
    yield "steps/s", words.a_count(one.steps_per_second)
    yield "restores", f"{one.restores.restored:,} whole, {one.restores.refused:,} refused as expected"
    yield "against the model", f"{one.restores.against:,}"
    yield "stops that said no", f"{one.refusals.made:,}"
    yield "faults survived", f"{one.faults.survived:,} of {one.faults.injected:,}"
    yield "interleavings", f"{one.interleavings.replayed:,}"
    yield "histories explained", f"{one.linearized.explained:,} of {one.linearized.histories:,}"
