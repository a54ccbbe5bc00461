"""Concurrent histories that somebody has thought about: good ones, and a bad one beside each."""

from __future__ import annotations

from pathlib import Path

from properties.concurrency import recorded
from properties.concurrency.recorded import Recorded

FOLDER = Path(__file__).parent / "histories"


def names(kind: str) -> list[str]:
    """The histories in a folder."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.jsonl"))


def read(kind: str, name: str) -> Recorded:
    """A history: ``good`` or ``bad``."""
    return recorded.read((FOLDER / kind / f"{name}.jsonl").read_text(encoding="utf-8"))
