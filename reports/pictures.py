"""All figures of a results folder."""

from collections.abc import Iterator

from reports.figures.c_coverage import c_coverage_pictures
from reports.figures.coverage import coverage_pictures
from reports.figures.crowd import crowd_pictures as pictures_of_crowds
from reports.figures.kill_matrix import matrix_pictures
from reports.figures.kill_speed import speed_pictures
from reports.figures.kills import kill_pictures
from reports.figures.latency import latency_pictures
from reports.figures.memory import memory_pictures
from reports.figures.picture import Picture
from reports.figures.ratios import ratio_pictures
from reports.figures.restores import restore_pictures as pictures_of_restores
from reports.figures.sharing import sharing_pictures as pictures_of_sharing
from reports.figures.simulation import simulation_pictures as pictures_of_simulation
from reports.figures.survival import survival_pictures as pictures_of_survival
from reports.figures.sweep import sweep_pictures
from reports.figures.timeline import timeline_pictures
from reports.folder import Results


def campaign_pictures(results: Results) -> Iterator[Picture]:
    """Coverage and histories."""
    if results.campaign:
        yield from coverage_pictures(results.campaign)
    if results.c_coverage:
        yield from c_coverage_pictures(results.c_coverage)
    yield from timeline_pictures(results.histories)


def crowd_pictures(results: Results) -> Iterator[Picture]:
    """Operations at once."""
    yield from pictures_of_crowds(results.timelines)


def restore_pictures(results: Results) -> Iterator[Picture]:
    """Restores."""
    if results.campaign:
        yield from pictures_of_restores(results.campaign)


def survival_pictures(results: Results) -> Iterator[Picture]:
    """Restarts."""
    if results.campaign:
        yield from pictures_of_survival(results.campaign)


def sharing_pictures(results: Results) -> Iterator[Picture]:
    """Workers."""
    if results.campaign:
        yield from pictures_of_sharing(results.campaign)


def mutant_pictures(results: Results) -> Iterator[Picture]:
    """Planted bugs."""
    if results.mutants:
        yield from kill_pictures(results.mutants)
        yield from speed_pictures(results.mutants)
        yield from matrix_pictures(results.mutants)


def simulation_pictures(results: Results) -> Iterator[Picture]:
    """A fleet."""
    if results.simulation:
        yield from pictures_of_simulation(results.simulation)


def bench_pictures(results: Results) -> Iterator[Picture]:
    """Ratios, latencies, curves, memory."""
    bench = results.bench
    if bench:
        yield from ratio_pictures(bench)
        yield from latency_pictures(bench)
        yield from sweep_pictures(bench)
        yield from memory_pictures(bench)
