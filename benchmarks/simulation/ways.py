"""How a fleet is backed up: a design, and what becomes of the sessions that hold backups if the control plane dies."""

from dataclasses import dataclass
from pathlib import Path

from harness.clients.implementation import find_implementation
from harness.machine.postgres import SetupError
from model.design import DESIGNS, STOCK, Design


@dataclass(frozen=True, slots=True)
class Way:
    """One way to back up a fleet."""

    name: str
    design: Design
    survives: bool = False
    """The session that holds a backup is a program's of its own, and outlives the control plane."""


SCRIPT = Way("script", STOCK, survives=True)
"""What people do today: a script holds psql open for each backup, and its state is in a table."""

WAYS = {"stock": Way("stock", STOCK), "script": SCRIPT} | {
    name: Way(name, design) for name, design in DESIGNS.items() if design is not STOCK
}


def find_ways(names: str) -> tuple[Way, ...]:
    """The ways of these names, or of the designs in these TOML files of implementations; raises SetupError."""
    return tuple(dict.fromkeys(find_way(name.strip()) for name in names.split(",")))


def find_way(name: str) -> Way:
    """One way; raises SetupError."""
    if name in WAYS:
        return WAYS[name]
    if Path(name).suffix != ".toml":
        raise SetupError(f'There is no design "{name}": say some of {", ".join(WAYS)}, or name a .toml file.')
    found = find_implementation(name)
    return Way(found.name, found.design)
