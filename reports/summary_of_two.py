"""The summary of a comparison of two results folders: Markdown that names only what changed."""

from collections.abc import Iterator, Sequence

from reports.compare import Changes, WordChange
from reports.folder import Results
from reports.mutant_pairs import which
from reports.summary import joined, table
from reports.summary_of_mutants import of_pairs
from reports.words import quantity, ratio_words


def comparison_summary(before: Results, after: Results, changes: Changes) -> str:
    """The summary of a comparison: only what changed."""
    first, second = which(changes.mutants)
    return joined(
        [
            "## Shared-backup bench: two runs",
            f"{first.capitalize()}: {before.name}; {second}: {after.name}.",
            *changes.missing,
            *changed("Verdicts on properties", changes.verdicts, "property"),
            *changed("Coverage", changes.coverage, "coverage"),
            *changed("Restores", changes.restores, "scenario"),
            *of_pairs(changes.mutants),
            *ratios(changes),
            *changed("Verdicts on targets", changes.targets, "target"),
            *medians(changes),
            *changed("Values (they have no spread)", changes.values, "value"),
            *changed("What else differs", changes.surroundings, ""),
        ]
    )


def changed(title: str, changes: Sequence[WordChange], heading: str) -> Iterator[str]:
    """What has no spread and differs."""
    if changes:
        yield f"**{title}**: {len(changes):,} changed."
        yield table([heading, "before", "after"], [(one.name, one.before, one.after) for one in changes])


def ratios(changes: Changes) -> Iterator[str]:
    """How many changed, and which."""
    beyond = [one for one in changes.ratios if one.changed]
    if changes.ratios:
        yield f"**Ratios**: {len(beyond)} of {len(changes.ratios)} changed beyond their spread."
    if beyond:
        rows = [(one.name, ratio_words(one.before), ratio_words(one.after), one.direction) for one in beyond]
        yield table(["ratio", "before", "after", ""], rows, numbers=(1, 2))


def medians(changes: Changes) -> Iterator[str]:
    """Absolute figures that changed; the reader is warned of them."""
    beyond = [one for one in changes.medians if one.changed]
    if changes.medians:
        yield (
            f"**Medians**: {len(beyond)} of {len(changes.medians)} changed beyond their spread (absolute figures of "
            "two runs: trust the ratios)."
        )
    if beyond:
        rows = [
            (one.name, quantity(one.before.median, one.unit), quantity(one.after.median, one.unit), one.direction)
            for one in beyond
        ]
        yield table(["median", "before", "after", ""], rows, numbers=(1, 2))
