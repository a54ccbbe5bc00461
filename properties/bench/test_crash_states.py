"""The states that a power cut may leave of a few files, written down by hand: those, and no others."""

from pathlib import PurePosixPath

import pytest

from harness.faults.crash_states import AT_ONCE, Disk, File, Folder, Tree, Watched, all_there, states
from harness.faults.journal import Action, Create, Event, Flush, MakeFolder, Remove, Rename, Truncate, Write

WATCHED = Watched(frozenset({"d"}), frozenset({"wal"}), frozenset({"control"}))
OLD, NEW = b"old", b"newer"


def after(*actions: Action, files: Tree | None = None) -> Disk:
    """These files, all on the disk, in folders that are there; and then one action after the other."""
    disk = Disk(WATCHED, Folder({"d": Folder(), "wal": Folder(), "control": File(whole=True, flushed=OLD)}))
    for path, contents in (files or {}).items():
        folder = disk.find(str(PurePosixPath(path).parent))
        assert isinstance(folder, Folder)
        folder.flushed[PurePosixPath(path).name] = File(whole=False, flushed=contents or b"")
    for number, action in enumerate(actions):
        event = Event(1, 2 * number, 2 * number + 1, action)
        disk.begin(event)
        disk.end(event)
    return disk


def left(disk: Disk) -> list[dict[str, bytes | None]]:
    """What may be left of the folder that is watched, without the folder itself."""
    trees = [{path: tree[path] for path in tree if path.startswith("d/")} for tree in states(disk).trees]
    return [tree for place, tree in enumerate(trees) if tree not in trees[:place]]


def replace(*, flush_file: bool = True, flush_folder: bool = True) -> list[Action]:
    """A file is replaced by a new one, with all flushes that this takes, or without one of them."""
    flush_new: list[Action] = [Flush("d/new")] if flush_file else []
    flush_names: list[Action] = [Flush("d")] if flush_folder else []
    return [Create("d/new"), Write("d/new", 0, NEW), *flush_new, Rename("d/new", "d/file"), *flush_names]


def test_a_file_that_is_replaced_with_all_flushes_is_the_new_one() -> None:
    assert left(after(*replace(), files={"d/file": OLD})) == [{"d/file": NEW}]


def test_a_rename_that_is_not_flushed_leaves_the_old_file_or_the_new_one() -> None:
    found = left(after(*replace(flush_folder=False), files={"d/file": OLD}))
    assert {tree["d/file"] for tree in found} == {OLD, NEW}
    assert {"d/file": OLD, "d/new": NEW} in found, "the new file has its first name, and nothing else happened"


def test_a_file_that_is_renamed_before_it_is_flushed_may_have_anything() -> None:
    found = left(after(*replace(flush_file=False), files={"d/file": OLD}))
    assert {tree["d/file"] for tree in found} == {b"", bytes(len(NEW)), NEW[:2], NEW}


def test_a_file_that_is_removed_comes_back_until_the_folder_is_flushed() -> None:
    removed = Remove("d/file")
    assert left(after(removed, files={"d/file": OLD})) == [{"d/file": OLD}, {}]
    assert left(after(removed, Flush("d"), files={"d/file": OLD})) == [{}]


def test_the_flush_of_a_file_keeps_its_contents_and_not_its_name() -> None:
    made = Create("d/file"), Write("d/file", 0, NEW), Flush("d/file")
    assert left(after(*made)) == [{}, {"d/file": NEW}]
    assert left(after(*made, Flush("d"))) == [{"d/file": NEW}]


def test_what_is_in_a_new_folder_goes_with_it() -> None:
    """Its own flush does not keep its name, as long as the folder above is not flushed."""
    disk = after(Remove("d"), Flush("."), MakeFolder("d"), Create("d/file"), Write("d/file", 0, NEW), Flush("d/file"))
    disk.end(Event(1, 100, 101, Flush("d")))
    assert left(disk) == [{}, {"d/file": NEW}]
    assert {"d" in tree for tree in states(disk).trees} == {True, False}
    disk.end(Event(1, 102, 103, Flush(".")))
    assert left(disk) == [{"d/file": NEW}]


def test_a_flush_covers_what_had_ended_when_it_began() -> None:
    disk = after(files={"d/file": OLD})
    disk.begin(Event(1, 0, 5, Write("d/file", 0, NEW)))
    disk.end(Event(2, 3, 4, Flush("d/file")))
    assert {"d/file": OLD} in left(disk), "it was being written when the flush began"
    disk.end(Event(2, 6, 7, Flush("d/file")))
    assert left(disk) == [{"d/file": NEW}]


def test_what_was_there_is_not_lost_when_it_is_written_again() -> None:
    found = left(after(Write("d/file", 0, b"oldest"), files={"d/file": OLD}))
    assert {tree["d/file"] for tree in found} == {OLD, b"old\0\0\0", b"oldest"}


def test_a_file_that_is_cut_and_written_again_may_be_empty() -> None:
    found = left(after(Truncate("d/file", 0), Write("d/file", 0, NEW), files={"d/file": OLD}))
    assert {tree["d/file"] for tree in found} == {OLD, b"", bytes(len(NEW)), NEW}


def test_of_wal_the_contents_are_uncertain_and_not_the_names() -> None:
    disk = after(Create("wal/1"), Write("wal/1", 0, NEW))
    assert {tree["wal/1"] for tree in states(disk).trees} == {b"", bytes(len(NEW)), NEW[:2], NEW}


def test_a_file_that_is_written_in_one_piece_is_old_or_new() -> None:
    assert {tree["control"] for tree in states(after(Write("control", 0, NEW))).trees} == {OLD, NEW}


@pytest.mark.parametrize("number", [6, 7])
def test_of_many_uncertain_names_all_combinations_are_tried_or_those_left_out_are_counted(number: int) -> None:
    disk = after(*(Create(f"d/{name}") for name in range(number)))
    found = states(disk)
    few = 2**number <= AT_ONCE
    assert found.left_out == (0 if few else 2**number - 2 * (1 + number))
    sizes = sorted(len(tree) for tree in left(disk))
    assert sizes[0] == 0, "none"
    assert sizes[-1] == number, "all"
    assert sizes.count(1) == number, "each alone there"
    assert sizes.count(number - 1) == number, "each alone missing"
    assert len(all_there(disk)) == 3 + number
