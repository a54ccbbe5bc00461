"""The reaper of a standby sleeps once no backup is open whose WAL it had to look at."""

import time

import pytest

from harness.building.build import Build
from harness.machine.processes import processor_seconds
from properties.durable.standbys import durable_standby
from properties.recording.tally import Tally
from properties.support.counts import SETTLE

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

LOOKS_AGAIN = 10.0
"""Seconds from one look to the next, while a backup is open: STANDBY_LOOK_MS in standby.c."""
WATCHED = 3.0
"""Seconds."""
LEAST_BUSY = 0.02
"""The share of a processor that whoever sleeps stays below, and whoever does not gets, even beside many others."""
REAPER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'shared_backup reaper'"


def test_the_reaper_sleeps_when_the_time_of_a_look_comes_that_is_not_needed_any_more(
    instrumented: Build, tally: Tally
) -> None:
    with durable_standby(instrumented, tally) as here:
        here.backups.start("a")
        here.backups.stop("a")
        session = here.backups.session
        session.execute(SETTLE)
        [(reaper,)] = session.execute(REAPER)
        time.sleep(LOOKS_AGAIN + 1)
        before = processor_seconds(reaper)
        time.sleep(WATCHED)
        assert processor_seconds(reaper) - before < LEAST_BUSY * WATCHED, "it is busy with nothing"
