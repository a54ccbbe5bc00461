"""The parameters of a simulation: a frozen dataclass, whose fields are command line options and keys of TOML files."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from harness.machine.postgres import SetupError
from model.operations import RestartKind

DAY, HOUR = 86_400, 3_600
MEASURED = "nox -s bench -- -k memory"
"""The command that measured the bytes below; ``--bench`` takes them from its results."""
WAL = "python -m benchmarks.simulation.wal"
"""The command that measured the WAL."""
MOST_SERVERS, MOST_DAYS, MOST_LIMIT = 10_000_000, 3_650, 1_000
MOST_ATTEMPTS = 5_000_000
"""Of one server, which must fit into memory."""
DISTRIBUTIONS, ARRIVALS = ("lognormal", "pareto"), ("schedule", "poisson")
FEWEST_RENEWALS = 2
"""In a time to live: with one, each renewal would come at the deadline, which is too late."""


def told(default: Any, unit: str, words: str, source: str = "") -> Any:
    """A field with its unit, what it is, and for the figure of a cost where it comes from."""
    return field(default=default, metadata={"unit": unit, "words": words, "source": source})


@dataclass(frozen=True, slots=True)
class Parameters:
    """A fleet, what it does, and what happens to it. Zero means none where a field says so.

    Defaults that are not measured are assumptions, round numbers of a plausible fleet; README.md tells which.
    """

    servers: int = told(10_000, "servers", "the fleet")
    days: float = told(30.0, "days", "what is simulated")
    seed: int = told(1, "", "of all chance")
    arrivals: str = told("schedule", "", "when backups are due: schedule (each server in its turn) or poisson")
    every: int = told(DAY, "seconds", "between two backups of a server, on average")
    jitter: int = told(HOUR, "seconds", "of a schedule: by how much a backup may come late")
    durations: str = told("lognormal", "", "of a copy: lognormal, pareto, or a CSV file with seconds in its lines")
    median: float = told(1_800.0, "seconds", "that half of the copies take at most")
    sigma: float = told(1.0, "", "of lognormal: the spread of the logarithm")
    shape: float = told(1.5, "", "of pareto: the smaller, the heavier the tail")
    losses: float = told(0.001, "per hour", "how often a connection that is held breaks")
    restarts: float = told(0.03, "per day", "restarts of a server")
    restart_kind: str = told("fast", "", "how it goes down: fast, immediate or crash")
    hazards: float = told(0.05, "share", "of the restarts that make durable backups useless")
    plane: int = told(1_000, "servers", "that one control plane looks after")
    crashes: float = told(0.03, "per day", "crashes of a control plane")
    recovery: int = told(900, "seconds", "until it is back")
    forgets: float = told(0.5, "share", "of the open backups that it then knows nothing of any more")
    retries: int = told(3, "attempts", "after one that failed")
    wait: int = told(300, "seconds", "before a retry")
    backoff: int = told(2, "times", "by how much each wait is longer than the one before")
    ttl: int = told(4 * HOUR, "seconds", "time to live of a backup; 0: none")
    renewals: int = told(3, "per ttl", "how often the control plane renews it, at least 2; 0: never, so no lease")
    limit: int = told(0, "backups", "that may be open on a server (max_backups); 0: no limit")
    sampled: int = told(60, "seconds", "between two looks at how much is held: peaks are the most that a look saw")
    session_bytes: float = told(1_611_000.0, "bytes", "of a session that is held, with its slot", MEASURED)
    reserved_bytes: float = told(335_900.0, "bytes", "of shared memory that a server reserves for backups", MEASURED)
    first_bytes: float = told(1_384_000.0, "bytes", "of shared memory with one backup open, those included", MEASURED)
    further_bytes: float = told(839.0, "bytes", "of shared memory that each further backup takes", MEASURED)
    wal_bytes: float = told(
        1.5e9, "bytes per hour", "of WAL by forced full-page writes, where full_page_writes is off", WAL
    )

    @property
    def horizon(self) -> int:
        """Seconds that are simulated: all that happens, happens before."""
        return round(self.days * DAY)

    @property
    def renewed(self) -> int | None:
        """Seconds between two renewals; None: there are none."""
        return self.ttl // self.renewals if self.ttl and self.renewals else None

    @property
    def tries(self) -> int:
        """Attempts that are made at most to take a backup that is due."""
        return 1 + self.retries


NAMES = tuple(one.name for one in fields(Parameters))
TYPES: dict[str, Any] = {one.name: one.type for one in fields(Parameters)}
UNITS: dict[str, str] = {one.name: one.metadata["unit"] for one in fields(Parameters)}
WORDS: dict[str, str] = {one.name: one.metadata["words"] for one in fields(Parameters)}
SOURCES: dict[str, str] = {one.name: one.metadata["source"] for one in fields(Parameters) if one.metadata["source"]}


def read_fleet(path: Path) -> dict[str, Any]:
    """What a TOML file says of parameters; raises SetupError."""
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): name a TOML file of parameters.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} is no TOML ({error}): correct it.") from None
    return found


def changed(parameters: Parameters, values: dict[str, Any]) -> Parameters:
    """The same with other values, each of them checked; raises SetupError."""
    for name in values:
        if name not in NAMES:
            raise SetupError(f'There is no parameter "{name}": the parameters are {", ".join(NAMES)}.')
    found = replace(parameters, **{name: value_of(name, value) for name, value in values.items()})
    if complaint := next(complaints(found), None):
        raise SetupError(complaint)
    return found


def value_of(name: str, value: Any) -> Any:
    """A value of the parameter's type; raises SetupError. Words are read as numbers where need be."""
    kind = TYPES[name]
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        wanted = {int: "a whole number", float: "a number", str: "text"}[kind]
        unit = f" ({UNITS[name]})" if UNITS[name] else ""
        raise SetupError(f'{name} cannot be "{value}": it is {wanted}{unit}.') from None


def complaints(p: Parameters) -> Iterator[str]:
    """What is wrong with parameters, in sentences."""
    bounds: dict[str, tuple[float, float]] = {
        "servers": (1, MOST_SERVERS),
        "days": (0.001, MOST_DAYS),
        "every": (1, MOST_DAYS * DAY),
        "median": (1, MOST_DAYS * DAY),
        "sigma": (0, 10),
        "losses": (0, HOUR),
        "restarts": (0, 100),
        "crashes": (0, 1_000),
        "shape": (0.1, 100),
        "hazards": (0, 1),
        "plane": (1, MOST_SERVERS),
        "recovery": (1, MOST_DAYS * DAY),
        "forgets": (0, 1),
        "retries": (0, 20),
        "wait": (1, DAY),
        "backoff": (1, 10),
        "limit": (0, MOST_LIMIT),
        "sampled": (1, DAY),
    }
    for name in NAMES:
        value = getattr(p, name)
        low, high = bounds.get(name, (0, float("inf")))
        if not isinstance(value, str) and not (low <= value <= high and value < float("inf")):
            wanted = f"{low:,g} or more" if high == float("inf") else f"from {low:,} to {high:,}"
            yield f"{name} cannot be {value:,g}: it is {wanted}."
    if p.every and p.horizon / p.every * p.tries > MOST_ATTEMPTS:
        yield f"A server cannot have that many backups: choose fewer days or retries, or every above {p.every}."
    if p.arrivals not in ARRIVALS:
        yield f'There are no arrivals "{p.arrivals}": say {" or ".join(ARRIVALS)}.'
    if p.durations not in DISTRIBUTIONS and Path(p.durations).suffix != ".csv":
        yield f'There are no durations "{p.durations}": say {", ".join(DISTRIBUTIONS)}, or name a .csv file.'
    if p.restart_kind not in list(RestartKind):
        yield f'There is no kind of restart "{p.restart_kind}": say {", ".join(RestartKind)}.'
    if p.renewals and p.renewals < FEWEST_RENEWALS:
        yield f"renewals cannot be {p.renewals}: a renewal at the deadline comes too late, so say 0, or 2 and more."
    if p.ttl and p.ttl < p.renewals:
        yield f"ttl cannot be {p.ttl}: with {p.renewals} renewals it is {p.renewals} seconds or more."


def points(parameters: Parameters, sweeps: dict[str, list[str]]) -> list[tuple[dict[str, Any], Parameters]]:
    """Every combination of the values that are swept, with the parameters that it makes; raises SetupError."""
    found: list[tuple[dict[str, Any], Parameters]] = [({}, parameters)]
    for name, values in sweeps.items():
        found = [
            (told | {name: getattr(point, name)}, point)
            for told, before in found
            for value in values
            for point in [changed(before, {name: value})]
        ]
    return found
