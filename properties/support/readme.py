"""The extension's README as tests read it: its sections, and the rows of their tables."""

from harness.machine.project import EXTENSION

README = EXTENSION / "README.md"


def section(title: str) -> str:
    """The text of a section, without its title."""
    return README.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows_of(title: str, begin: str = "`") -> list[list[str]]:
    """The rows of the tables in a section that begin so, each a list of what its cells have."""
    rows = [line for line in section(title).splitlines() if line.startswith(f"| {begin}")]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
