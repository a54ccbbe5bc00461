"""PostgreSQL's own programs, run on the data directory of a server that is down."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.machine.postgres import as_user
from harness.machine.scratch import temporary_folder
from harness.server.cluster import Cluster, ClusterError, serve
from harness.server.controldata import CONTROL_FILE, REDO_SEGMENT, control_data
from harness.server.node import INITDB_OPTIONS, give
from harness.server.programs import run_program
from harness.server.settings import include_settings, write_settings

WAL = "pg_wal"
SET_ASIDE = "pg_control.old"
"""So pg_upgrade renames the control file of a cluster whose files the new one has, too."""


def has_program(server: Cluster, name: str) -> bool:
    """Does the installation come with it?"""
    return server.build.postgres.binary(name).is_file()


def use(server: Cluster, name: str, *arguments: str | Path) -> str:
    """Runs a program, and returns all that it said; raises ClusterError if it refuses."""
    said = run_program(server, name, *arguments)
    if said.returncode != 0:
        raise ClusterError(f"{name} refused: {said.stdout}{said.stderr}")
    return said.stdout + said.stderr


# pg_resetwal


def reset_wal(server: Cluster, *options: str) -> None:
    """The WAL is thrown away."""
    use(server, "pg_resetwal", *options, "-D", server.data_dir)


def force_reset(server: Cluster, options: tuple[str, ...] = ()) -> None:
    """The same, also after a crash: the lock file has to be deleted first."""
    (server.data_dir / "postmaster.pid").unlink(missing_ok=True)
    reset_wal(server, "-f", *options)


def after_the_last(server: Cluster, folder: str, entries: int) -> int:
    """The first number that is in none of the files of this folder, each of which has so many."""
    return (max(int(file.name, 16) for file in (server.data_dir / folder).iterdir()) + 1) * entries


def next_segment(server: Cluster, *, timeline: int = 1, further: int = 16) -> str:
    """The name of a segment so many after the one with the last checkpoint."""
    return f"{timeline:08X}{int(control_data(server)[REDO_SEGMENT][8:], 16) + further:016X}"


# Other programs


def remove_wal(server: Cluster) -> None:
    """pg_archivecleanup, meant for archives, removes WAL of the server that it does not need for its next start."""
    use(server, "pg_archivecleanup", server.data_dir / WAL, control_data(server)[REDO_SEGMENT])


def rewind(server: Cluster, source: Cluster, *options: str) -> str:
    """The server is made like another one, which is down, too; returns what pg_rewind said."""
    return use(server, "pg_rewind", *options, "-D", server.data_dir, "--source-pgdata", source.data_dir)


def make_subscriber(standby: Cluster, primary: Cluster) -> None:
    """A standby that is down becomes a logical replica of its primary, and is down."""
    parameters = primary.parameters()
    publisher = " ".join(f"{name}={parameters[name]}" for name in ("host", "port", "user", "dbname"))
    options = ["-d", "postgres", "-U", "postgres", "-P", publisher, "-s", str(standby.folder)]
    use(standby, "pg_createsubscriber", *options, "-D", standby.data_dir)


# pg_upgrade


@dataclass(frozen=True)
class Upgrade:
    """A new cluster that an old one is to be upgraded to, both of the same version."""

    old: Cluster
    folder: Path

    @property
    def data_dir(self) -> Path:
        """Of the new cluster."""
        return self.folder / "data"

    @property
    def settings(self) -> dict[str, str]:
        """Of the new cluster: those of the old one, but that it archives nothing."""
        return {**self.old.settings, "archive_mode": "off", "unix_socket_directories": str(self.folder)}

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Runs pg_upgrade."""
        postgres = self.old.build.postgres
        clusters: list[str | Path] = ["-d", self.old.data_dir, "-D", self.data_dir, "-s", self.folder, "-U", "postgres"]
        programs: list[str | Path] = ["-b", postgres.bindir, "-B", postgres.bindir]
        words = [postgres.binary("pg_upgrade"), *clusters, *programs, *options]
        return subprocess.run(
            as_user(self.old.user, *words, environment=self.old.build.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=postgres.environment(),
        )

    @contextmanager
    def started(self) -> Iterator[Cluster]:
        """The new cluster, started; it is gone with its folder when the block ends."""
        with serve(self.old.build, self.folder, self.settings) as new:
            yield new

    def live(self, *statements: str) -> None:
        """The new cluster starts, does this, and is shut down; its folder is gone afterwards."""
        with self.started() as new:
            session = new.connect()
            for statement in statements:
                session.execute(statement)
            session.close()
            new.stop()

    def put_back(self) -> None:
        """The old cluster gets its control file back, if that was set aside."""
        control = self.old.data_dir / CONTROL_FILE
        aside = control.with_name(SET_ASIDE)
        if aside.exists():
            aside.rename(control)


@contextmanager
def new_cluster(old: Cluster) -> Iterator[Upgrade]:
    """Made by initdb, with the settings of the old one; gone when the block ends."""
    with temporary_folder() as folder:
        give(folder, old.user)
        upgrade = Upgrade(old, folder)
        use(old, "initdb", "-D", upgrade.data_dir, *INITDB_OPTIONS, "--no-sync")
        include_settings(upgrade.data_dir)
        write_settings(upgrade.data_dir, upgrade.settings, old.user)
        yield upgrade
