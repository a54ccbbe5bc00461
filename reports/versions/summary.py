"""The summary of several PostgreSQL side by side: Markdown to paste into a mail, with what differs first."""

from collections.abc import Iterator

from harness.schema.versions import Standing, Version, Versions
from reports.campaign import counts_told
from reports.summary import joined, table
from reports.versions.folder import SideBySide
from reports.versions.matrix import Part, Row, parts
from reports.words import commit, duration, machine, moment, percent

MOST_NAMED = 40
"""So many properties of a part are named."""


def versions_summary(found: SideBySide) -> str:
    """The summary."""
    run = found.versions
    return joined(
        [
            "## Shared-backup bench: several PostgreSQL side by side",
            f"**{run.verdict}**: {run.reason or 'on ' + ', '.join(one.name for one in run.campaigns)}.",
            *(words for part in parts(run, {}, found.folder) for words in told(part, run)),
            table(["PostgreSQL", "verdict", "properties", "coverage", "took"], map(row_of, run.campaigns)),
            f"{run.implementation}, profile {run.profile}"
            + (f", only `-k {run.selection}`" if run.selection else "")
            + f"; {commit(run)}, {moment(run.when)}, {duration(run.seconds)}; {machine(run)}.",
        ]
    )


def told(part: Part, run: Versions) -> Iterator[str]:
    """A table of what differs, with the reasons; what is the same on all is counted."""
    if part.standing is Standing.AGREES:
        yield f"{part.title}: {part.number:,}."
        return
    yield f"**{part.title}**: {part.number:,}."
    yield table(["property", *(one.name for one in run.ran), "why"], map(cells, part.rows[:MOST_NAMED]))
    if len(part.rows) > MOST_NAMED:
        yield f"And {len(part.rows) - MOST_NAMED:,} more."


def cells(row: Row) -> list[str]:
    """A property, what became of it on each version, and why."""
    why = [f"{versions}: {reason}" for versions, reason in row.reasons.items()]
    return [f"{row.group}: {row.title}", *(cell.words for cell in row.cells), "; ".join(why)]


def row_of(one: Version) -> list[str]:
    """A version, and what came of its campaign."""
    covered = one.coverage.percent if one.coverage else None
    return [
        one.postgresql.version + (" (bundled)" if one.postgresql.bundled else ""),
        one.verdict,
        counts_told(one.counts),
        "" if covered is None else percent(covered),
        duration(one.seconds) if one.folder else "",
    ]
