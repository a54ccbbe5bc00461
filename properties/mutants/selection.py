"""Which mutants are tried: those that are named, those that a change may have made survive, or all."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from harness.machine.postgres import SetupError
from properties.mutants.catalogue import Catalogue, Mutant
from properties.mutants.tree import base, changed_since, head

GATE = 30
"""Mutants that a gate tries, at most: about five minutes of two cores, if what has killed each is known."""
PATCH = "properties/mutants/patches/{}.patch"
"""Where a mutant is, if it is kept as a patch."""


@dataclass(frozen=True)
class Selection:
    """Mutants to try."""

    mutants: Sequence[Mutant]
    words: str
    """Which they are."""


def select(catalogue: Catalogue, chosen: argparse.Namespace) -> Selection:
    """The mutants that were asked for; raises SetupError if there is no such thing.

    A gate tries those that a change may have made survive, unless it was asked for others, and of many of those a
    number that is drawn by the commit: what it tries does not depend on how fast the machine is.
    """
    mutants, words, most = list(catalogue.mutants), "all mutants", chosen.most
    if chosen.selection:
        mutants, words = named(mutants, chosen.selection), f"those about {chosen.selection}"
    if chosen.since or not (chosen.all or chosen.selection or chosen.profile == "nightly"):
        commit = base(chosen.since)
        changed = changed_since(commit)
        mutants = [one for one in mutants if touched(one, changed, catalogue.killers)]
        words = f"{words}, in what has changed since {commit[:12]} (--all: whatever has changed)"
        most = GATE if most is None else most
    if most is not None and most < len(mutants):
        words = f"{words}; {most} drawn of {len(mutants)} (--most)"
        mutants = drawn(mutants, most)
    return Selection(mutants, f"{len(mutants)} of {len(catalogue.mutants)}: {words}")


def drawn(mutants: Sequence[Mutant], most: int) -> list[Mutant]:
    """So many of them, in their order: others for each commit."""
    seed = head()
    chosen = sorted(mutants, key=lambda one: sha256(f"{seed} {one.name}".encode()).digest())[:most]
    return [one for one in mutants if one in chosen]


def named(mutants: Sequence[Mutant], words: str) -> list[Mutant]:
    """Those that have one of these words in their names, or in what a developer did wrong; raises SetupError."""
    wanted = words.lower().split()
    found = [one for one in mutants if any(word in f"{one.name} {one.mistake}".lower() for word in wanted)]
    if not found:
        raise SetupError(f"No mutant has one of these words in its name or its sentence: {words} (--list --all).")
    return found


def touched(mutant: Mutant, changed: set[str], killers: Mapping[str, str]) -> bool:
    """Has one of its files changed, or itself, or the file of what killed it last?"""
    killer = killers.get(mutant.name, "").partition("::")[0]
    return not changed.isdisjoint({*mutant.files, PATCH.format(mutant.name), killer})


def within(selection: Selection, folder: str) -> Selection:
    """Those of them that change nothing elsewhere."""
    found = [one for one in selection.mutants if all(file.startswith(folder) for file in one.files)]
    return Selection(found, f"{selection.words}; {len(found)} of them in {folder}")
