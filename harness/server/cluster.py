"""A running server: started, stopped, restarted and crashed at the speed of the server, and always gone afterwards."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from psycopg.conninfo import make_conninfo

from harness.building.build import Build
from harness.building.counters import FOLDER, write_now
from harness.machine.postgres import SetupError, as_user, server_user
from harness.machine.processes import await_orphans, become_subreaper, end_server, kill_server, orderly_end, wait_gone
from harness.machine.scratch import check_socket_path, scratch_folder
from harness.server.alarms import Watch
from harness.server.logs import Log
from harness.server.node import PORT, give, initialise, make_node, replicate
from harness.server.session import Session, SqlError
from harness.server.settings import DEFAULTS, include_settings, write_settings

STATUS_LINE = 7  # of postmaster.pid, counted from 0: "starting", "standby", "ready" or "stopping"
POLL = 0.001  # seconds between looks at postmaster.pid
TIMEOUT = 60.0  # seconds that a start or a stop may take
TIME_TO_COUNT = 5.0  # seconds in which the processes of a server may end by themselves, to write their counters
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

_numbers = itertools.count(1)
_templates: dict[Path, Path] = {}
_templates_lock = threading.Lock()
_postmasters: set[int] = set()
_servers: list["Cluster"] = []


class ClusterError(Exception):
    """The server did not do as it was told; the message ends with the last lines of its log."""


class Cluster:
    """A server with its data directory, in a scratch folder of its own; ``open_cluster`` makes one.

    It listens on a Unix socket only. ``node`` is the testgres node with the same data directory, for what testgres
    does well; starting and stopping go through this class.
    """

    def __init__(self, build: Build, node: Any, settings: Mapping[str, str], archive_dir: Path | None) -> None:
        self.build = build
        self.node = node
        self.user = server_user()
        self.folder = Path(node.base_dir)
        self.data_dir = Path(node.data_dir)
        self.log_file = self.folder / "log"
        self.archive_dir = archive_dir
        self.settings: dict[str, str] = dict(settings)
        self.varied: set[str] = set()
        """Settings that are not put back: whoever depends on one of them sets it first."""
        self._postmaster: subprocess.Popen[bytes] | None = None
        check_socket_path(self.folder / f".s.PGSQL.{PORT}")
        write_settings(self.data_dir, self.settings, self.user)
        self._watch = Watch(self.log_file, self.data_dir)
        self._log = Log(self.folder.name, self.log_file)

    # Connecting

    def parameters(self, user: str = "postgres", dbname: str = "postgres") -> dict[str, Any]:
        """libpq's parameters for a connection, as psycopg.connect takes them."""
        return {"host": str(self.folder), "port": PORT, "user": user, "dbname": dbname, "options": ""}

    def dsn(self, user: str = "postgres", dbname: str = "postgres") -> str:
        """The same as a connection string, to paste into psql."""
        return make_conninfo(host=str(self.folder), port=PORT, user=user, dbname=dbname)

    def connect(self, user: str = "postgres", dbname: str = "postgres") -> Session:
        """A new client session; raises SqlError."""
        return Session(self.parameters(user, dbname))

    def await_session(self, timeout: float = TIMEOUT) -> Session:
        """Waits (seconds) until a server that comes up by itself answers a superuser; raises ClusterError."""
        found: list[Session] = []

        def answers() -> bool:
            with contextlib.suppress(SqlError):
                session = self.connect()
                found.append(session) if session.answers() else session.close()
            return bool(found)

        self.wait_until(answers, timeout, "the server to answer")
        return found[0]

    # Starting and stopping

    @property
    def pid(self) -> int | None:
        """The postmaster's process number; None while the server is down."""
        running = self._postmaster is not None and self._postmaster.poll() is None
        return self._postmaster.pid if running and self._postmaster else None

    def start(self, timeout: float = TIMEOUT) -> None:
        """Starts the server and waits (seconds) until it accepts connections; raises ClusterError."""
        self.launch()
        self.await_ready(timeout)

    def launch(self) -> None:
        """Starts the server, and does not wait for it; raises ClusterError if it is running already."""
        if self.pid is not None:
            raise ClusterError("the server is running already")
        if self._postmaster is not None:  # someone else ended it
            self._ended(self._postmaster.pid)
            await_orphans(keep=_postmasters)
        server = self.build.postgres.binary("postgres")
        command = as_user(self.user, server, "-D", self.data_dir, environment=self.build.environment)
        with self._open_log() as log:
            self._postmaster = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self.build.postgres.environment(),
                start_new_session=True,
            )
        _postmasters.add(self._postmaster.pid)

    def _open_log(self) -> IO[bytes]:
        log = self.log_file.open("ab")
        give(self.log_file, self.user)
        return log

    def await_ready(self, timeout: float = TIMEOUT) -> None:
        """Waits (seconds) until a server that was launched accepts connections; raises ClusterError."""
        deadline = time.monotonic() + timeout
        while (status := self._status()) != "ready":
            if self.pid is None:
                raise ClusterError(f"the server did not start:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise ClusterError(f"the server was {status or 'silent'} after {timeout} s:\n{self._log_tail()}")
            time.sleep(POLL)

    def _status(self) -> str:
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        own = self._postmaster is not None and lines[:1] == [str(self._postmaster.pid)]
        return lines[STATUS_LINE].strip() if own and len(lines) > STATUS_LINE else ""

    def stop(self, mode: str = "fast", timeout: float = TIMEOUT) -> None:
        """Shuts the server down (``smart``, ``fast`` or ``immediate``) and waits (seconds) until it is gone."""
        pid = self._running()
        if mode == "immediate":
            self._write_counters(pid)
        os.kill(pid, STOP_SIGNALS[mode])
        if not wait_gone([pid], timeout):
            raise ClusterError(f"the server was still there {timeout} s after a {mode} shutdown:\n{self._log_tail()}")
        self._ended(pid)

    def crash(self) -> None:
        """Kills the postmaster and all its children at once, as a power cut would, and waits until they are gone."""
        pid = self._running()
        self._write_counters(pid)
        kill_server(pid)
        self._ended(pid)

    def _write_counters(self, pid: int) -> None:
        if self.build.counts:
            write_now(Path(self.build.environment[FOLDER]), pid)

    def restart(self, kind: str = "fast") -> None:
        """Restarts the server: ``fast`` or ``immediate`` (a shutdown in that mode, then a start), or ``crash``."""
        self.go_down(kind)
        self.start()

    def go_down(self, kind: str) -> None:
        """Ends the server: ``fast`` or ``immediate`` (a shutdown in that mode), or ``crash``."""
        if kind == "crash":
            self.crash()
        else:
            self.stop(kind)

    def _running(self) -> int:
        if self.pid is None:
            raise ClusterError("the server is not running")
        return self.pid

    def _ended(self, pid: int) -> None:
        if self._postmaster is not None:
            self._postmaster.wait()
        _postmasters.discard(pid)
        self._postmaster = None

    # Configuration

    def configure(self, settings: Mapping[str, str | None]) -> None:
        """Changes settings in the configuration file (None: back to PostgreSQL's default) without loading it."""
        for name, value in settings.items():
            if value is None:
                self.settings.pop(name, None)
            else:
                self.settings[name] = value
        write_settings(self.data_dir, self.settings, self.user)

    def reload(self, timeout: float = TIMEOUT, sessions: Sequence[Session] = ()) -> None:
        """Makes the server read its configuration and waits until these sessions have it, or else every idle one.

        A session that was idle then has the new settings in its next statement. Without sessions to ask, the proof is
        a new connection that knows of the reload: the postmaster accepts none before it has signalled everybody.
        """
        asked = time.time()
        os.kill(self._running(), signal.SIGHUP)
        for session in sessions:
            self.wait_until(lambda: load_time(session) >= asked, timeout, "a session to load its configuration")  # noqa: B023
        if not sessions:
            self.wait_until(lambda: self._loaded() >= asked, timeout, "the configuration to be reloaded")

    def _loaded(self) -> float:
        session = self.connect()
        try:
            return load_time(session)
        finally:
            session.close()

    # The log, and waiting

    def log_position(self) -> int:
        """The log's length in bytes: a mark for ``log_since``."""
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def log_since(self, position: int) -> str:
        """What the server has logged since the mark."""
        with self.log_file.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")

    def _log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log_since(max(0, self.log_position() - 10000)).splitlines()[-lines:])

    def wait_until(self, predicate: Callable[[], bool], timeout: float, what: str) -> None:
        """Waits (seconds) until the predicate holds; raises ClusterError that says what was waited for."""
        deadline, pause = time.monotonic() + timeout, POLL
        while not predicate():
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {timeout} s in vain for {what}; the log ends:\n{self._log_tail()}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def discard(self) -> None:
        """Ends the server, whatever state it is in, and removes its folder."""
        pid = self._postmaster.pid if self._postmaster is not None else None
        if self.build.counts and self.pid is not None:
            with contextlib.suppress(ClusterError):
                self.stop("fast", TIME_TO_COUNT)
        end_server(self.data_dir)
        if self.pid is not None:  # it has written no postmaster.pid yet
            kill_server(self.pid)
        if pid is not None:
            self._ended(pid)
        self._watch.close()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def load_time(session: Session) -> float:
    """When the session's process last read the configuration, in seconds since 1970."""
    return float(session.execute("SELECT extract(epoch FROM pg_conf_load_time())")[0][0])


@contextlib.contextmanager
def open_cluster(
    build: Build, *, settings: Mapping[str, str] | None = None, archive: bool = False
) -> Iterator[Cluster]:
    """A new cluster with the extension loaded, started; gone with everything it left when the block ends.

    ``settings`` go before the bench's own (``harness.server.settings``). With ``archive``, WAL is archived into the
    cluster's ``archive_dir``. Raises SetupError or ClusterError if it cannot be started.
    """
    become_subreaper()
    folder = scratch_folder() / str(next(_numbers))
    _copy_template(_template(build), folder)
    archive_dir = folder / "archive" if archive else None
    everything = {**DEFAULTS, **build.settings, "unix_socket_directories": str(folder)}
    if archive_dir is not None:
        archive_dir.mkdir()
        give(archive_dir, server_user())
        everything |= archive_settings(archive_dir)
    node = make_node(build.postgres, server_user(), folder)
    yield from _run(Cluster(build, node, {**everything, **(settings or {})}, archive_dir))


@contextlib.contextmanager
def open_standby(primary: Cluster, *, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A streaming standby of a running cluster, started and accepting connections; gone when the block ends.

    Once it is promoted it archives where its primary does.
    """
    folder = scratch_folder() / f"standby{next(_numbers)}"
    node = replicate(primary.node, folder)
    include_settings(Path(node.data_dir))
    everything = {**primary.settings, "unix_socket_directories": str(folder), **(settings or {})}
    yield from _run(Cluster(primary.build, node, everything, primary.archive_dir))


@contextlib.contextmanager
def serve(
    build: Build, folder: Path, settings: Mapping[str, str], archive_dir: Path | None = None
) -> Iterator[Cluster]:
    """The cluster whose data directory is ``data`` in that folder, started; both are gone when the block ends.

    ``archive_dir``: where these settings make it archive its WAL.
    """
    node = make_node(build.postgres, server_user(), folder)
    yield from _run(Cluster(build, node, settings, archive_dir))


def servers() -> tuple[Cluster, ...]:
    """All that have been started and whose blocks have not ended."""
    return tuple(_servers)


def _run(cluster: Cluster) -> Iterator[Cluster]:
    with orderly_end():
        try:
            cluster.start()
            _servers.append(cluster)
            yield cluster
        finally:
            if cluster in _servers:
                _servers.remove(cluster)
            cluster.discard()


def archive_settings(archive_dir: Path) -> dict[str, str]:
    """Settings that have WAL copied into that folder, unless it is there."""
    copy = f'cp "%p" "{archive_dir}/%f.part" && mv "{archive_dir}/%f.part" "{archive_dir}/%f"'
    return {"archive_mode": "on", "archive_command": f'test -f "{archive_dir}/%f" || ( {copy} )'}


def _template(build: Build) -> Path:
    """An initialised data directory's folder for the build's PostgreSQL, made at the first call."""
    with _templates_lock:
        bindir = build.postgres.bindir
        if bindir not in _templates:
            folder = scratch_folder() / f"template{len(_templates)}"
            node = make_node(build.postgres, server_user(), folder)
            try:
                initialise(node)
            except Exception as error:
                raise SetupError(f"initdb of {bindir} failed: {error.__cause__ or error}") from error
            include_settings(folder / "data")
            _templates[bindir] = folder
        return _templates[bindir]


def _copy_template(template: Path, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    give(folder, server_user())
    subprocess.run(as_user(server_user(), "cp", "-a", template / "data", folder / "data"), check=True, cwd="/")
