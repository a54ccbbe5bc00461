"""A shell beside a server, in which what an administrator copies is run as it stands there."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random

from harness.building.build import Build
from harness.clients.implementation import SHARED, without_instruments
from harness.machine.scratch import temporary_folder
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import big_update, checkpoint, open_with_workload, transfers
from harness.server import durable
from harness.server.cluster import Cluster
from properties.recording.tally import Tally
from properties.support.hooks import EXAMPLES, connection
from properties.support.server_lockstep import copy_while

RELEASED = without_instruments(SHARED)
SERVER = {"shared_preload_libraries": "shared_backup", "shared_buffers": "1MB", "full_page_writes": "on"}

LOSES_ANSWERS = """\
#!/bin/sh
# The first stop is carried out, and nobody hears of it.
commands=$(cat; echo x)
printf %s "${commands%x}" > commands
case $commands in
    *shared_backup_stop*) [ -e lost ] || { touch lost; psql-itself "$@" < commands > /dev/null; exit 2; } ;;
esac
exec psql-itself "$@" < commands
"""

CUTS_ANSWERS = """\
#!/bin/sh
psql-itself "$@" | head -n 3
exit {status}
"""


class ShellBesideServer:
    """A server with the workload (and a tablespace), its WAL archived, and somebody who runs lines beside it."""

    def __init__(self, server: Cluster, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.copy = folder / "copy"
        self.programs = folder / "bin"
        self.session = server.connect()
        self.programs.mkdir()
        self._put_psql()

    def _put_psql(self) -> None:
        """Only psql is to find PostgreSQL's libraries, and no other program."""
        postgres = self.server.build.postgres
        libraries = shlex.quote(postgres.environment()["LD_LIBRARY_PATH"])
        psql = shlex.quote(str(postgres.binary("psql")))
        self.put_program("psql", f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {psql} "$@"\n')

    def put_program(self, name: str, text: str) -> None:
        """A program that the lines find before any other of its name."""
        (self.programs / name).write_text(text, encoding="utf-8")
        (self.programs / name).chmod(0o755)

    def losing_an_answer(self) -> AbstractContextManager[None]:
        """Within the block, the first stop is carried out, and nobody hears of it."""
        return self._in_place_of_psql(LOSES_ANSWERS)

    def cutting_answers(self, status: int) -> AbstractContextManager[None]:
        """Within the block, psql says no more than three lines, and ends with that exit status."""
        return self._in_place_of_psql(CUTS_ANSWERS.format(status=status))

    @contextmanager
    def _in_place_of_psql(self, text: str) -> Iterator[None]:
        psql, itself = self.programs / "psql", self.programs / "psql-itself"
        psql.rename(itself)
        try:
            self.put_program("psql", text)
            yield
        finally:
            itself.rename(psql)
            for left in ("lost", "commands"):
                (self.folder / left).unlink(missing_ok=True)

    def environment(self) -> dict[str, str]:
        """What the lines find set."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PATH": f"{self.programs}:{EXAMPLES}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LC_ALL": "C",
            **connection(self.server),
            "PGDATA": str(self.server.data_dir),
            "SHARED_BACKUP_STATE": str(self.folder / "state"),
            "COPY": str(self.copy / "data"),
        }

    def begin(self, script: str, **variables: object) -> subprocess.Popen[str]:
        """Begins to run lines in a shell, as a hook is run."""
        return subprocess.Popen(
            ["sh", "-c", script],
            cwd=self.folder,
            env=self.environment() | {name: str(value) for name, value in variables.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, **variables: object) -> subprocess.CompletedProcess[str]:
        """Runs lines in a shell, and waits for their end."""
        process = self.begin(script, **variables)
        said, complaints = process.communicate()
        return subprocess.CompletedProcess(script, process.returncode, said, complaints)

    def succeed(self, script: str, **variables: object) -> str:
        """Runs lines that must do without an error; returns what they have said nevertheless."""
        done = self.run(script, **variables)
        assert done.returncode == 0, f"{script}\nends with {done.returncode}: {done.stderr}"
        return done.stderr

    def work(self) -> None:
        """The server writes."""
        chance = Random(1)
        for step in (checkpoint, big_update, transfers, checkpoint):
            step(self.session, chance)

    def copied(self, in_mid_copy: Callable[[], object]) -> Snapshot:
        """The server's data directory, copied while the server works; something else is done in the middle of it."""
        chance = Random(1)
        steps = (checkpoint, big_update, transfers, checkpoint)
        work = [lambda step=step: step(self.session, chance) for step in steps]
        return copy_while(self.server, self.copy, [*work, in_mid_copy, *work], Pace(1))

    def restart(self, kind: str = "fast") -> None:
        """The server restarts, and its backups come back."""
        self.session.close()
        self.session = durable.restart(self.server, kind)

    def states(self) -> list[str]:
        """Of the backups."""
        return [row[0] for row in self.session.execute("SELECT state FROM shared_backups")]


@contextmanager
def shell_beside_server(
    build: Build, tally: Tally, settings: Mapping[str, str] | None = None, *, tablespace: bool = True
) -> Iterator[ShellBesideServer]:
    """A fresh one; all is gone when the block ends."""
    with (
        tally.example(),
        temporary_folder() as folder,
        open_with_workload(build, {**SERVER, **(settings or {})}, RELEASED, tablespace=tablespace) as server,
    ):
        spaced = folder / "any folder"
        spaced.mkdir()
        yield ShellBesideServer(server, spaced)
