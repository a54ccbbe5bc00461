"""Killed while a state file is written or removed, a backup is where the model allows it to be, and all is well.

The first kill strikes at each step of each operation that changes files, the second at each step of the reaper that
takes up what the files say. That may end in other ways, too, and then begins anew.
"""

from collections.abc import Iterator
from functools import partial

import pytest

from harness.building.build import Build
from harness.faults.nemesis import KILL_OF_THE_POSTMASTER, Fault
from harness.server import durable
from harness.server.cluster import open_cluster
from harness.server.tablespaces import add_tablespace
from model.operations import Hazard
from properties.durable.killed import AGAIN, CANCELLED, FAILED, KILLS, TERMINATED, Killing
from properties.durable.lockstep import LONG_GAP
from properties.durable.writing import (
    ENDING,
    REPLACING,
    WAY_OF_LOSING,
    WAY_OF_RESUMING,
    places,
    steps,
    way_of_resuming,
)
from properties.faults.trials import Case, survive_all
from properties.recording.tally import Tally
from properties.support.servers import PROBED

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]


@pytest.fixture(scope="module")
def killing(instrumented: Build, durable_backups: None) -> Iterator[Killing]:
    with open_cluster(instrumented, settings={**PROBED, **durable.SETTINGS, **LONG_GAP}) as cluster:
        killing = Killing(cluster)
        add_tablespace(cluster, killing.admin, "space")  # so that a stop hands out a map of tablespaces, too
        yield killing


each_kill = pytest.mark.parametrize("kill", KILLS, ids=lambda kill: kill.name.replace(" ", "-"))


@each_kill
def test_killed_at_every_step(kill: Fault, killing: Killing, tally: Tally) -> None:
    """... of writing and removing the file of a backup."""
    survive_all(
        killing,
        tally,
        (Case(kill.name, place.step.point, partial(killing.kill, kill, place), str(place)) for place in places()),
    )


@each_kill
def test_killed_again_when_the_server_takes_it_up(
    kill: Fault, killing: Killing, tally: Tally, exhaustive: bool
) -> None:
    """... at every step of that."""
    survive_all(
        killing,
        tally,
        (
            Case(AGAIN.format(kill.name), second.point, partial(killing.kill, kill, place, second), str(place))
            for place in places()
            if kill is not KILL_OF_THE_POSTMASTER or place.surely_left
            if exhaustive or (place.step.left in (ENDING, REPLACING) and place.step.point == "file-renamed")
            for second in steps(way_of_resuming(place))
        ),
    )


@each_kill
@pytest.mark.parametrize("hazard", [Hazard.PAGE_WRITES_OFF, Hazard.ABSENCE], ids=str)
def test_what_is_lost_stays_lost(kill: Fault, hazard: Hazard, killing: Killing, tally: Tally, exhaustive: bool) -> None:
    """... if the server is killed while it finds that out, and nothing is wrong with the next start."""
    survive_all(
        killing,
        tally,
        (
            Case(kill.name, second.point, partial(killing.kill_loser, kill, second, hazard), f"lost by {hazard}")
            for second in steps(WAY_OF_LOSING)
            if exhaustive or kill is KILLS[second.number % 2]
        ),
    )


BRIEFLY = {
    CANCELLED: ("resume-begun", "resume-held", "resume-decided", "resume-done"),
    TERMINATED: ("resume-begun",),  # from then on it has what it needs, and goes on to the end
    FAILED: ("file-written",),  # as if the disk were full
}
"""Points where the reaper is made to end if there is little time: it takes the next one a second to come."""


def test_a_reaper_that_ends_begins_anew(killing: Killing, tally: Tally, exhaustive: bool) -> None:
    """... at any step, holds core once, and loses nothing."""
    survive_all(
        killing,
        tally,
        (
            Case(
                ending, second.point, partial(killing.end_reaper, ending, second), f"step {second.number} of taking up"
            )
            for ending in BRIEFLY
            for second in steps(WAY_OF_RESUMING)
            if (exhaustive or second.point in BRIEFLY[ending])
            and (ending != FAILED or killing.points.may_fail(second.point))
        ),
    )
