"""A copy restored by the page for administrators: its lines are run as they stand there, and the server started."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from harness.machine.project import EXTENSION
from harness.restore.restore import await_promotion
from harness.restore.snapshot import Snapshot
from harness.restore.soundness import flaws
from harness.server.cluster import Cluster, serve
from properties.recording.tally import Tally, attempt
from properties.support.restoring import torn_pages_of
from properties.support.shell import ShellBesideServer

PAGE = (EXTENSION / "RESTORE.md").read_text(encoding="utf-8")
LINES = "set -eu\n" + dedent("".join(re.findall(r"^ {4}.*\n", PAGE, re.MULTILINE)))


def restore(here: ShellBesideServer, new: Path) -> None:
    """Makes a copy ready to be started."""
    here.succeed(LINES, NEW=new, ARCHIVE=here.server.archive_dir)


@contextmanager
def started(origin: Cluster, new: Path) -> Iterator[Cluster]:
    """A server on a copy in ``.../data``, beside its original; gone when the block ends, with the folder."""
    settings = {**origin.settings, "archive_mode": "off", "unix_socket_directories": str(new.parent)}
    with serve(origin.build, new.parent, {**settings, "hot_standby": "off"}) as server:
        await_promotion(server)
        yield server


def check_restored(here: ShellBesideServer, tally: Tally, scenario: str, new: Path) -> None:
    """Starts a copy that is ready, and compares it with its original."""
    began = time.perf_counter()
    tablespaces = Path(f"{new}.tablespaces")
    torn = torn_pages_of(here.server, Snapshot(new, {place.name: place for place in tablespaces.iterdir()}))
    with started(here.server, new) as copy:
        assert {link.resolve().parent for link in (new / "pg_tblspc").iterdir()} == {tablespaces}, "not its own ones"
        said = "; ".join(flaws(here.server, copy, None))
    tally.restores.append(attempt(scenario, True, said, torn, time.perf_counter() - began))
    assert not said, f"{scenario}: {said}"
