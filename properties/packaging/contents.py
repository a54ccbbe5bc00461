"""What is to be in a package of the extension: what its users need, and nothing of the bench's instruments."""

from pathlib import Path

from harness.building.debian import Package, files_of
from harness.machine.project import EXTENSION

INSTRUMENTS = ("instruments", "injection_points")
"""Sources that go into an instrumented library alone."""
TRACES = (b"injection_point", b"clock_advance", b"shared_backup_counts")
"""Of the instruments, in a library that has them."""
DOCUMENTS = ("README.md.gz", "RESTORE.md.gz", "shared-backup.sgml.gz", "changelog.gz", "copyright")


def expected(package: Package) -> set[str]:
    """The files, as paths from the root."""
    postgres, data = package.postgres, sorted(EXTENSION.glob("shared_backup--*.sql"))
    extension = postgres.sharedir / "extension"
    files = [
        postgres.pkglibdir / "shared_backup.so",
        extension / "shared_backup.control",
        *(extension / script.name for script in data),
        *(Path("/usr/share/doc", package.name, document) for document in DOCUMENTS),
        *(Path("/usr/share/doc", package.name, "examples", one.name) for one in (EXTENSION / "examples").iterdir()),
    ]
    return {str(file) for file in files} | bitcode(package)


def bitcode(package: Package) -> set[str]:
    """The files with which a PostgreSQL that compiles expressions inlines functions, if this one does."""
    if "with_llvm\t= yes" not in (package.postgres.pgxs.parents[1] / "Makefile.global").read_text():
        return set()
    folder = package.postgres.pkglibdir / "bitcode"
    names = [source.stem for source in EXTENSION.glob("*.c") if source.stem not in INSTRUMENTS]
    return {str(folder / "shared_backup.index.bc"), *(str(folder / f"shared_backup/{name}.bc") for name in names)}


def content_flaws(package: Package) -> list[str]:
    """What is wrong with what is in the package, in sentences; none: nothing is."""
    there, wanted = files_of(package), expected(package)
    flaws = [f"{package.name} lacks {name}." for name in sorted(wanted - there)]
    return flaws + [f"{package.name} has {name}, which does not belong into it." for name in sorted(there - wanted)]


def library_flaws(library: Path) -> list[str]:
    """The same of the library, as it is installed."""
    content = library.read_bytes()
    return [f"{library.name} has instruments of the bench in it: {trace.decode()}." for trace in TRACES
            if trace in content]  # fmt: skip
