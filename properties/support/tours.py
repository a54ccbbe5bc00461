"""The tours of designs, each worked out once by all processes: it takes up to half a minute, and they share it."""

import fcntl
import pickle
import sys
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from harness.machine.project import ROOT, cache_folder
from model.design import Design, OnRestart
from model.operations import Hazard
from model.tour import Path as Way
from model.tour import TransitionClass, tour

MODEL = ROOT / "model"


@cache
def shared_tour(design: Design, hazards: tuple[Hazard, ...]) -> Mapping[TransitionClass, Way]:
    """The design's tour, as ``model.tour`` has it; kept in the cache until a line of the model changes."""
    if design.on_restart is OnRestart.FORGET:
        hazards = ()  # nothing comes of them
    folder = cache_folder() / "tours"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / key(design, hazards)
    with file.with_suffix(".in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            return dict(pickle.loads(file.read_bytes()))
        found = tour(design, hazards)
        fresh = file.with_suffix(".new")
        fresh.write_bytes(pickle.dumps(dict(found)))
        fresh.rename(file)
    return found


def key(design: Design, hazards: tuple[Hazard, ...]) -> str:
    """A name for all that the tour depends on."""
    return sha256("\0".join([sys.version, repr(design), repr(hazards), sources()]).encode()).hexdigest()[:24]


@cache
def sources() -> str:
    """The model's own text."""
    return "\0".join(f"{one.relative_to(MODEL)}\0{one.read_text()}" for one in python_files(MODEL))


def python_files(folder: Path) -> list[Path]:
    """All of them, in order."""
    return sorted(folder.rglob("*.py"))
