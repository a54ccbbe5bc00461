"""A folder with several PostgreSQL side by side, and the results folders of each beside it."""

from dataclasses import dataclass
from pathlib import Path

from harness.schema.versions import Versions
from reports.folder import CAMPAIGN, VERSIONS
from reports.reading import read_results


@dataclass(frozen=True)
class SideBySide:
    """What is in it."""

    folder: Path
    versions: Versions
    beside: dict[str, Path]
    """The results folder of each version, by its name; one that was not copied along is left out."""

    @property
    def name(self) -> str:
        """The folder's own name, also if a link led to it."""
        return self.folder.resolve().name


def read_versions(folder: Path) -> SideBySide:
    """Everything in a folder; raises Unreadable."""
    found = read_results(folder / VERSIONS, Versions, "campaigns on several PostgreSQL")
    parent = folder.resolve().parent
    paths = {one.name: parent / Path(one.folder).name for one in found.campaigns if one.folder}
    return SideBySide(folder, found, {name: path for name, path in paths.items() if (path / CAMPAIGN).is_file()})
