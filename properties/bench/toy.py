"""Extensions that do next to nothing, under the name of ours: for tests of the harness, not of backups."""

from pathlib import Path

MAKEFILE = """
EXTENSION = shared_backup
MODULES = shared_backup
DATA = shared_backup--1.0.sql
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
"""
CONTROL = "default_version = '1.0'\nmodule_pathname = '$libdir/shared_backup'\n"
MODULE = """
#include "postgres.h"
#include "fmgr.h"
PG_MODULE_MAGIC;
"""


def write_toy(folder: Path, declared: str = "SELECT 1;\n", functions: str = "") -> Path:
    """Puts the sources of an extension into a folder, and returns that: its SQL, and its functions in C."""
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "shared_backup.control").write_text(CONTROL)
    (folder / "shared_backup--1.0.sql").write_text(declared)
    (folder / "shared_backup.c").write_text(MODULE + functions)
    return folder
