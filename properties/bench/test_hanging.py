"""A property that hangs fails, and what hung does not hang whoever comes next."""

import time

import pytest

from harness.building.build import Build
from harness.server.cluster import open_cluster
from harness.server.session import SqlError
from properties.recording.tally import Tally
from properties.support.hanging import HangError, watched

PATIENCE = 0.5
"""Seconds."""


@pytest.mark.parametrize("counting", [None, Tally()], ids=["counts nothing ever", "counts nothing now"])
def test_what_counts_nothing_for_too_long_hangs(counting: Tally | None) -> None:
    with pytest.raises(HangError, match="nothing has gone on for"), watched(counting, PATIENCE):
        time.sleep(100 * PATIENCE)


def test_what_goes_on_may_take_as_long_as_it_likes() -> None:
    tally = Tally()
    with watched(tally, PATIENCE):
        until = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < until:
            tally.steps += 1
    time.sleep(2 * PATIENCE)  # and nobody looks any more


def test_hypothesis_does_not_take_it_for_a_failing_example() -> None:
    assert not issubclass(HangError, Exception)


@pytest.mark.server
def test_the_server_that_hangs_begins_anew(instrumented: Build) -> None:
    with open_cluster(instrumented) as server:
        session, postmaster = server.connect(), server.pid
        with pytest.raises(HangError), watched(Tally(), PATIENCE):
            session.execute("SELECT pg_sleep(600)")
        assert server.pid not in (None, postmaster)
        with pytest.raises(SqlError):
            session.execute("SELECT 1")
        assert server.connect().execute("SELECT 1") == [(1,)]
