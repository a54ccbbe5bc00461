"""Where the specifications are, in the extension's folder."""

from pathlib import Path

from harness.machine.project import EXTENSION
from properties.installcheck.writing import Spec


def file_of(spec: Spec) -> Path:
    """Where a specification is."""
    return EXTENSION / "specs" / f"{spec.name}.spec"


def expected_of(spec: Spec) -> Path:
    """Where what is expected of it is."""
    return EXTENSION / "expected" / f"{spec.name}.out"
