"""Where the project is, and where it keeps what it has built."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The project's folder."""

EXTENSION = ROOT / "harness" / "extension"
"""The sources of the extension."""


def cache_folder() -> Path:
    """Where what was built is kept: the folder named by the variable BENCH_CACHE, else ``.cache`` in the project."""
    return Path(os.environ.get("BENCH_CACHE", ROOT / ".cache"))
