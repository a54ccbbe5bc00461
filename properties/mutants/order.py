"""Which properties are tried on a mutant, and in which order: what has killed it, what is likely to, and then the rest.

What is likely to, is told by tables, of areas and of files. It is little, so that most mutants are found in seconds.
The rest begins with what has killed the most of the others.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from properties.mutants.attempt import Plan
from properties.mutants.catalogue import Mutant

CONFORMS = "properties/walks/test_conformance.py::test_the_implementation_conforms_to_its_design"
DURABLE_CONFORMS = "properties/walks/test_conformance.py::test_durable_backups_conform_over_restarts"
TOUR = "properties/walks/test_tour.py::test_every_reachable_transition_class_is_seen_on_the_cluster"
DURABLE_TOUR = (
    "properties/walks/test_tour.py::test_every_reachable_transition_class_of_durable_backups_is_seen_on_the_cluster"
)
WALKS = (TOUR, CONFORMS)
ERRORS = "properties/walks/test_error_table.py"
TOKENS = "properties/walks/test_tokens.py"
ERROR_ORDER = "properties/walks/test_error_order.py"
ENTRIES = "properties/walks/test_catalog_entries.py"
SETTINGS = "properties/walks/test_settings.py"
DURATIONS = "properties/walks/test_durations.py"
HELD_TOGETHER = "properties/durable/test_held_together.py"
RESUMING = "properties/durable/test_resuming.py"
TWO_FILES = ("properties/durable/test_any_two_files.py", "properties/durable/test_late_renewals.py")
UNWRITABLE = "properties/durable/test_unwritable_files.py"
HISTORY_FILES = "properties/restores/test_history_files.py"
TTL = "properties/walks/test_ttl.py"
EXPIRY = "properties/walks/test_expiry.py"
IDENTITY = "properties/walks/test_identity.py"
ARCHIVE_WAIT = "properties/walks/test_archive_wait.py"
AFTERWARDS = "properties/faults/test_afterwards.py"
README = "properties/walks/test_readme.py"
LABELS = "properties/walks/test_labels.py"
DRIVERS = "properties/walks/test_drivers.py"
CLOCK = "properties/walks/test_clock_jumps.py"
INTERLEAVINGS = "properties/concurrency/test_interleavings.py"
CROWDS = "properties/concurrency/test_free_running.py"
COUNTERS = "properties/hooks/test_counters.py"
EXAMPLES = tuple(
    f"properties/hooks/test_{name}.py" for name in ("script", "failing_tools", "frameworks", "examples", "mistakes")
)
LINEARIZER = ("properties/concurrency/test_linearize.py", "properties/concurrency/test_checkers.py")
STARTERS = ("properties/limits/test_starters.py", "properties/limits/test_warm_worker.py")
RESULTS = "properties/limits/test_results.py"
FIXED = "properties/limits/test_fixed.py"
MEMORY = "properties/limits/test_exhaustion.py"
LOOKED_AT = "properties/concurrency/test_looked_at.py"
POINTS = "properties/faults/test_points.py"
LEAKS = "properties/faults/test_leaks.py"
PROMOTION = "properties/faults/test_promotion.py"
STANDBYS = "properties/restores/test_standby_backups.py"
DURABLE_STANDBYS = tuple(
    f"properties/durable/test_{name}.py" for name in ("standby_losses", "durable_standby", "idle_standby")
)
LOSSES = (
    DURABLE_TOUR,
    DURABLE_CONFORMS,
    "properties/durable/test_durable_losses.py",
    "properties/durable/test_foreign_starts.py",
    "properties/durable/test_unlogged_gap.py",
    "properties/durable/test_offline_settings.py",
)
STATE_FILES = (
    "properties/durable/test_damaged_files.py",
    UNWRITABLE,
    "properties/durable/test_killed_files.py",
)

AREAS: Mapping[str, Sequence[str]] = {
    "abort": (AFTERWARDS, *WALKS, TOKENS, LOOKED_AT, POINTS, INTERLEAVINGS),
    "core": (*WALKS, POINTS, HISTORY_FILES, EXPIRY, DURABLE_CONFORMS, STANDBYS),
    "counters": (COUNTERS, ENTRIES, "properties/hooks/test_mistakes.py", README, DRIVERS),
    "defaults": (SETTINGS, DURATIONS, README, ERRORS, TTL, LABELS, DRIVERS, RESULTS),
    "durable": (DURABLE_TOUR, DURABLE_CONFORMS, *STATE_FILES, *LOSSES, "properties/durable/test_archive_holes.py"),
    "errors": (ERRORS, ERROR_ORDER, *WALKS),
    "examples": EXAMPLES,
    "expiry": (EXPIRY, DURATIONS, *WALKS, CLOCK, TTL, LOOKED_AT),
    "history": (*WALKS, TOKENS, HELD_TOGETHER, LOOKED_AT),
    "identity": (IDENTITY, *WALKS, ERRORS, TOKENS),
    "labels": (LABELS, *WALKS, ERRORS),
    "leaks": (LEAKS, *WALKS, UNWRITABLE, DURABLE_TOUR, "properties/durable/test_killed_files.py", MEMORY, RESULTS),
    "locking": (TOUR, LOOKED_AT, *TWO_FILES, INTERLEAVINGS, POINTS, CROWDS),
    "memory": (LABELS, RESULTS, MEMORY, *WALKS),
    "packaging": (*WALKS, ERRORS, DRIVERS),
    "reaper": (EXPIRY, *WALKS, RESUMING, INTERLEAVINGS, *STARTERS),
    "results": (*WALKS, RESULTS, LOOKED_AT),
    "script": (ENTRIES, README, IDENTITY, *WALKS, ERRORS, DRIVERS, "properties/walks/test_drop_extension.py"),
    "standby": (STANDBYS, PROMOTION, ERRORS, *DURABLE_STANDBYS, DURABLE_CONFORMS),
    "starters": (*STARTERS, POINTS, *WALKS),
    "stop": (AFTERWARDS, ARCHIVE_WAIT, *WALKS, TOKENS, ERRORS, DRIVERS, HISTORY_FILES, LOOKED_AT),
    "wakeups": (*STARTERS, EXPIRY, POINTS, INTERLEAVINGS),
}
"""Beginnings of pytest's names, by a mutant's area."""

FILES: Mapping[str, Sequence[str]] = {
    "clock": (CLOCK, EXPIRY, *WALKS),
    "concurrency": (*LINEARIZER, INTERLEAVINGS, CROWDS),
    "continuity": LOSSES,
    "core": WALKS,
    "durable": (DURABLE_TOUR, DURABLE_CONFORMS, *STATE_FILES, *LOSSES),
    "images": LOSSES,
    "injection_points": (POINTS, INTERLEAVINGS),
    "linearizability": (*LINEARIZER, INTERLEAVINGS),
    "model": (*WALKS, DURABLE_CONFORMS, DURABLE_TOUR, "properties/spec"),
    "reaper": (*WALKS, EXPIRY),
    "registry": WALKS,
    "results": (*WALKS, RESULTS),
    "resume": LOSSES,
    "shared_backup": (*WALKS, ENTRIES, ERROR_ORDER, SETTINGS, ERRORS),
    "standby": DURABLE_STANDBYS,
    "starter": (*WALKS, *STARTERS),
    "statefile": STATE_FILES,
    "storage": (FIXED,),
}
"""The same, by the names of the files that it changes, without their endings; or of the folders that they are in."""

CARRIED = re.compile(r"\b(?:carried|durable|restart(?:s|ed)?|crash(?:es|ed)?)\b", re.IGNORECASE)
"""Words for what only durable backups go through."""
CHECKERS = "properties/concurrency"
"""Mutants of the checkers are tried on the properties there; none of the others uses them."""
ON_A_SERVER = "harness/extension/"
"""Mutants of what runs in the server can not be found without one."""


def likely(mutant: Mutant) -> list[str]:
    """What is likely to kill it."""
    found = [DURABLE_CONFORMS] if CARRIED.search(f"{mutant.mistake} {mutant.breaks}") else []
    found += AREAS.get(mutant.area, ())
    for file in map(Path, mutant.files):
        names = [file.name.partition(".")[0].partition("--")[0], *reversed(file.parent.parts)]
        found += next((FILES[name] for name in names if name in FILES), ())
    return list(dict.fromkeys(found))


def plans(mutant: Mutant, killers: Mapping[str, str], how: Plan) -> tuple[Plan, Plan]:
    """What is tried on a mutant first, and what if it survives that; otherwise as in the plan ``how``.

    What has killed it is enough for the first; if there is no such thing, it is what is likely to.
    """
    killer, probable = killers.get(mutant.name), likely(mutant)
    others = [one for one, _ in Counter(killers.values()).most_common()]
    everything = replace(
        how,
        order=(*([killer] if killer else []), *probable, *others),
        only=(CHECKERS,) if all(file.startswith(CHECKERS) for file in mutant.files) else (),
        on_a_server=all(file.startswith(ON_A_SERVER) for file in mutant.files),
    )
    if killer:
        return replace(everything, only=(killer,)), everything
    return replace(everything, only=tuple(probable) or everything.only), everything
