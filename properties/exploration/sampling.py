"""Paths on which promises are kept: to each kind of step that changes something, and for each promise that is asked."""

from collections.abc import Hashable

import msgspec

from harness.schema.exploration import Counterexample
from model.explore import Reached, beginning, concrete, explore, history
from model.operations import Restart
from model.promises import PROMISES, Promise, Transition
from model.scope import Scope
from model.state import Cluster
from model.steps import CutOff, NextPhase, words
from properties.exploration.records import counterexample

Path = tuple[str, Counterexample]
"""The name of a promise, and a history whose last step keeps it."""


def kept_paths(name: str, scope: Scope) -> list[Path]:
    """Shortest paths, of which no two are the same, from a scope of that name."""
    claimed = [one for one in PROMISES if one.claimed_by(scope.design)]
    found: dict[Hashable, Path] = {}

    def visit(transition: Transition, reached: Reached) -> None:
        if not transition.changed or not (backups(transition.before) or backups(transition.after)):
            return
        for promise in claimed:
            keys = ((promise.name, is_amid(transition)), kind(transition))
            if any(key not in found for key in keys) and asked(promise, transition) and promise.holds(transition):
                path = promise.name, told(promise, transition, reached)
                for key in keys:
                    found.setdefault(key, path)

    def told(promise: Promise, seen: Transition, reached: Reached) -> Counterexample:
        def last(one: Transition) -> bool:
            return kind(one) == kind(seen) and asked(promise, one) and one.changed and promise.holds(one)

        way = history(reached, seen.situation)
        return counterexample(name, scope, concrete(scope, beginning(scope, None), way, last))

    explore(scope, promises=(), visit=visit)
    return list({msgspec.json.encode(one.steps): (promise, one) for promise, one in found.values()}.values())


def backups(cluster: Cluster) -> bool:
    """Is one there, of whichever kind?"""
    return bool(cluster.backups or cluster.stock_backups())


def asked(promise: Promise, transition: Transition) -> bool:
    """Is it asked of this step? Some are asked of situations, so of every step."""
    kind, outcome = type(transition.operation), type(transition.outcome)
    return not promise.about or promise.asked_of(kind, outcome, transition.changed)


def is_amid(transition: Transition) -> bool:
    """Is it a later phase, a cut, or a restart?"""
    return isinstance(transition.step, NextPhase | CutOff | Restart)


def kind(transition: Transition) -> Hashable:
    """What tells steps apart: the operation, its phase, what a cut leaves of it, what comes of it, and who is busy."""
    step, situation = transition.step, transition.situation
    pending = situation.under_way[step.session] if isinstance(step, NextPhase | CutOff) else None
    phase = words(pending) if pending is not None else ""
    left = state_of(transition.after, pending.operation.label) if pending and isinstance(step, CutOff) else ""
    restart = (step.kind, step.hazard) if isinstance(step, Restart) else ()
    busy = tuple(sorted(words(one) for one in situation.busy()))
    return type(step), phase, left, restart, type(transition.operation), type(transition.outcome), busy


def state_of(cluster: Cluster, label: str | None) -> str:
    """That of a label, in a word."""
    backup = cluster.backup(label or "")
    return "absent" if backup is None else backup.state.value
