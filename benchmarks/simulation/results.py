"""``simulation.json``: what a run of the simulation leaves in its results folder (``harness.schema.simulation``)."""

from dataclasses import asdict
from pathlib import Path

import msgspec

from benchmarks.simulation.bills import fates_in_words
from benchmarks.simulation.parameters import SOURCES, UNITS, Parameters
from benchmarks.simulation.work import Counted
from harness.running.results import write_json, writing
from harness.schema.run import Circumstances
from harness.schema.simulation import Simulation, Verdict


def results_of(
    counted: list[Counted],
    p: Parameters,
    sources: dict[str, str],
    command: str,
    about: Circumstances,
    *,
    interrupted: bool,
) -> Simulation:
    """What goes into simulation.json; ``sources``: of the costs that are not the documented ones."""
    return Simulation(
        **msgspec.structs.asdict(about),
        verdict=Verdict.INTERRUPTED if interrupted else Verdict.COMPLETE,
        command=command,
        seed=p.seed,
        parameters=asdict(p),
        units=UNITS,
        sources=SOURCES | sources,
        fates={one.way.name: fates_in_words(one) for one in counted[0].fleet.fates},
        points=tuple(one.point() for one in counted),
    )


def write_results(folder: Path, results: Simulation) -> None:
    """Writes simulation.json and leads ``latest`` here; raises SetupError."""
    with writing(folder):
        write_json(folder / "simulation.json", results)
