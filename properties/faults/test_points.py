"""Injection points: a process waits there for as long as a test likes, or fails, and whatever it was at is undone."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from harness.building.build import Build
from harness.clients.client import Client
from harness.server.cluster import Cluster
from harness.server.injection_points import (
    ABORTING,
    ALL_POINTS,
    EXPIRING,
    POINTS,
    STARTING,
    STOPPING,
    InjectionPoints,
)
from harness.server.probes import forced_full_page_writes
from harness.server.session import Session, SqlError
from model.scope import CAROL
from properties.faults.trials import START, WORK, kind_of, label_of
from properties.recording.tally import Tally

pytestmark = pytest.mark.server
PATIENCE = 30.0

SHOWN = {
    "start": ["starting"],
    "start-requested": ["active"],  # the worker does not wait
    "start-published": ["active"],
    "start-accepted": ["active"],
    "stop": ["stopping"],
    "stop-published": ["stopped"],
    "stop-waiting-archive": ["stopped"],
    "abort": ["stopping"],
    "reaper": ["expired"],
}
"""What the view shows of a backup that somebody holds at that point, or at one whose name begins like that."""

HELD_OFF = ("stop-core-ended", "abort-claimed", "abort-released")
"""Points where the session leaves a request to cancel for later."""

LEFT = {
    "start": [],
    "start-requested": ["active"],  # the worker does not wait
    "start-published": ["active"],
    "start-accepted": ["active"],
    "stop-claimed": ["active"],
    "stop": ["stopped"],
    "abort": [],
}
"""What the view shows after an operation was cancelled at that point, or at one whose name begins like that."""

LOST: dict[str, list[str]] = {"stop-core-ended": [], "start-requested": []}
"""The same after an error, where that makes a difference: core has lost the backup, the worker has not begun yet."""


@pytest.fixture
def points(instruments: None, client: Client) -> Iterator[InjectionPoints]:
    """The points, none of them attached, on a server without backups; ``held`` is the label."""
    client.afresh()
    points = InjectionPoints(client.admin)
    yield points
    points.detach()
    client.admin.execute("SELECT shared_backup_reaper_settle()")
    client.clear()


@pytest.fixture
def user(cluster: Cluster, points: InjectionPoints) -> Iterator[Session]:
    session = cluster.connect()
    yield session
    session.close()


def prepare(point: str, user: Session) -> str:
    """Makes everything ready for the operation that comes to a point, and returns that."""
    kind = kind_of(point)
    user.execute("SELECT shared_backup_clock_freeze()")
    if kind != "start":
        user.execute(START)
    return WORK[kind]


def states_in_view(points: InjectionPoints) -> list[str]:
    return [row[0] for row in points.session.execute("SELECT state FROM shared_backups WHERE label = 'held'")]


def by_point(table: dict[str, list[str]], point: str) -> list[str]:
    return table.get(point, table.get(kind_of(point), []))


def expect(points: InjectionPoints, states: list[str]) -> None:
    """The view shows that of the backup, and core counts it exactly if it is active."""
    assert states_in_view(points) == states
    forced = forced_full_page_writes(points.session)
    assert forced == (states == ["active"]), f"core {'forces' if forced else 'does not force'} full-page writes"


def test_the_tests_know_every_point(points: InjectionPoints) -> None:
    assert sorted(points.names()) == sorted(ALL_POINTS)


def test_the_release_flavour_has_no_points(points: InjectionPoints, release: Build, instrumented: Build) -> None:
    """Neither code nor names."""
    inside = {build: (build.stage / "lib" / "shared_backup.so").read_bytes() for build in (release, instrumented)}
    for name in (*ALL_POINTS, "PointReached"):
        assert name.encode() in inside[instrumented], f"the instrumented flavour has no {name}"
        assert name.encode() not in inside[release], f"the release flavour has {name}"
    nm = ["nm", "--defined-only", str(release.stage / "lib" / "shared_backup.so")]  # what it calls is not its own
    symbols = subprocess.run(nm, capture_output=True, text=True).stdout
    assert "shared_backup_start" in symbols, "nm shows no symbols"
    # Nor is DatumGetPointer(), which is a symbol only in a build that does not inline (--gcov).
    assert not [line for line in symbols.splitlines() if re.search("point(?!er)", line.lower())]


@pytest.mark.parametrize("point", POINTS)
def test_whoever_comes_to_a_point_waits_until_let_go(
    point: str, cluster: Cluster, points: InjectionPoints, user: Session, tally: Tally
) -> None:
    with tally.example():
        points.attach(point, label_of(point))
        pending = user.submit(prepare(point, user))
        points.arrived(point, label_of(point), pending.done)
        assert not pending.done(), f"the operation did not stop at {point}"
        cluster.wait_until(lambda: states_in_view(points) == by_point(SHOWN, point), PATIENCE, "the view to show that")
        assert points.wakeup(point) == 1
        pending.result(PATIENCE)
        assert [attached.passed for attached in points.attached()] == [1]
        tally.steps += 1


@pytest.mark.parametrize("point", [*STARTING, *STOPPING, *ABORTING])
def test_an_operation_cancelled_at_a_point(
    point: str, cluster: Cluster, points: InjectionPoints, user: Session, tally: Tally
) -> None:
    """... leaves no trace, or has taken place: that is so as soon as others can see it."""
    with tally.example():
        points.attach(point)
        pending = user.submit(prepare(point, user))
        points.arrived(point)
        cluster.wait_until(lambda: states_in_view(points) == by_point(SHOWN, point), PATIENCE, "the view to show that")
        pending.cancel()
        if point in HELD_OFF:
            points.session.execute("SELECT pg_sleep(0.05)")
            assert not pending.done(), f"the operation was cancelled at {point}"
            points.detach()
        with pytest.raises(SqlError, match="57014"):
            pending.result(PATIENCE)
        tally.steps += 1
    assert not points.waiting(point), "a process that has gone is said to wait"
    expect(points, by_point(LEFT, point))


@pytest.mark.parametrize("point", [point for point in (*STARTING, *STOPPING) if point != "start-published"])
def test_an_error_injected_at_a_point(point: str, points: InjectionPoints, user: Session, tally: Tally) -> None:
    """... happens once, and the operation leaves no trace, or has taken place, or (once core is entered) is lost.

    The caller is told all of it, also where a worker has failed.
    """
    with tally.example():
        work = prepare(point, user)
        points.attach(point, action="error")
        if point == "start-requested":
            points.attach("start-taken")  # or the worker may be faster
        with pytest.raises(SqlError, match=f'XX000: error injected at point "{point}"') as failure:
            user.execute(work)
        said = (failure.value.detail, failure.value.hint)
        assert said == (f'A test has attached to the point "{point}".', f'Detach from the point "{point}".')
        if point == "start-requested":
            points.detach("start-taken")
        expect(points, LOST.get(point, by_point(LEFT, point)))
        tally.steps += 1
        if states_in_view(points) != ["active"] and point != "stop-core-ended":
            user.execute(work)
        assert [attached.passed for attached in points.attached()] == [1]


def test_an_error_injected_into_the_reaper_is_made_up_for(
    points: InjectionPoints, user: Session, cluster: Cluster, tally: Tally
) -> None:
    """... by the next one."""
    with tally.example():
        expire = prepare("reaper-expiring", user)
        points.attach("reaper-expiring", "held", "error")
        user.execute(expire)
        tally.steps += 1
    expect(points, ["expired"])
    assert [attached.passed for attached in points.attached()] == [1]


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("point", ["start-point-taken", "stop-core-ended", "abort-claimed", *EXPIRING])
def test_the_server_can_be_shut_down_while_somebody_waits(
    point: str, points: InjectionPoints, client: Client, tally: Tally
) -> None:
    """... also where he can not be cancelled."""
    with tally.example():
        user = client.cluster.connect()
        points.attach(point)
        pending = user.submit(prepare(point, user))
        points.arrived(point, over=pending.done)
        client.sessions = []
        client.restart("fast")
        points.session = client.admin
        with pytest.raises(SqlError):
            pending.result(PATIENCE)
        user.close()
        tally.steps += 1
    expect(points, [])


def test_an_unknown_point_is_refused(points: InjectionPoints) -> None:
    for call in (
        "shared_backup_injection_point_attach",
        "shared_backup_injection_point_wakeup",
        "shared_backup_injection_point_detach",
    ):
        with pytest.raises(SqlError) as refusal:
            points.session.execute(f"SELECT {call}('stop-clamed')")
        assert refusal.value.sqlstate == "42704"
        assert all(name in str(refusal.value.hint) for name in POINTS)


def test_an_error_is_refused_where_the_code_can_not_fail(points: InjectionPoints) -> None:
    safe = [point for point in POINTS if not points.may_fail(point)]
    assert safe == ["start-published", "abort-claimed", "abort-released", "reaper-expired"]
    for point in safe:
        with pytest.raises(SqlError, match="22023"):
            points.attach(point, action="error")


def test_points_are_no_business_of_ordinary_users(points: InjectionPoints, client: Client) -> None:
    client.make_roles((CAROL,))
    carol = client.cluster.connect(CAROL.name)
    for call in ("_attach('stop-claimed')", "_wakeup('stop-claimed')", "_detach()", "s()"):
        with pytest.raises(SqlError, match="42501"):
            carol.execute(f"SELECT shared_backup_injection_point{call}")
    carol.close()
