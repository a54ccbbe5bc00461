"""pg_upgrade, and pg_rewind that fails: a server whose files others have written is started again with an open backup.

The manual says that such a server must not be used. If somebody does, no stop may say yes to a copy that is torn.
"""

import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, install
from harness.faults.offline import new_cluster, rewind
from harness.restore.snapshot import Pace, Snapshot
from harness.restore.workload import checkpoint, transfers
from harness.server.cluster import Cluster, ClusterError, open_standby
from harness.server.durable import resumed
from harness.server.replay import await_replay
from properties.durable.judged import check_no_wrong_yes
from properties.durable.lockstep import DurableServer, change, durable_server, read_reserve
from properties.recording.tally import Tally
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

VACUUM = ("VACUUM (FREEZE)", "CHECKPOINT")
"""What autovacuum does in any cluster before long: it writes pages, and no row changes."""
WAYS = {"--link": VACUUM, "--copy": (), "--check": (), "--clone": (), "--copy-file-range": ()}
"""Of pg_upgrade, and what the new cluster does then; with --swap there is no old cluster any more."""
NOT_HERE = re.compile("could not clone|not supported on this platform|invalid option|unrecognized option")
"""The file system, or this version, has no such thing."""
EXTENSIONS = "shared_backup, shared_backup_instruments"


def take(here: DurableServer, *turns: Callable[[], object]) -> Snapshot:
    """The copy, made while that happens."""
    return copy_while(here.origin, here.copies / "copy", [lambda: None, *turns, lambda: None], Pace(rounds=1))


def start_again(here: DurableServer) -> None:
    """The server is up again, whatever became of its backups."""
    here.origin.start()
    session = here.origin.connect()
    if not session.execute("SELECT FROM pg_extension WHERE extname = 'shared_backup'"):
        install(DURABLE, session)
    session.close()
    here.backups.session = resumed(here.origin)


def upgrade_from(here: DurableServer, way: str, statements: tuple[str, ...]) -> None:
    """The server goes down, is upgraded, and starts again, as it was; before that, the new cluster does this.

    The extension is dropped meanwhile, as pg_upgrade finds its library only where the server's own are; that ends no
    backup.
    """
    here.session.execute(f"DROP EXTENSION {EXTENSIONS} CASCADE")
    here.session.close()
    here.origin.stop()
    with new_cluster(here.origin) as upgrade:
        said = upgrade.run(way)
        if said.returncode != 0 and NOT_HERE.search(said.stdout):
            here.backups.tally.notes.append(f"pg_upgrade {way}: {said.stdout.splitlines()[-2]}")
        else:
            assert said.returncode == 0, f"{said.stdout}{said.stderr}"
        if statements:
            upgrade.live(*statements)
        upgrade.put_back()
        start_again(here)


def begin(here: DurableServer) -> None:
    """A backup is open, and the pages of the reserve are at rest."""
    read_reserve(here.session)
    here.backups.start("a")


def test_an_upgrade_leaves_no_wrong_yes_in_the_old_cluster(instrumented: Build, tally: Tally, exhaustive: bool) -> None:
    """Also where both have the same files, the new one has written to them, and the old one is started again."""
    for way, statements in WAYS.items() if exhaustive else [*WAYS.items()][:1]:
        with durable_server(instrumented, tally) as here:
            begin(here)

            def cross(way: str = way, statements: tuple[str, ...] = statements) -> None:
                upgrade_from(here, way, statements)

            snapshot = take(here, *here.backups.does(transfers, change(0), chance=Random(1)), cross)
            check_no_wrong_yes(here, tally, "a", snapshot, f"pg_upgrade {way}")


def part(primary: Cluster, standby: Cluster) -> None:
    """The standby is promoted; both change the same pages, and go down."""
    old, new = primary.connect(), standby.connect()
    await_replay(standby, old, new)
    new.execute("SELECT pg_promote()")
    for session in (old, new):
        transfers(session, Random(session.pid))
        checkpoint(session, Random(1))
        session.close()
    primary.stop()
    standby.stop()


def rewind_halfway(here: DurableServer, standby: Cluster) -> None:
    """pg_rewind fails at a table, when it has made others like the source's; the server is started nevertheless."""
    session = here.session
    paths = session.execute("SELECT pg_relation_filepath(oid) FROM pg_class WHERE relname ~ '^pgbench_.*s$' ORDER BY 1")
    session.close()
    part(here.origin, standby)
    (standby.data_dir / paths[-1][0]).chmod(0)
    with pytest.raises(ClusterError, match="could not open source file"):
        rewind(here.origin, standby)
    here.origin.configure({})  # pg_rewind has copied that of the source
    start_again(here)


@pytest.mark.xfail(strict=True, reason="the state files of the source are those of the server, and say the same")
def test_a_rewind_that_fails_halfway_leaves_no_wrong_yes(instrumented: Build, tally: Tally) -> None:
    """The source has run without the extension."""
    with durable_server(instrumented, tally, {"wal_keep_size": "256MB"}) as here, ExitStack() as stack:
        begin(here)
        settings = {"shared_preload_libraries": "", "archive_mode": "off"}
        standby = stack.enter_context(open_standby(here.origin, settings=settings))
        snapshot = take(here, partial(rewind_halfway, here, standby))
        check_no_wrong_yes(here, tally, "a", snapshot, "pg_rewind that failed, and a start nevertheless")
