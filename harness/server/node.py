"""The only module that touches testgres, which has no types: a node that runs as the server's user.

Standing orders for testgres, each learnt from a failure: it finds pg_basebackup by variables of the environment, so
programs of PostgreSQL are taken from the installation in hand whatever path it gives; subclasses of PostgresNode
cannot replicate, so only OsOperations is subclassed; ``append_conf`` does not escape quotes, so settings go through
``harness.server.settings``; a node without a port manager needs an explicit host and port for its replica.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from testgres import PostgresNode
from testgres.operations.local_ops import LocalOperations, LocalProcessController

from harness.machine.postgres import Postgres, ServerUser, as_user

PORT = 5432  # only names the socket: every cluster has a socket folder of its own
INITDB_OPTIONS = [
    *("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"),
    *("--no-instructions", "--wal-segsize=1", "--data-checksums"),
]


class ServerOperations(LocalOperations):  # type: ignore[misc]  # testgres has no types
    """Runs programs as the server's user, and gives that user what it creates."""

    def __init__(self, postgres: Postgres, user: ServerUser | None) -> None:
        super().__init__()
        self.postgres = postgres
        self.user = user

    def popen(self, cmd: Any, text: Any = None, encoding: Any = None, shell: bool = False, **options: Any) -> Any:
        """Starts a program as the server's user, from the installation in hand if it is PostgreSQL's."""
        if isinstance(cmd, list):
            own = self.postgres.binary(os.path.basename(cmd[0]))
            cmd = [str(own) if own.exists() else cmd[0], *cmd[1:]]
        environment = self.postgres.environment() | (options.get("exec_env") or {})
        words = cmd if isinstance(cmd, list) else ["sh", "-c", cmd] if shell else [cmd]
        controller = LocalProcessController(cmd, encoding)
        controller._local_process = subprocess.Popen(
            as_user(self.user, *words),
            text=encoding is not None or text,
            encoding=encoding,
            env={name: value for name, value in environment.items() if value is not None},
            cwd=options.get("cwd") or "/",
            stdin=options.get("stdin") or subprocess.PIPE,
            stdout=options.get("stdout") or subprocess.PIPE,
            stderr=options.get("stderr") or subprocess.PIPE,
        )
        return controller

    def makedirs(self, path: str, remove_existing: bool = False) -> None:
        """Makes a folder for the server's user."""
        super().makedirs(path, remove_existing)
        give(Path(path), self.user)

    def write(self, filename: str, data: Any, **options: Any) -> None:
        """Writes a file for the server's user."""
        super().write(filename, data, **options)
        give(Path(filename), self.user)

    def touch(self, filename: str) -> None:
        """Makes a file for the server's user."""
        super().touch(filename)
        give(Path(filename), self.user)


def give(path: Path, user: ServerUser | None) -> None:
    """Makes the server's user (None: ourselves) the owner of a file or folder."""
    if user is not None:
        os.chown(path, user.uid, user.gid)


def give_all(folder: Path, user: ServerUser | None) -> None:
    """The same for a folder and all that is in it."""
    for path in (folder, *folder.rglob("*")):
        give(path, user)


def leave_signal(data_dir: Path, name: str, user: ServerUser | None) -> None:
    """Leaves ``standby.signal`` or ``recovery.signal``: the server's next start is one."""
    file = data_dir / name
    file.touch()
    give(file, user)


def make_node(postgres: Postgres, user: ServerUser | None, base_dir: Path) -> Any:
    """A testgres node, its data directory ``data`` in the folder ``base_dir``, which also holds its socket."""
    return PostgresNode(
        name=base_dir.name,
        base_dir=str(base_dir),
        port=PORT,
        host=str(base_dir),
        bin_dir=str(postgres.bindir),
        os_ops=ServerOperations(postgres, user),
    )


def initialise(node: Any) -> None:
    """Runs initdb: superuser postgres, trust, UTF-8, locale C, WAL segments of 1 MB, page checksums."""
    node.os_ops.makedirs(node.base_dir)
    node.init(initdb_params=INITDB_OPTIONS, log_statement="none")


def replicate(node: Any, base_dir: Path) -> Any:
    """A streaming replica of a running node, its configuration written and not started."""
    node.os_ops.makedirs(str(base_dir))
    return node.replicate(
        name=base_dir.name,
        username="postgres",
        base_dir=str(base_dir),
        options=["--checkpoint=fast"],
        target_host=str(base_dir),
        target_port=PORT,
    )
