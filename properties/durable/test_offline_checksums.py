"""Data checksums that are switched while the server is down: pages are written then, and no WAL tells of it.

A copy has pages of both kinds, so that no control file fits it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from harness.building.build import Build
from harness.restore.snapshot import Pace
from harness.restore.workload import big_update, checkpoint, transfers
from harness.server.checksums import set_checksums
from harness.server.cluster import Cluster
from harness.server.durable import resumed
from model.operations import Hazard
from properties.durable.handmade import control_file_of_another
from properties.durable.judged import check_lost_or_whole
from properties.durable.lockstep import DurableServer, Fall, change, durable_server
from properties.durable.losses import CHECKSUMS
from properties.recording.tally import Tally
from properties.support.restoring import TORN, check_refusal, check_restore, label_file_by_hand
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

UNHINTED = (
    "CREATE TABLE unhinted (number int, ballast text)",
    "INSERT INTO unhinted SELECT number, repeat('x', 100) FROM generate_series(1, 20000) number",
    "CHECKPOINT",
)
"""Rows that nobody has read since they were committed: whoever reads them first sets hint bits in their pages, and
without checksums that is in no WAL."""
READ = "SELECT count(*) FROM unhinted"


@dataclass(frozen=True)
class Switch:
    """What becomes of data checksums while a copy is made."""

    name: str
    before: bool
    """Are they on when the backup is started?"""
    shutdowns: tuple[tuple[bool, ...], ...]
    """For each shutdown, what pg_checksums is told in turn."""

    @property
    def after(self) -> bool:
        """Are they on in the end?"""
        return self.shutdowns[-1][-1]


LOST = (
    Switch("data checksums switched on", False, ((True,),)),
    Switch("data checksums switched off", True, ((False,),)),
    Switch("data checksums switched off and, a life later, on", True, ((False,), (True,))),
    Switch("data checksums switched on and, a life later, off", False, ((True,), (False,))),
)
NO_CHANGE = (
    Switch("data checksums switched off and on within one shutdown", True, ((False, True),)),
    Switch("data checksums switched on and off within one shutdown", False, ((True, False),)),
)


def begin(here: DurableServer, switch: Switch) -> None:
    """The server has checksums, or has not, as the switch begins; and a backup is started."""
    if not switch.before:
        here.session.close()
        here.origin.stop()
        set_checksums(here.origin, on=False)
        here.origin.start()
        here.backups.session = resumed(here.origin)
    for statement in UNHINTED:
        here.session.execute(statement)
    here.backups.start("a")


def switching(server: Cluster, told: tuple[bool, ...]) -> Callable[[], None]:
    """What is done while the server is down."""

    def switch() -> None:
        for on in told:
            set_checksums(server, on)

    return switch


def turns_of(here: DurableServer, switch: Switch, hazard: Hazard | None, but: str) -> list[Callable[[], object]]:
    """The lives of the server and the shutdowns between them, a part of the copy before and after each."""
    backups, chance = here.backups, Random(1)
    turns: list[Callable[[], object]] = [*backups.does(transfers, change(0), chance=chance)]
    for number, told in enumerate(switch.shutdowns, 1):
        here_lost = hazard if number == 1 else None

        def cross(told: tuple[bool, ...] = told, hazard: Hazard | None = here_lost) -> None:
            while_down = switching(here.origin, told)
            backups.fall(Fall.FAST, hazard, but=but, while_down=while_down, compare=not but)

        turns += [cross, *backups.does(transfers, checkpoint, change(number), big_update, checkpoint, chance=chance)]
        if number < len(switch.shutdowns):
            turns += [lambda: here.session.execute(READ), *backups.does(checkpoint, chance=chance), lambda: None]
    return turns


@pytest.mark.parametrize("switch", LOST, ids=lambda switch: switch.name)
def test_checksums_that_are_switched_while_the_server_is_down_lose_its_backups(
    instrumented: Build, tally: Tally, switch: Switch
) -> None:
    """The same copy, handed out with the control file of a later backup, dies; unless that says that there are no
    checksums, so that nobody looks."""
    with durable_server(instrumented, tally) as here:
        begin(here, switch)
        labelfile = label_file_by_hand(here.session, "standby")
        turns = turns_of(here, switch, Hazard.CHECKSUMS, switch.name)
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        check_lost_or_whole(here, tally, "a", snapshot, CHECKSUMS)
        if switch.after:
            files, survival_case = control_file_of_another(here, labelfile), here.backups.survival_cases["a"]
            scenario = f"control: durable, {switch.name}, with files made by hand"
            check_refusal(tally, scenario, here.origin, snapshot, files, TORN, survival_case=survival_case)


@pytest.mark.parametrize("switch", NO_CHANGE, ids=lambda switch: switch.name)
def test_checksums_that_are_as_they_were_when_the_server_is_up_again_lose_nothing(
    instrumented: Build, tally: Tally, switch: Switch
) -> None:
    with durable_server(instrumented, tally) as here:
        begin(here, switch)
        turns = turns_of(here, switch, None, "")
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        stopped = here.backups.stop("a")
        here.backups.archive()
        taken = here.origin, snapshot, stopped.files
        scenario, survival_case = f"durable, {switch.name}", here.backups.survival_cases["a"]
        for to_the_end in (False, True):
            check_restore(
                tally,
                scenario,
                *taken,
                restorable=stopped.restorable,
                to_the_end=to_the_end,
                survival_case=survival_case,
            )
