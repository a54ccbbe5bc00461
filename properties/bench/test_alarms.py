"""No server crashes unnoticed: what its log says of it becomes a failure of the test that ran then."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.building.build import Build, Flavour, Special, build
from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import ROOT
from harness.server.alarms import LINES, TOLD, Watch, raised
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import SqlError
from properties.bench.toy import write_toy

REFUSED = """\
2026-11-22 22:49:16.900 UTC [9] PANIC:  could not locate a valid checkpoint record at 0/959388
2026-11-22 22:49:16.928 UTC [8] LOG:  startup process (PID 9) was terminated by signal 6: Aborted
2026-11-22 22:49:16.928 UTC [8] LOG:  aborting startup due to startup process failure
"""
HARMLESS = [
    "",
    REFUSED,
    "[8] LOG:  server process (PID 9) was terminated by signal 9: Killed\n",
    "[8] LOG:  background worker \"shared_backup reaper\" (PID 9) exited with exit code 1\n",
    "[9] ERROR:  label \"TRAP: \" is in use\n",
    'TRAP: FailedAssertion("latch->maybe_sleeping == false", File: "latch.c", Line: 693, PID: 9)\n',
    "TRAP: failed Assert",  # the rest of the line is still to come
]  # fmt: skip
ALARMS = [
    'TRAP: FailedAssertion("false", File: "registry.c", Line: 123, PID: 9)\n',
    'TRAP: failed Assert("false"), File: "registry.c", Line: 123, PID: 9\n',
    "registry.c:12:3: runtime error: signed integer overflow: 2147483647 + 1 cannot be represented in type 'int'\n",
    "==9==ERROR: AddressSanitizer: stack-buffer-overflow on address 0x7ffd1a2afdb8\n",
    "[8] LOG:  server process (PID 9) was terminated by signal 11: Segmentation fault\n",
    "[8] LOG:  client backend (PID 9) was terminated by signal 6: Aborted\n",
    "[8] LOG:  startup process (PID 9) was terminated by signal 11: Segmentation fault\n",
]

FUNCTION = """
PG_FUNCTION_INFO_V1(misbehave);
Datum
misbehave(PG_FUNCTION_ARGS)
{
	int32		how = PG_GETARG_INT32(0);
	volatile int32 big = PG_INT32_MAX;
	volatile int32 length = 9;
	char		few[8];

	if (how == 0)
		abort();
	if (how == 1)
		big = big + 1;
	if (how == 2)
		memset(few, how, length);
	PG_RETURN_INT32(how == 2 ? few[0] : how);
}
"""


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Of a server that is made up."""
    (tmp_path / "data").mkdir()
    watch = Watch(tmp_path / "log", tmp_path / "data")
    yield watch
    watch.close()
    raised()


def log(watch: Watch, text: str) -> None:
    """What the server says next."""
    with watch.log_file.open("a") as log:
        log.write(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_servers_say_in_a_day_is_no_alarm(watch: Watch, text: str) -> None:
    log(watch, text)
    assert raised() == []


@pytest.mark.parametrize("text", ALARMS)
def test_what_no_server_may_say_is_one_alarm(watch: Watch, text: str) -> None:
    log(watch, REFUSED + text)
    assert raised() == [text.rstrip()]
    assert raised() == []


def test_an_alarm_comes_with_what_was_done(watch: Watch) -> None:
    statement = "[8] DETAIL:  Failed process was running: SELECT 1"
    log(watch, ALARMS[0] + "a frame\n" * 20 + statement + "\n" + "more\n" * 20)
    (alarm,) = raised()
    assert alarm.splitlines() == [ALARMS[0].rstrip(), *["a frame"] * (LINES - 1), statement]


def test_a_line_that_is_not_whole_is_looked_at_again(watch: Watch) -> None:
    log(watch, ALARMS[0][:30])
    assert raised() == []
    log(watch, ALARMS[0][30:])
    assert raised() == [ALARMS[0].rstrip()]


def test_many_alarms_are_told_in_few_words(watch: Watch) -> None:
    for _ in range(TOLD + 2):
        log(watch, ALARMS[0])
        watch.look()
    assert raised() == [*[ALARMS[0].rstrip()] * TOLD, "(2 more of such)"]


def test_a_core_file_is_an_alarm(watch: Watch) -> None:
    (watch.data_dir / "core.123").touch()
    watch.close()
    (alarm,) = raised()
    assert alarm.endswith("core.123")


def test_the_core_file_of_a_refusal_is_none(watch: Watch) -> None:
    (watch.data_dir / "core.123").touch()
    log(watch, REFUSED)
    watch.close()
    assert raised() == []


# On a server


def misbehaving(postgres: Postgres, folder: Path, *, special: Special | None = None) -> Build:
    """A build of an extension with one function, which does what it is told."""
    write_toy(folder, "CREATE FUNCTION misbehave(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';\n", FUNCTION)
    return build(postgres, Flavour.RELEASE, folder / "cache", sources=folder, special=special)


def misbehave(cluster: Cluster, how: int) -> None:
    """Lets one backend do it, and waits until the postmaster has said all that it says of that."""
    session = cluster.connect()
    session.execute("CREATE EXTENSION IF NOT EXISTS shared_backup")
    with pytest.raises(SqlError):
        session.execute(f"SELECT misbehave({how})")
    cluster.wait_until(lambda: "terminating any other" in cluster.log_since(0), 10, "the postmaster to say so")


@pytest.mark.server
def test_a_server_that_crashes_raises_the_alarm(postgres: Postgres, tmp_path: Path) -> None:
    with open_cluster(misbehaving(postgres, tmp_path)) as cluster:
        misbehave(cluster, 0)
        (alarm,) = raised()
        assert "was terminated by signal 6: Aborted" in alarm
        assert "SELECT misbehave(0)" in alarm


@pytest.mark.server
def test_a_server_that_is_discarded_at_once_raises_the_alarm(postgres: Postgres, tmp_path: Path) -> None:
    with open_cluster(misbehaving(postgres, tmp_path)) as cluster:
        misbehave(cluster, 0)
    assert len(raised()) == 1


@pytest.mark.server
def test_killing_a_server_is_no_crash_of_it(postgres: Postgres, tmp_path: Path) -> None:
    with open_cluster(misbehaving(postgres, tmp_path)) as cluster:
        session = cluster.connect()  # kept: one that nobody keeps ends by itself
        os.kill(session.pid, signal.SIGKILL)
        cluster.wait_until(lambda: "terminated by signal 9" in cluster.log_since(0), 10, "the postmaster to say so")
        cluster.crash()
        cluster.start()
    assert raised() == []


@pytest.mark.server
@pytest.mark.parametrize(("how", "says"), [(1, "signed integer overflow"), (2, "stack-buffer-overflow")])
def test_sanitizers_raise_the_alarm(postgres: Postgres, tmp_path: Path, how: int, says: str) -> None:
    try:
        built = misbehaving(postgres, tmp_path, special=Special.SANITIZERS)
    except SetupError as error:
        pytest.skip(str(error))
    with open_cluster(built) as cluster:
        misbehave(cluster, how)
        (alarm,) = raised()
        assert says in alarm


# In a test


MADE_UP = """
import pytest
from harness.server.alarms import Watch

@pytest.fixture
def watch(tmp_path):
    watch = Watch(tmp_path / "log", tmp_path)
    yield watch
    watch.close()

@pytest.fixture
def untidy(watch):
    yield
    watch.log_file.write_text("TRAP: while it ended\\n")

def test_noticed(watch):
    watch.log_file.write_text("TRAP: as it noticed\\n")
    assert watch is None, "a connection was lost"

def test_unnoticed(watch):
    watch.log_file.write_text("TRAP: while it looked away\\n")

def test_afterwards(untidy):
    pass

def test_quiet(watch):
    watch.log_file.write_text("LOG:  a checkpoint\\n")
"""


def test_what_a_server_does_is_the_finding_of_the_test_that_ran(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from properties.conftest import *\n")
    (tmp_path / "test_made_up.py").write_text(MADE_UP)
    options = ["-q", "-rA", "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}"]
    run = subprocess.run([sys.executable, "-m", "pytest", *options, tmp_path], capture_output=True, text=True, cwd=ROOT)
    for line in (
        "FAILED test_made_up.py::test_noticed - BaseExceptionGroup",
        "FAILED test_made_up.py::test_unnoticed - Failed: TRAP: while it looked away",
        "ERROR test_made_up.py::test_afterwards - Failed: TRAP: while it ended",
        "PASSED test_made_up.py::test_quiet",
        "2 failed, 2 passed, 1 error",
        "Failed: TRAP: as it noticed",
        "AssertionError: a connection was lost",
    ):
        assert line in run.stdout, run.stdout
