"""What a power cut may leave of a data directory: all that POSIX allows, given what had been flushed by then.

After ALICE (Pillai et al., OSDI 2014). A name that was made, changed or removed is on the disk for certain when its
folder has been flushed after that, and may or may not be before, whatever became of others; a rename is there as a
whole or not at all. The contents of a file are there for certain when it has been flushed; of what was written since,
there may be nothing, all, the first half, or, where the file has become longer, zeros. A name may lead to a file
without contents.

That is asked of the files that are named in ``Watched``. All others are core's matter: they are as they were written.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path, PurePosixPath

from harness.faults.journal import Create, Event, Flush, MakeFolder, Remove, Rename, Truncate, Write

AT_ONCE = 64
"""So many combinations of what is uncertain at a moment are all tried. Of more: none, all, each alone there, and each
alone missing."""

Tree = Mapping[str, bytes | None]
"""What is there: the contents of files, and None for folders, by their paths."""


@dataclass(frozen=True)
class Watched:
    """What a power cut may leave in several states."""

    folders: frozenset[str]
    """With all that is in them."""
    contents: frozenset[str]
    """Folders, with all that is in them, whose files' contents are uncertain, and not their names."""
    whole: frozenset[str]
    """Files that are written in one piece: all or nothing of it is there."""

    def __contains__(self, path: str) -> bool:
        return path in self.whole or any(within(path, folder) for folder in (*self.folders, *self.contents))

    def names_are_uncertain(self, path: str) -> bool:
        """May a name be missing although it was made?"""
        return any(within(path, folder) for folder in self.folders)


@dataclass(eq=False)
class File:
    """The contents of a file: on the disk, and what has been done to it since, each with when that had ended."""

    whole: bool
    flushed: bytes = b""
    pending: list[tuple[int, Write | Truncate]] = field(default_factory=list)


@dataclass(eq=False)
class Folder:
    """The names in a folder, in the same way."""

    flushed: dict[str, "Node"] = field(default_factory=dict)
    pending: list[tuple[int, dict[str, "Node | None"]]] = field(default_factory=list)

    def names(self) -> dict[str, "Node"]:
        """As the server sees them."""
        return names_after(self, [names for _, names in self.pending])


Node = File | Folder
Choice = tuple[object, object]
"""A file and its contents, or a change of a folder and whether it is there."""


@dataclass
class Disk:
    """The watched part of a data directory."""

    watched: Watched
    root: Folder

    def begin(self, event: Event) -> bool:
        """Something begins that changes what is watched, and may be there from now on; returns whether it does."""
        action = event.action
        match action:
            case Write() | Truncate() if action.path in self.watched:
                file = self.find(action.path)
                assert isinstance(file, File), f"{action.path} is written to, and is not there"
                file.pending.append((event.ended, action))
            case Create() if action.path in self.watched and self.find(action.path) is None:
                self.rename(event, {action.path: File(action.path in self.watched.whole)})
            case MakeFolder() if action.path in self.watched:
                self.rename(event, {action.path: Folder()})
            case Remove() if action.path in self.watched:
                self.rename(event, {action.path: None})
            case Rename() if action.path in self.watched or action.new in self.watched:
                self.rename(event, {action.path: None, action.new: self.find(action.path)})
            case _:
                return False
        return True

    def rename(self, event: Event, nodes: Mapping[str, Node | None]) -> None:
        """These names lead to other files than before, all in one folder."""
        parents = {str(PurePosixPath(path).parent) for path in nodes}
        assert len(parents) == 1, f"what is renamed goes to another folder: {sorted(nodes)}"
        folder = self.find(parents.pop())
        assert isinstance(folder, Folder)
        folder.pending.append((event.ended, {PurePosixPath(path).name: node for path, node in nodes.items()}))
        if not any(self.watched.names_are_uncertain(path) for path in nodes):
            flush(folder, event.ended)

    def end(self, event: Event) -> bool:
        """Something has ended; if that is a flush of what is watched, what had ended before it began is on the disk."""
        if isinstance(event.action, Flush) and (node := self.find(event.action.path)) is not None:
            flush(node, event.began)
            return True
        return False

    def find(self, path: str) -> Node | None:
        """What the server finds under that path."""
        node: Node | None = self.root
        for name in PurePosixPath(path).parts:
            node = node.names().get(name) if isinstance(node, Folder) else None
        return node


def flush(node: Node, began: int) -> None:
    """What had ended when the flush began is on the disk."""
    over = [one for one in node.pending if one[0] <= began]
    node.pending = [one for one in node.pending if one[0] > began]  # type: ignore[assignment]
    if isinstance(node, File):
        node.flushed = written(node.flushed, [change for _, change in over])  # type: ignore[misc]
    else:
        node.flushed = names_after(node, [names for _, names in over])  # type: ignore[misc]


def names_after(folder: Folder, changes: Iterable[Mapping[str, Node | None]]) -> dict[str, Node]:
    """The names that are on the disk, and then these changes."""
    found: dict[str, Node | None] = dict(folder.flushed)
    for names in changes:
        found |= names
    return {name: node for name, node in found.items() if node is not None}


def written(contents: bytes, changes: Iterable[Write | Truncate]) -> bytes:
    """Contents after these changes."""
    found = bytearray(contents)
    for change in changes:
        if isinstance(change, Truncate):
            end, data = change.length, b""
            del found[change.length :]
        else:
            end, data = change.offset, change.data
        found.extend(bytes(max(0, end - len(found))))
        found[end : end + len(data)] = data
    return bytes(found)


def disk_of(data_dir: Path, watched: Watched) -> Disk:
    """A data directory of which everything is on the disk."""
    return Disk(watched, folder_of(data_dir, data_dir, watched))


def folder_of(data_dir: Path, folder: Path, watched: Watched) -> Folder:
    """A folder of it, as far as it is watched."""
    found = Folder()
    for path in folder.iterdir():
        name = str(path.relative_to(data_dir))
        if path.is_dir() and (name in watched or any(within(one, name) for one in watched.whole)):
            found.flushed[path.name] = folder_of(data_dir, path, watched)
        elif path.is_file() and name in watched:
            found.flushed[path.name] = File(name in watched.whole, path.read_bytes())
    return found


# The states


@dataclass
class States:
    """What a power cut may leave at one moment."""

    trees: list[Tree]
    left_out: int
    """Combinations that were not looked at."""


def states(disk: Disk) -> States:
    """What a power cut may leave now."""
    choices = [choice for node in all_nodes(disk.root) for choice in choices_of(node)]
    certain = dict(choice[0] for choice in choices if len(choice) == 1)
    uncertain = [choice for choice in choices if len(choice) > 1]
    combinations = list(chosen(uncertain))
    trees = {}
    for combination in combinations:
        tree = dict(tree_of(disk.root, certain | dict(combination)))
        trees[tuple(sorted(tree.items()))] = tree
    return States(list(trees.values()), prod(map(len, uncertain)) - len(combinations))


def all_there(disk: Disk) -> Tree:
    """What there is if nothing is missing."""
    return dict(tree_of(disk.root, dict(choice[-1] for node in all_nodes(disk.root) for choice in choices_of(node))))


def choices_of(node: Node) -> Iterator[list[Choice]]:
    """What may be there of a file; or whether each change of a folder is."""
    if isinstance(node, File):
        yield [(node, contents) for contents in contents_left(node)]
    else:
        for place in range(len(node.pending)):
            yield [((node, place), False), ((node, place), True)]


def chosen(choices: list[list[Choice]]) -> Iterator[tuple[Choice, ...]]:
    """Combinations: all if they are few, or else none, all, and each alone with none or all of the others."""
    if prod(map(len, choices)) <= AT_ONCE:
        yield from product(*choices)
        return
    for others in (0, -1):
        usual = [choice[others] for choice in choices]
        yield tuple(usual)
        for place, choice in enumerate(choices):
            for other in choice:
                if other is not usual[place]:
                    yield (*usual[:place], other, *usual[place + 1 :])


def contents_left(file: File) -> list[bytes]:
    """What there may be of a file: nothing that is not flushed comes first, and all of it last."""
    changes = [change for _, change in file.pending]
    if not changes:
        return [file.flushed]
    everything = written(file.flushed, changes)
    if file.whole:
        return [*dict.fromkeys([file.flushed, everything])]
    half = written(file.flushed, first_half(changes))
    return [*dict.fromkeys([file.flushed, zeroed(file.flushed, everything, changes), half, everything])]


def first_half(changes: list[Write | Truncate]) -> list[Write | Truncate]:
    """The first of them, the last one only in part."""
    *whole, last = changes[: (len(changes) + 1) // 2]
    cut = Write(last.path, last.offset, last.data[: len(last.data) // 2]) if isinstance(last, Write) else last
    return [*whole, cut]


def zeroed(flushed: bytes, everything: bytes, changes: list[Write | Truncate]) -> bytes:
    """As long as if all was there, but with zeros where the file has become longer. What was there is not lost."""
    kept = min([len(flushed), *(change.length for change in changes if isinstance(change, Truncate))])
    return flushed[:kept] + bytes(len(everything) - kept)


def all_nodes(folder: Folder) -> Iterator[Node]:
    """Whatever may be there, each once."""
    seen: dict[int, Node] = {}
    waiting: list[Node] = [folder]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        if isinstance(node, Folder):
            waiting += node.flushed.values()
            waiting += [one for _, names in node.pending for one in names.values() if one is not None]
    return iter(seen.values())


def tree_of(folder: Folder, chosen: Mapping[object, object], prefix: str = "") -> Iterator[tuple[str, bytes | None]]:
    """What is there, if that is chosen."""
    there = [names for place, (_, names) in enumerate(folder.pending) if chosen.get((folder, place))]
    for name, node in names_after(folder, there).items():
        path = f"{prefix}{name}"
        if isinstance(node, File):
            yield path, chosen[node]  # type: ignore[misc]
        else:
            yield path, None
            yield from tree_of(node, chosen, f"{path}/")


def within(path: str, folder: str) -> bool:
    """Is it that folder, or in it?"""
    return path == folder or path.startswith(f"{folder}/")
