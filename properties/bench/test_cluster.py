"""The ground that every property stands on: servers come up, go down in every way, and leave nothing behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from harness.building.build import Build, Flavour, build
from harness.machine.postgres import Postgres
from harness.machine.processes import descendants, hear_signals, runs
from harness.machine.project import ROOT
from harness.server.changes import changed
from harness.server.cluster import Cluster, ClusterError, open_cluster, open_standby
from harness.server.durable import configured
from harness.server.session import SqlError
from properties.bench.toy import write_toy

pytestmark = pytest.mark.server

FUNCTION = """
PG_FUNCTION_INFO_V1(answer);
Datum answer(PG_FUNCTION_ARGS) { PG_RETURN_INT32(42); }
"""


@pytest.fixture(scope="module")
def toy(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A build of an extension with one function: these tests are about the harness, not about backups."""
    declared = "CREATE FUNCTION answer() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';\n"
    folder = write_toy(tmp_path_factory.mktemp("toy"), declared, FUNCTION)
    return build(postgres, Flavour.RELEASE, folder / "cache", sources=folder)


@pytest.fixture(scope="module")
def cluster(toy: Build) -> Iterator[Cluster]:
    with open_cluster(toy, settings={"work_mem": "7MB"}, archive=True) as opened:
        opened.connect().execute("CREATE EXTENSION shared_backup")
        yield opened


@pytest.fixture(autouse=True)
def _running(cluster: Cluster) -> None:
    if cluster.pid is None:
        cluster.start()


def value(cluster: Cluster, sql: str) -> object:
    """The single value that a query gives in a session of its own."""
    session = cluster.connect()
    try:
        return session.execute(sql)[0][0]
    finally:
        session.close()


def test_extension_is_loaded(cluster: Cluster) -> None:
    assert value(cluster, "SELECT answer()") == 42
    assert value(cluster, "SHOW shared_preload_libraries") == "shared_backup"
    assert value(cluster, "SHOW work_mem") == "7MB"


@pytest.mark.parametrize("kind", ["fast", "immediate", "crash"])
def test_restart(cluster: Cluster, kind: str) -> None:
    session, before = cluster.connect(), cluster.pid
    assert before is not None
    children = descendants(before)
    assert session.pid in children
    cluster.connect().execute("CREATE TABLE kept AS SELECT 1; SELECT pg_switch_wal()")
    position = cluster.log_position()
    cluster.restart(kind)
    assert cluster.pid not in (None, before)
    assert not any(runs(pid) for pid in (before, *children))
    assert value(cluster, "SELECT count(*) FROM kept") == 1
    cluster.connect().execute("DROP TABLE kept")
    assert ("automatic recovery in progress" in cluster.log_since(position)) == (kind != "fast")
    with pytest.raises(SqlError):
        session.execute("SELECT 1")
    assert not session.usable


def test_stop_and_start(cluster: Cluster) -> None:
    cluster.stop()
    assert cluster.pid is None
    with pytest.raises(SqlError, match="08006"):
        cluster.connect()
    with pytest.raises(ClusterError, match="not running"):
        cluster.stop()
    cluster.start()
    with pytest.raises(ClusterError, match="running already"):
        cluster.start()


def test_start_after_someone_else_killed_the_postmaster(cluster: Cluster) -> None:
    session = cluster.connect()
    assert cluster.pid is not None
    os.kill(cluster.pid, signal.SIGKILL)
    cluster.wait_until(lambda: cluster.pid is None, 10, "the postmaster to die")
    cluster.start()
    assert value(cluster, "SELECT answer()") == 42
    session.close()


def test_a_server_that_does_not_start_says_why(cluster: Cluster) -> None:
    cluster.stop()
    with configured(cluster, {"max_connections": "0"}), pytest.raises(ClusterError, match="max_connections"):
        cluster.start()
    cluster.start()


def test_reload_reaches_idle_sessions(cluster: Cluster) -> None:
    session = cluster.connect()
    for setting in ("it's", "C:\\new", "plain"):
        with changed(cluster, {"cluster_name": "shared", "bench.note": setting}):
            assert session.execute("SHOW bench.note") == [(setting,)]


def test_the_server_is_the_one_that_was_named(cluster: Cluster, postgres: Postgres) -> None:
    assert value(cluster, "SHOW server_version") == postgres.version_string


def test_archive(cluster: Cluster) -> None:
    name = value(cluster, "SELECT pg_walfile_name(pg_current_wal_lsn())")
    cluster.connect().execute("CREATE TABLE archived (); DROP TABLE archived; SELECT pg_switch_wal()")
    assert cluster.archive_dir is not None
    archived = cluster.archive_dir / str(name)
    cluster.wait_until(archived.exists, 30, "the segment to be archived")


def test_standby(cluster: Cluster) -> None:
    with open_standby(cluster) as standby:
        assert value(standby, "SELECT pg_is_in_recovery()")
        cluster.connect().execute("CREATE TABLE copied AS SELECT 1")
        replicated = "SELECT count(*) = 1 FROM pg_class WHERE relname = 'copied'"
        standby.wait_until(lambda: value(standby, replicated) is True, 30, "the table to arrive")
        standby.restart("fast")
        assert value(standby, "SELECT count(*) FROM copied") == 1
    cluster.connect().execute("DROP TABLE copied")
    assert not standby.folder.exists()


# Sessions


def test_errors_carry_what_the_server_says(cluster: Cluster) -> None:
    with pytest.raises(SqlError) as raised:
        cluster.connect().execute(
            "DO $$ BEGIN RAISE 'no' USING ERRCODE = '53400', DETAIL = 'full', HINT = 'free one'; END $$"
        )
    error = raised.value
    assert (error.sqlstate, error.message, error.detail, error.hint) == ("53400", "no", "full", "free one")


def test_what_the_driver_cannot_read_is_not_taken_for_a_refusal(cluster: Cluster) -> None:
    with pytest.raises(psycopg.DataError, match="infinity"):
        cluster.connect().execute("SELECT 'infinity'::timestamptz")


def test_roles(cluster: Cluster) -> None:
    cluster.connect().execute("CREATE ROLE clerk LOGIN")
    assert "user=clerk" in cluster.dsn("clerk")
    clerk = cluster.connect("clerk")
    assert clerk.execute("SELECT current_user") == [("clerk",)]
    with pytest.raises(SqlError, match="42501"):
        clerk.execute("CREATE ROLE other")
    assert clerk.usable


def test_blocked_operation_is_cancelled(cluster: Cluster) -> None:
    session = cluster.connect()
    pending = session.submit("SELECT pg_sleep(60)")
    asleep = f"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {session.pid}"
    cluster.wait_until(lambda: value(cluster, asleep) is True, 10, "the session to sleep")
    with pytest.raises(TimeoutError):
        pending.result(0.01)
    assert not pending.done()
    pending.cancel()
    with pytest.raises(SqlError, match="57014"):
        pending.result(10)
    assert session.submit("SELECT 7").result(10) == [(7,)]


def test_terminated_session(cluster: Cluster) -> None:
    session = cluster.connect()
    pending = session.submit("SELECT pg_sleep(60)")
    cluster.connect().execute("SELECT pg_terminate_backend(%s, 10000)", [session.pid])
    with pytest.raises(SqlError, match="57P01"):
        pending.result(10)
    assert not session.usable


def test_vanished_client(cluster: Cluster) -> None:
    session = cluster.connect()
    position = cluster.log_position()
    session.execute("BEGIN; SELECT 1")
    session.vanish()
    gone = f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {session.pid})"
    cluster.wait_until(lambda: value(cluster, gone) is True, 10, "the server to notice")
    assert "unexpected EOF on client connection with an open transaction" in cluster.log_since(position)
    assert not session.usable


# Nothing is left

SCRIPT = """
import sys, time
from pathlib import Path
from harness.building.build import Build, Flavour
from harness.server.cluster import open_cluster
from harness.machine.postgres import find_postgres
build = Build(find_postgres(sys.argv[2]), Flavour.RELEASE, Path("/"), {})
with open_cluster(build) as cluster:
    session = cluster.connect()
    segment = (cluster.data_dir / "postmaster.pid").read_text().splitlines()[6].split()[1]
    print(cluster.folder, cluster.pid, segment, flush=True)
    if sys.argv[1] == "fail":
        raise SystemExit(3)
    if sys.argv[1] == "crash":
        cluster.crash()
    time.sleep(60)
"""


class Elsewhere(NamedTuple):
    """A process of its own with a cluster open in it."""

    process: subprocess.Popen[str]
    folder: Path
    postmaster: int
    segment: str  # the number of the server's System V shared memory segment

    def left(self) -> list[str]:
        """What is left of the cluster on this machine."""
        segments = [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
        things = {
            "folder": self.folder.parent.exists(),
            "postmaster": runs(self.postmaster),
            "shared memory": self.segment in segments,
        }
        return [name for name, exists in things.items() if exists]


OpenElsewhere = Callable[[str], Elsewhere]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for scratch folders that nobody else uses, with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="sb", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_elsewhere(scratch: Path, postgres: Postgres) -> Iterator[OpenElsewhere]:
    """Opens a cluster in a process of its own."""
    with contextlib.ExitStack() as ends:

        def start(what: str) -> Elsewhere:
            elsewhere = start_elsewhere(scratch, postgres, what)
            ends.enter_context(elsewhere.process)
            ends.callback(elsewhere.process.terminate)
            return elsewhere

        yield start


def start_elsewhere(scratch: Path, postgres: Postgres, what: str) -> Elsewhere:
    """See the fixture."""
    environment = os.environ | {"BENCH_SCRATCH": str(scratch), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, what, str(postgres.pg_config)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
        preexec_fn=hear_signals,
    )
    assert process.stdout is not None
    folder, pid, segment = process.stdout.readline().split()
    return Elsewhere(process, Path(folder), int(pid), segment)


@pytest.mark.parametrize("end", ["fail", "SIGINT", "SIGTERM", "SIGHUP", "twice"])
def test_nothing_is_left(scratch: Path, open_elsewhere: OpenElsewhere, end: str) -> None:
    elsewhere = open_elsewhere(end)
    assert elsewhere.folder.is_relative_to(scratch)
    if end == "twice":
        elsewhere.process.send_signal(signal.SIGTERM)
        time.sleep(0.005)
        elsewhere.process.send_signal(signal.SIGTERM)
    elif end != "fail":
        elsewhere.process.send_signal(signal.Signals[end])
    assert elsewhere.process.wait(30) != 0
    assert elsewhere.left() == []
    assert list(scratch.iterdir()) == []


def test_a_crashed_server_leaves_nothing_either(scratch: Path, open_elsewhere: OpenElsewhere) -> None:
    crashed = open_elsewhere("crash")
    deadline = time.monotonic() + 30
    while runs(crashed.postmaster) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert crashed.left() == ["folder", "shared memory"]
    crashed.process.send_signal(signal.SIGTERM)
    crashed.process.wait(30)
    assert crashed.left() == []
    assert list(scratch.iterdir()) == []


def test_a_killed_bench_is_cleaned_up_after(scratch: Path, open_elsewhere: OpenElsewhere) -> None:
    killed = open_elsewhere("sleep")
    killed.process.kill()
    killed.process.wait(10)
    assert killed.left() == ["folder", "postmaster", "shared memory"]
    other = open_elsewhere("sleep")
    assert killed.left() == []
    assert other.left() == ["folder", "postmaster", "shared memory"]
    other.process.terminate()
    other.process.wait(30)
    assert list(scratch.iterdir()) == []


def test_dynamic_shared_memory_goes_with_the_data_directory(cluster: Cluster) -> None:
    assert value(cluster, "SHOW dynamic_shared_memory_type") == "mmap"
