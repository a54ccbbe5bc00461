"""A durable backup of a standby goes on over restarts of the standby, and over its promotion.

The primary protects the pages that a standby replays: so no gap is to be closed, but all WAL since the start has to be
looked at, also what was replayed before the restart.
"""

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.restore.snapshot import Pace
from properties.durable.lockstep import Fall
from properties.durable.standbys import PROMOTION, Event, durable_standby, events
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK, examples

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]


@pytest.mark.parametrize("event", [*Fall, PROMOTION])
def test_a_backup_of_a_standby_goes_on(instrumented: Build, tally: Tally, event: Event) -> None:
    """Its copy has pages from before and after, and some that are half and half."""
    with durable_standby(instrumented, tally) as here:
        here.backups.start("a")
        snapshot = here.copy([event], Pace(rounds=1))
        stopped = here.backups.stop("a")
        assert stopped.files.controlfile is not None
        here.archive()
        assert here.check("a", snapshot, stopped) > 0, "no page of the copy is torn: the load tests nothing"


def test_a_durable_backup_of_a_standby_is_restored_as_it_was_at_its_stop(instrumented: Build, tally: Tally) -> None:
    """Whatever happens to the standby, in any order, and what does after the promotion."""
    pace = st.builds(Pace, st.integers(0, 999), st.sampled_from([1024, 2048, 4096]), st.sampled_from([1, 1, 2]))

    @settings(max_examples=examples(1 / 40, at_least=2, at_most=100), phases=UNSHRUNK)
    @given(events(), pace, st.booleans())
    def take_and_restore(happened: tuple[Event, ...], pace: Pace, to_the_end: bool) -> None:
        note(f"{', '.join(happened)}")
        with durable_standby(instrumented, tally) as here:
            here.backups.start("a")
            snapshot = here.copy(happened, pace)
            stopped = here.backups.stop("a")
            again = here.backups.stop("a")
            assert again.files == stopped.files
            here.write()
            here.archive()
            here.check("a", snapshot, stopped, to_the_end=to_the_end)

    take_and_restore()
