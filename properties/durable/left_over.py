"""What a power cut may leave of a server that was traced, and in which order it is tried."""

from collections import deque
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from harness.faults.crash_states import Tree, all_there, states
from harness.faults.journal import Flush
from harness.faults.power_cut import Moment, lay_out, moments
from harness.server.cluster import Cluster
from harness.server.durable import STATE_DIR
from properties.durable.journeys import Journey, Promise

OURS = (STATE_DIR, "pg_replslot")
NOT_WRITTEN = ("pg_dynshmem", "bench.conf")
"""What has its contents from elsewhere: mapped memory, and the bench."""


@dataclass
class CrashState:
    """What a power cut may leave, at one moment or several."""

    key: int
    number: int
    """Of the first such moment."""
    after: str
    """What had happened just then."""
    ours: int
    """Those with the same number differ only in WAL and in the control file."""
    promises: list[Promise]
    """What must hold at these moments."""


@dataclass
class Found:
    """All states, how many combinations were not looked at, and what is there in the end."""

    states: dict[int, CrashState] = field(default_factory=dict)
    left_out: int = 0
    last: Tree = field(default_factory=dict)


def crash_states(journey: Journey, mirror: Path) -> Found:
    """What a power cut may leave at any moment. The mirror becomes what there is in the end."""
    disk = deepcopy(journey.disk)
    found, left, made = Found(), states(disk), journey.promises[0]
    to_come = deque(journey.promises)
    for moment in moments(journey.events, disk, mirror):
        others = bool(to_come) and to_come[0].since <= moment.number
        while to_come and to_come[0].since <= moment.number:
            made = to_come.popleft()
        if moment.changed:
            left = states(disk)
            found.left_out += left.left_out
        elif not others:
            continue
        for tree in left.trees:
            state = CrashState(key(tree), moment.number, said(moment), key(ours(tree)), [])
            known = found.states.setdefault(state.key, state)
            if made not in known.promises:
                known.promises.append(made)
    found.last = all_there(disk)
    return found


def key(tree: Tree) -> int:
    """The same number for the same files."""
    return hash(tuple(sorted(tree.items())))


def ours(tree: Tree) -> Tree:
    """What is not core's."""
    return {path: contents for path, contents in tree.items() if path.split("/")[0] in OURS}


def said(moment: Moment) -> str:
    """What has happened just then, in few words."""
    action = moment.event.action
    names = [str(getattr(action, name)) for name in ("path", "new") if hasattr(action, name)]
    return f"{'end' if moment.over else 'beginning'} of {type(action).__name__}({', '.join(names)})"


def nearest_first(journey: Journey, found: Found) -> list[CrashState]:
    """Those near to a flush of ours or to an answer come first, each operation in its turn."""
    flushed = [event for event in journey.events if isinstance(event.action, Flush) and is_ours(event.action.path)]
    anchors = sorted(
        {*(one.since for one in journey.promises), *(n for one in flushed for n in (one.began, one.ended))}
    )
    by_operation: dict[str, list[tuple[bool, int, int, CrashState]]] = {}
    seen: set[tuple[str, int]] = set()
    for state in found.states.values():
        operation = state.promises[-1].operation
        distance = min(abs(state.number - anchor) for anchor in anchors)
        again = (operation, state.ours) in seen
        seen.add((operation, state.ours))
        by_operation.setdefault(operation, []).append((again, distance, state.number, state))
    turns = [[state for *_, state in sorted(those, key=lambda one: one[:3])] for those in by_operation.values()]
    return [state for turn in zip_longest(*turns) for state in turn if state is not None]


def is_ours(path: str) -> bool:
    """Is it a flush of the extension's?"""
    return path == "." or path.split("/")[0] in OURS


def unlike(server: Cluster, mirror: Path, tree: Tree) -> list[str]:
    """Files in which the data directory of a server that is down differs from what was done again."""
    again = contents_of(mirror) | {path: contents for path, contents in tree.items() if contents is not None}
    real = contents_of(server.data_dir)
    differing = (path for path in again.keys() | real.keys() if again.get(path) != real.get(path))
    return sorted(path for path in differing if path.split("/")[0] not in NOT_WRITTEN)


def contents_of(folder: Path) -> dict[str, bytes]:
    """All files in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def laid_out(journey: Journey, chosen: Iterable[CrashState]) -> Iterator[tuple[CrashState, Tree]]:
    """Makes each of these states the data directory of the server, which is down before and afterwards."""
    disk = deepcopy(journey.disk)
    wanted: dict[int, dict[int, CrashState]] = {}
    for state in chosen:
        wanted.setdefault(state.number, {})[state.key] = state
    for moment in moments(journey.events, disk, journey.mirror):
        if moment.number not in wanted:
            continue
        here = wanted[moment.number]
        for tree in states(disk).trees:
            if key(tree) in here:
                state = here.pop(key(tree))
                lay_out(journey.server, journey.mirror, tree)
                yield state, tree


def listing(tree: Tree) -> str:
    """What is there of ours, and how long it is."""
    lines = (f"    {path}: {'a folder' if contents is None else len(contents)}" for path, contents in tree.items())
    return "\n".join(line for line in lines if is_ours(line.strip()))
