"""PgBouncer before a server, as many have it: clients share few sessions, and have one for a transaction at a time."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.machine.postgres import as_user
from harness.machine.processes import end_with_parent
from harness.server.cluster import Cluster
from harness.server.node import PORT, give
from harness.server.session import Session, SqlError

PROGRAM = "pgbouncer"
PLACES = "/usr/sbin:/usr/local/sbin"
"""Where it may be beside those on the path: Debian has it among the daemons."""
PATIENCE = 30.0


class Pool:
    """What its clients connect to; ``open_pool`` makes one."""

    def __init__(self, server: Cluster, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def connect(self) -> Session:
        """A new client, as a superuser; raises SqlError."""
        return Session({**self.server.parameters(), "host": str(self.folder)})

    def answers(self) -> bool:
        """Is there a server behind it?"""
        try:
            session = self.connect()
        except SqlError:
            return False
        answer = session.answers()
        session.close()
        return answer


def find_pooler() -> str | None:
    """The path of PgBouncer; None: it is not installed."""
    return shutil.which(PROGRAM, path=f"{os.environ.get('PATH', '')}:{PLACES}")


@contextmanager
def open_pool(program: str, server: Cluster, size: int, **settings: str) -> Iterator[Pool]:
    """A pool of so many sessions, in transaction mode; gone when the block ends. ``settings`` are PgBouncer's own."""
    folder = server.folder / "pool"
    folder.mkdir()
    (folder / "users").write_text('"postgres" ""\n')
    everything = {
        "listen_port": str(PORT),
        "unix_socket_dir": str(folder),
        "logfile": str(folder / "log"),
        "auth_type": "trust",
        "auth_file": str(folder / "users"),
        "pool_mode": "transaction",
        "default_pool_size": str(size),
        "ignore_startup_parameters": "options",
        **settings,
    }
    lines = [f"[databases]\n* = host={server.folder} port={PORT}\n[pgbouncer]"]
    (folder / "ini").write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in everything.items())]))
    give(folder, server.user)
    process = subprocess.Popen(
        as_user(server.user, program, "-q", folder / "ini"),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    try:
        pool = Pool(server, folder)
        server.wait_until(pool.answers, PATIENCE, "PgBouncer to answer")
        yield pool
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
