"""A server that ran without the extension, in whatever way and however it ended, has lost its durable backups.

The extension leaves an empty folder among the replication slots after each of its starts, which core removes at every
start, also in single-user mode; and it flushes that before it writes any WAL.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle, product
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from harness.building.build import Build
from harness.faults.foreign import postmaster_life, single_user_life
from harness.restore.snapshot import Pace
from harness.restore.workload import transfers
from harness.server.durable import configured
from harness.server.node import give
from model.operations import Hazard
from properties.durable.handmade import control_file_of_another
from properties.durable.judged import check_lost_or_whole
from properties.durable.lockstep import DurableServer, Fall, durable_server, read_reserve
from properties.durable.losses import ABSENCE
from properties.recording.tally import Tally
from properties.support.restoring import TORN, check_refusal, label_file_by_hand
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

REWRITE = ("UPDATE reserve SET ballast = repeat('f', 100) WHERE part % 2 = 1", "CHECKPOINT")
"""Pages that no WAL of the backup has are changed without images, and written."""
Life = Callable[..., None]
LIVES: dict[str, Life] = {
    "a life without the extension, killed": postmaster_life,
    "a life with durable off, killed": partial(postmaster_life, durable_off=True),
    "a life in single-user mode without the extension": partial(single_user_life, killed=False),
    "a life in single-user mode without the extension, killed": partial(single_user_life, killed=True),
}
FALLS = (Fall.FAST, Fall.IMMEDIATE, Fall.POSTMASTER)
OLD_MARK = Path("base", "pgsql_tmp", "pgsql_tmp_shared_backup")
"""What earlier versions left for core to remove; core does not flush that, so that a power cut can bring it back."""


class Case(NamedTuple):
    """A foreign life."""

    life: str
    fall: Fall
    """How the server went down before it."""
    slots: str
    """max_replication_slots; with 0, nobody can keep WAL."""

    def __str__(self) -> str:
        return f"{self.fall}, {self.life}, {self.slots} slots"


CASES = tuple(Case(*pair, slots) for pair, slots in zip(product(LIVES, FALLS), cycle(("10", "0")), strict=False))


def fall_and_live(here: DurableServer, case: Case, *lives: Callable[[], object]) -> None:
    """The server falls, lives these lives, and comes up with the extension; the view is not compared yet."""

    def live() -> None:
        for life in lives:
            life()

    here.backups.fall(case.fall, Hazard.ABSENCE, but=case.life, while_down=live, compare=False)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_life_without_the_extension_loses_backups(instrumented: Build, tally: Tally, case: Case) -> None:
    """The same copy, handed out nevertheless, is torn."""
    with durable_server(instrumented, tally, {"max_replication_slots": case.slots}) as here:
        read_reserve(here.session)
        here.backups.start("a")
        labelfile = label_file_by_hand(here.session, "standby")
        turns: list[Callable[[], object]] = [
            *here.backups.does(transfers, chance=Random(1)),
            lambda: fall_and_live(here, case, lambda: LIVES[case.life](here.origin, REWRITE)),
            lambda: None,
        ]
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        check_lost_or_whole(here, tally, "a", snapshot, ABSENCE)
        if case.fall is Fall.IMMEDIATE:
            with configured(here.origin, {"wal_keep_size": "1GB"}):  # without a slot, nothing else keeps that backup's
                files = control_file_of_another(here, labelfile)
            survival_case = here.backups.survival_cases["a"]
            scenario = f"control: durable, {case.life}, with files made by hand"
            check_refusal(tally, scenario, here.origin, snapshot, files, TORN, survival_case=survival_case)


@pytest.mark.parametrize("fall", FALLS)
def test_a_start_that_is_killed_in_its_gap_does_not_hide_a_life(instrumented: Build, tally: Tally, fall: Fall) -> None:
    """It has left the mark, and has not yet decided what becomes of the backups."""
    life = "a life without the extension, killed"
    with durable_server(instrumented, tally) as here:
        read_reserve(here.session)
        here.backups.start("a")
        cross = lambda: here.backups.fall_twice(  # noqa: E731
            fall,
            lambda session: session.execute("SELECT"),
            Hazard.ABSENCE,
            f"{life}, and a start that was killed",
            while_down=lambda: LIVES[life](here.origin, REWRITE),
            compare=False,
        )
        snapshot = copy_while(here.origin, here.copies / "copy", [lambda: None, cross, lambda: None], Pace(rounds=1))
        check_lost_or_whole(here, tally, "a", snapshot, ABSENCE)


# Power cuts


@pytest.mark.parametrize("fall", FALLS)
@pytest.mark.parametrize("life", [life for life in LIVES if "killed" in life])
def test_a_file_that_a_power_cut_brings_back_does_not_hide_a_life(
    instrumented: Build, tally: Tally, life: str, fall: Fall
) -> None:
    """That of temporary files which core removes, and of which it flushes nothing."""
    with durable_server(instrumented, tally) as here:

        def bring_back() -> None:
            mark = here.origin.data_dir / OLD_MARK
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
            for path in (mark.parent, mark):
                give(path, here.origin.user)

        read_reserve(here.session)
        here.backups.start("a")
        case = Case(life, fall, "10")
        rewrite = lambda: LIVES[life](here.origin, REWRITE)  # noqa: E731
        turns: list[Callable[[], object]] = [
            lambda: None,
            lambda: fall_and_live(here, case, rewrite, bring_back),
            lambda: None,
        ]
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        check_lost_or_whole(here, tally, "a", snapshot, ABSENCE)
