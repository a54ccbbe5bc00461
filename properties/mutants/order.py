"""Which properties are tried on a mutant, and in which order: what has killed it, what is likely to, the rest."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from properties.mutants.attempt import Plan
from properties.mutants.catalogue import Mutant

CONFORMANCE = ("properties/walks/test_conformance.py", "properties/walks/test_tour.py")
INTERLEAVINGS = ("properties/concurrency/test_interleavings.py",)
CROWDS = ("properties/concurrency/test_free_running.py",)
LINEARIZER = ("properties/concurrency/test_linearize.py", "properties/concurrency/test_checkers.py")
STARTERS = ("properties/limits/test_starters.py", "properties/limits/test_warm_worker.py")
FAULTS = ("properties/faults/test_points.py", "properties/faults/test_nemesis.py", "properties/faults/test_leaks.py")
ERRORS = ("properties/walks/test_error_table.py",)
RESTORES = ("properties/restores",)
OVER_RESTARTS = (
    "properties/walks/test_conformance.py::test_durable_backups_conform_over_restarts",
    "properties/durable/test_durable_losses.py",
    "properties/durable/test_offline_settings.py",
    "properties/durable/test_durable_restore.py",
)
STATE_FILES = (
    "properties/durable/test_damaged_files.py",
    "properties/durable/test_unwritable_files.py",
    "properties/durable/test_killed_files.py",
)

LIKELY: Mapping[str, Sequence[str]] = {
    # areas
    "locking": (*INTERLEAVINGS, *CROWDS, *FAULTS),
    "interrupts": (*FAULTS, *INTERLEAVINGS, *STARTERS),
    "errors": (*ERRORS, *CONFORMANCE),
    "restore": (*RESTORES, *CONFORMANCE),
    "memory": ("properties/limits/test_exhaustion.py", *FAULTS),
    # files, without their endings
    "shared_backup": (*CONFORMANCE, *ERRORS, "properties/walks/test_ttl.py", "properties/walks/test_labels.py"),
    "registry": (*CONFORMANCE, *INTERLEAVINGS, "properties/limits/test_results.py"),
    "results": (*CONFORMANCE, "properties/limits/test_results.py"),
    "reaper": ("properties/walks/test_expiry.py", *CONFORMANCE, *STARTERS, *FAULTS),
    "starter": (*CONFORMANCE, *STARTERS, *FAULTS),
    "clock": ("properties/walks/test_clock_jumps.py", "properties/walks/test_expiry.py", *CONFORMANCE),
    "core": (*CONFORMANCE, *RESTORES),
    "durable": (*OVER_RESTARTS, *STATE_FILES),
    "statefile": (*STATE_FILES, *OVER_RESTARTS),
    "resume": (*OVER_RESTARTS, "properties/durable"),
    "continuity": ("properties/durable/test_unlogged_gap.py", *OVER_RESTARTS, "properties/durable"),
    "injection_points": ("properties/faults/test_points.py", *INTERLEAVINGS),
    "model": (*CONFORMANCE, "properties/spec", *INTERLEAVINGS, *CROWDS),
    "linearizability": (*LINEARIZER, *INTERLEAVINGS, *CROWDS),
    "concurrency": (*LINEARIZER, *INTERLEAVINGS, *CROWDS),
}
"""Beginnings of pytest's names, by what a mutant is about: its area, else its files, or their folders."""

CHECKERS = "properties/concurrency"
"""Mutants of the checkers are tried on the properties there; none of the others uses them."""
ON_A_SERVER = "harness/extension/"
"""Mutants of what runs in the server can not be found without one."""


def likely(mutant: Mutant) -> list[str]:
    """What is likely to kill it."""
    files = [Path(file) for file in mutant.files]
    words = [mutant.area, *(file.name.partition(".")[0].partition("--")[0] for file in files)]
    words += [folder for file in files for folder in reversed(file.parent.parts)]
    return next((list(LIKELY[word]) for word in words if word in LIKELY), [])


def plan(mutant: Mutant, killers: Mapping[str, str], how: Plan) -> Plan:
    """What is tried on a mutant, otherwise as in the plan ``how``."""
    known = [killers[mutant.name]] if mutant.name in killers else []
    return replace(
        how,
        order=(*known, *likely(mutant)),
        only=(CHECKERS,) if all(file.startswith(CHECKERS) for file in mutant.files) else (),
        on_a_server=all(file.startswith(ON_A_SERVER) for file in mutant.files),
    )
