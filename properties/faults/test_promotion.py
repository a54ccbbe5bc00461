"""A standby is promoted while a backup of it is at an injection point: it took place, or left no trace."""

from functools import partial

import pytest

from harness.building.build import Build
from harness.restore.restore import await_promotion
from harness.server.cluster import Cluster, open_cluster, open_standby
from harness.server.durable import SETTINGS, resumed
from harness.server.injection_points import POINTS, InjectionPoints
from harness.server.probes import forced_full_page_writes, prepare_probe, set_full_page_writes
from harness.server.replay import await_replay
from harness.server.session import SqlError
from properties.faults.expectations import DONE, GONE, UNDONE
from properties.faults.trials import START, WORK, end_of, kind_of, label_of
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("instruments")]

PROMOTED = "55000"
"""What core says of a backup that began before the promotion."""
PATIENCE = 30.0  # seconds
DIRTY = "CREATE TABLE dirty AS SELECT n, repeat('x', 600) AS filler FROM generate_series(1, 20000) n"
"""More pages than a checkpoint that is spread over minutes writes in the time of a promotion."""
STARTED = "SELECT state, from_standby FROM shared_backups WHERE label = 'slow'"


def promote_at(point: str, standby: Cluster, *, durable: bool) -> str:
    """Returns what the caller was told; raises AssertionError if all is not well afterwards."""
    kind = kind_of(point)
    points, caller = InjectionPoints(resumed(standby)), standby.connect()
    points.session.execute("SELECT shared_backup_clock_freeze()")
    if kind != "start":
        caller.execute(START)
    points.attach(point, label_of(point))
    pending = caller.submit(WORK[kind])
    assert points.arrived(point, label_of(point), pending.done), f"the operation ended before {point}"
    promote(standby, points)
    end = end_of(pending)
    assert end.sqlstate in (None, PROMOTED), f"the caller was told {end.sqlstate}"
    points.session.execute("SELECT shared_backup_reaper_settle()")
    rows = points.session.execute("SELECT state, from_standby FROM shared_backups WHERE label = 'held'")
    state, from_standby = rows[0] if rows else (GONE, False)
    # core has ended a backup before it says that it is of no use
    assert state in ((GONE, UNDONE[kind]) if end.sqlstate else (DONE[kind],)), f"{end.sqlstate}, and it is {state}"
    set_full_page_writes(standby, points.session, on=False)
    forced = forced_full_page_writes(points.session)
    assert forced == (state == "active"), f"{state}, and core {'counts' if forced else 'does not count'} a backup"
    points.session.execute("SELECT shared_backup_start('fresh', true)")
    points.session.execute("SELECT shared_backup_stop('fresh', false)")
    if state == "active":
        last = end_of(points.session.submit(WORK["stop"]))
        refused = PROMOTED if from_standby and not durable else None
        assert last.sqlstate == refused, f"a backup from before ended with {last.sqlstate}"
    assert not forced_full_page_writes(points.session), "core still counts a backup"
    return end.sqlstate or "ok"


def promote(standby: Cluster, points: InjectionPoints) -> None:
    """Promotes the standby, and lets go who is held at a point.

    Since PostgreSQL 19 a promotion waits for all processes to take note of it, also for one that is held where it is
    not to be interrupted.
    """
    points.session.execute("SELECT pg_promote(wait => false)")
    waits = "SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event = 'ProcSignalBarrier'"
    far = f"SELECT NOT pg_is_in_recovery() OR EXISTS ({waits})"
    standby.wait_until(lambda: points.session.execute(far) == [(True,)], PATIENCE, "the promotion")
    points.detach()
    await_promotion(standby)


@pytest.mark.parametrize("durable", [False, True], ids=["not durable", "durable"])
def test_a_promotion_at_every_point(instrumented: Build, tally: Tally, durable: bool) -> None:
    """The next backup is good, on the new timeline; and one from before can be stopped if it is durable."""
    with open_cluster(instrumented, settings=SETTINGS if durable else {}) as primary:
        session = primary.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.execute("CREATE EXTENSION shared_backup_instruments")
        prepare_probe(session)
        session.close()
        for point in POINTS:
            with open_standby(primary) as standby, tally.example():
                try:
                    tally.count_fault(
                        "promotion of a standby", point, partial(promote_at, point, standby, durable=durable)
                    )
                except (AssertionError, SqlError) as error:
                    error.add_note(f"promotion at {point}")
                    raise
                tally.steps += 1


def test_a_promotion_in_the_checkpoint_of_a_start(instrumented: Build, tally: Tally) -> None:
    """What counts is what core has gone by: the backup began on a standby, and core refuses to end it."""
    with open_cluster(instrumented, settings={"wal_keep_size": "100MB"}) as primary, tally.example():
        session = primary.connect()
        session.execute("CREATE EXTENSION shared_backup")
        with open_standby(primary) as standby:
            session.execute(DIRTY)
            session.execute("CHECKPOINT")
            admin, caller = standby.connect(), standby.connect()
            await_replay(standby, session, admin)
            pending = caller.submit("SELECT shared_backup_start('slow', false)")
            writes = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'CheckpointWriteDelay'"
            standby.wait_until(lambda: admin.execute(writes) == [(1,)], PATIENCE, "its checkpoint to begin")
            assert admin.execute("SELECT pg_promote()") == [(True,)]
            assert not pending.done(), "its checkpoint ended before the promotion"
            admin.execute("CHECKPOINT")  # at once, with the one that is under way
            pending.result(PATIENCE)
            assert admin.execute(STARTED) == [("active", True)]
            assert end_of(admin.submit("SELECT shared_backup_stop('slow', false)")).sqlstate == PROMOTED
            assert admin.execute(STARTED) == []
            for one in (admin, caller):
                one.close()
        session.close()
        tally.steps += 3
