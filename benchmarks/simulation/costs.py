"""The bytes that backups take, out of the results of the benchmarks."""

from pathlib import Path

import msgspec

from harness.machine.postgres import SetupError
from harness.schema.benchmarks import Benchmark, Benchmarks

RESERVED, FIRST, ALL = "shared: bytes reserved at start", "shared: bytes with one backup open", "shared: bytes in all"
"""Values of the benchmark of memory."""


def measured(folder: Path) -> dict[str, float]:
    """The parameters of costs that a results folder of the benchmarks has figures of; raises SetupError."""
    file = folder / "bench.json"
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Benchmarks)
    except OSError as error:
        raise SetupError(f"{file} cannot be read ({error.strerror}): name a folder that nox -s bench made.") from None
    except msgspec.DecodeError as error:
        raise SetupError(
            f"{file} is no run of the benchmarks ({error}): name a folder that nox -s bench made."
        ) from None
    for one in found.benchmarks:
        if costs := costs_of(one):
            return costs
    raise SetupError(f"{file} has no figures of memory for both systems: measure them with nox -s bench -- -k memory.")


def costs_of(one: Benchmark) -> dict[str, float]:
    """The parameters, if this is the benchmark of memory."""
    number = one.parameters.get("open")
    if one.name != "memory" or not {RESERVED, FIRST, ALL} <= one.values.keys() or "stock" not in one.candidates:
        return {}
    further = (one.values[ALL] - one.values[FIRST]) / (number - 1) if isinstance(number, int) and number > 1 else 0.0
    return {
        "session_bytes": one.candidates["stock"].median,
        "reserved_bytes": max(0.0, one.values[RESERVED]),
        "first_bytes": one.values[FIRST],
        "further_bytes": max(0.0, further),
    }
