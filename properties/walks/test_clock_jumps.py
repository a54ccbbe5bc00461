"""The system's clock is set while backups are open: nothing ends early for that, and what has a deadline still ends."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

import pytest

from harness.building.build import Build
from harness.machine.scratch import program_folder
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session

pytestmark = pytest.mark.server
PATIENCE = 30.0

DAY = timedelta(days=1)
JUMPS = {"forwards": "+1d", "backwards": "-1d"}
SHORT, LONG = "3 s", "1 h"
"""Times to live: one to wait for, and one that is over after a jump and not before."""


@pytest.fixture
def server(release: Build, only_the_extension: None) -> Iterator[tuple[Cluster, Path]]:
    """A server of the release flavour, and the file that says by how much its clock is wrong."""
    with wrong_clock(release) as (build, offset), open_cluster(build) as server:
        yield server, offset


@contextmanager
def wrong_clock(build: Build, *, monotonic: bool = False) -> Iterator[tuple[Build, Path]]:
    """A server whose clock can be set: the library libfaketime is loaded into it.

    ``monotonic``: its monotonic clock, too, as if so much time had passed.
    """
    spec = find_spec("libfaketime")
    assert spec is not None
    assert spec.origin is not None
    folder = program_folder() / "clock"
    folder.mkdir(exist_ok=True)
    library, offset = folder / "libfaketime.so.1", folder / "offset"
    copyfile(Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / library.name, library)
    library.chmod(0o755)
    offset.write_text("+0\n")
    environment = {
        "LD_PRELOAD": ":".join(filter(None, (build.environment.get("LD_PRELOAD"), str(library)))),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": str(int(not monotonic)),
        "FAKETIME_DONT_FAKE_MONOTONIC": str(int(not monotonic)),
        "FAKETIME_DISABLE_SHM": "1",
        "NO_FAKE_STAT": "1",
    }
    yield replace(build, environment={**build.environment, **environment}), offset


def jump(session: Session, offset: Path, by: str) -> None:
    """Sets the server's clock; raises AssertionError if it is not set then."""
    offset.write_text(f"{by}\n")
    ((now,),) = session.execute("SELECT clock_timestamp()")
    away = now - datetime.now(UTC)
    wanted = DAY if by.startswith("+") else -DAY
    assert abs(away - wanted) < DAY / 24, f"the server's clock is {away} from the right time"


def states(session: Session) -> dict[str, str]:
    return dict(session.execute("SELECT label, state FROM shared_backups"))


@pytest.mark.parametrize("direction", JUMPS)
def test_a_jump_ends_no_backup_and_keeps_none_from_expiring(server: tuple[Cluster, Path], direction: str) -> None:
    cluster, offset = server
    session = cluster.connect()
    session.execute("CREATE EXTENSION shared_backup")
    for label, ttl in (("short", SHORT), ("long", LONG)):
        session.execute("SELECT shared_backup_start(%s, true, %s::interval)", (label, ttl))
    jump(session, offset, JUMPS[direction])
    assert states(session)["long"] == "active"
    cluster.wait_until(lambda: states(session)["short"] == "expired", PATIENCE, "the backup to expire")
    assert states(session)["long"] == "active"

    session.execute("SELECT shared_backup_start('after', true, %s::interval)", (SHORT,))
    cluster.wait_until(lambda: states(session)["after"] == "expired", PATIENCE, "a backup started afterwards to expire")
    session.execute("SELECT shared_backup_stop('long', false)")
    ((least, most),) = session.execute("SELECT min(start_time), max(stop_time) FROM shared_backups")
    assert timedelta(0) < most - least < timedelta(minutes=30), "times are by another clock"
    session.close()


@pytest.mark.parametrize("ending", ["a process crashes", "fast", "crash"])
@pytest.mark.parametrize("direction", JUMPS)
def test_a_server_that_comes_up_again_goes_by_the_system_s_clock_of_then(
    server: tuple[Cluster, Path], direction: str, ending: str
) -> None:
    cluster, offset = server
    session = cluster.connect()
    session.execute("CREATE EXTENSION shared_backup")
    jump(session, offset, JUMPS[direction])
    if ending == "a process crashes":
        crash_a_process(cluster, session)
    else:
        session.close()
        cluster.restart(ending)
    session = cluster.connect()
    query = "SELECT clock_timestamp() - start_time FROM shared_backup_start('a', true), shared_backups"
    ((away,),) = session.execute(query)
    assert abs(away) < DAY / 24, f"the extension's clock is {away} behind the server's"
    session.close()


def crash_a_process(cluster: Cluster, session: Session) -> None:
    """Kills a session's process, and waits until the server has restarted by itself."""
    ((victim,),) = session.execute("SELECT pg_backend_pid()")
    position = cluster.log_position()
    os.kill(victim, signal.SIGKILL)
    ready = "database system is ready to accept connections"
    cluster.wait_until(lambda: ready in cluster.log_since(position), PATIENCE, "the server to restart")
    session.close()


@pytest.mark.parametrize("step", ["+50", "-50", "+1d", "-1d"])
def test_between_two_moments_lies_as_much_time_as_has_passed(server: tuple[Cluster, Path], step: str) -> None:
    """However far the clock is set between them: a little, as somebody may who keeps it right, or much."""
    cluster, offset = server
    session = cluster.connect()
    session.execute("CREATE EXTENSION shared_backup")
    began = time.monotonic()
    first = started(session, "first")
    offset.write_text(f"{step}\n")
    second = started(session, "second")
    passed, most = second - first, timedelta(seconds=time.monotonic() - began)
    assert timedelta(0) <= passed <= most, f"{passed} have passed, it says"
    session.close()


def started(session: Session, label: str) -> datetime:
    """When the backup was started, as the view has it."""
    query = "SELECT start_time FROM shared_backup_start(%s, true), shared_backups WHERE label = %s"
    ((start_time,),) = session.execute(query, (label, label))
    assert isinstance(start_time, datetime)
    return start_time


@pytest.mark.parametrize("days", [1, 100])
def test_a_server_that_has_been_up_for_long_goes_by_the_same_clock(
    release: Build, only_the_extension: None, days: int
) -> None:
    with wrong_clock(release, monotonic=True) as (build, offset), open_cluster(build) as cluster:
        session = cluster.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.execute("SELECT shared_backup_start('over', true, %s)", (timedelta(days=days) - DAY / 2,))
        first = started(session, "first")
        offset.write_text(f"+{days}d\n")
        second = started(session, "second")
        assert abs(second - first - days * DAY) < DAY / 24
        cluster.wait_until(lambda: states(session).get("over") != "active", PATIENCE, "the backup to expire")
        session.close()


def test_all_sessions_go_by_one_clock_whatever_each_measures_time_with(
    release: Build, only_the_extension: None
) -> None:
    """Since PostgreSQL 19 each session may choose: the system's monotonic clock, or a counter of the processor."""
    with open_cluster(release) as cluster:
        session = cluster.connect()
        sources = session.execute("SELECT unnest(enumvals) FROM pg_settings WHERE name = 'timing_clock_source'")
        if not sources:
            pytest.skip(f"PostgreSQL {release.postgres.major} leaves its sessions no choice")
        session.execute("CREATE EXTENSION shared_backup")
        session.execute("SELECT shared_backup_start('a', true)")
        began, first = time.monotonic(), renewed(session)
        for (source,) in sources:
            session.execute(f"SET timing_clock_source = {source}")
            passed, most = renewed(session) - first, timedelta(seconds=time.monotonic() - began)
            assert timedelta(0) <= passed <= most, f"{passed} have passed, says a session that goes by {source}"
        session.close()


def renewed(session: Session) -> datetime:
    """The new deadline of the backup, which is as far away as it was the last time."""
    ((deadline,),) = session.execute(f"SELECT shared_backup_renew('a', interval '{LONG}')")
    assert isinstance(deadline, datetime)
    return deadline
