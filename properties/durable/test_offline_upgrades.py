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
from harness.faults.offline import Upgrade, new_cluster, rewind
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


def upgrade_from(here: DurableServer, options: list[str], then: Callable[[Upgrade], object]) -> None:
    """The server goes down, is upgraded, and starts again, as it was; ``then``: done before that.

    The extension is dropped meanwhile, as pg_upgrade finds its library only where the server's own are; that ends no
    backup.
    """
    here.session.execute(f"DROP EXTENSION IF EXISTS {EXTENSIONS} CASCADE")
    here.session.close()
    here.origin.stop()
    with new_cluster(here.origin) as upgrade:
        said = upgrade.run(*options)
        if said.returncode != 0 and re.search("could not clone|not supported on this platform", said.stdout):
            pytest.skip(f"the file system has no {options}")
        assert said.returncode == 0, f"{said.stdout}{said.stderr}"
        then(upgrade)
        upgrade.put_back()
        start_again(here)


def begin(here: DurableServer) -> None:
    """A backup is open, and the pages of the reserve are at rest."""
    read_reserve(here.session)
    here.backups.start("a")


def test_an_upgrade_leaves_no_wrong_yes_in_the_old_cluster(instrumented: Build, tally: Tally, exhaustive: bool) -> None:
    ways = [["--copy"], ["--link"], ["--check"], ["--copy-file-range"], ["--clone"]]
    for options in ways if exhaustive else ways[:1]:
        with durable_server(instrumented, tally) as here:
            begin(here)
            snapshot = take(here, lambda: upgrade_from(here, options, lambda _: None))  # noqa: B023
            check_no_wrong_yes(here, tally, "a", snapshot, f"pg_upgrade {' '.join(options)}")


@pytest.mark.xfail(strict=True, reason="it is not noticed that another server has written to the files")
def test_a_life_of_the_new_cluster_leaves_no_wrong_yes_in_the_old_one(instrumented: Build, tally: Tally) -> None:
    """Both have the same files; somebody gives the old one its control file back."""
    with durable_server(instrumented, tally) as here:
        begin(here)
        turns = [
            *here.backups.does(transfers, change(0), chance=Random(1)),
            lambda: upgrade_from(here, ["--link"], lambda upgrade: upgrade.live(*VACUUM)),
        ]
        snapshot = take(here, *turns)
        check_no_wrong_yes(here, tally, "a", snapshot, "pg_upgrade --link, and a life of the new cluster")


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


@pytest.mark.parametrize(
    "preload",
    [
        pytest.param("shared_backup", id="with the extension"),
        pytest.param(
            "",
            id="without the extension",
            marks=pytest.mark.xfail(strict=True, reason="the state files of the source are those of the server"),
        ),
    ],
)
def test_a_rewind_that_fails_halfway_leaves_no_wrong_yes(instrumented: Build, tally: Tally, preload: str) -> None:
    """The source has the state files of the server that it is a standby of; with the extension, it has made others."""
    with durable_server(instrumented, tally, {"wal_keep_size": "256MB"}) as here, ExitStack() as stack:
        begin(here)
        settings = {"shared_preload_libraries": preload, "archive_mode": "off"}
        standby = stack.enter_context(open_standby(here.origin, settings=settings))
        snapshot = take(here, partial(rewind_halfway, here, standby))
        check_no_wrong_yes(here, tally, "a", snapshot, "pg_rewind that failed, and a start nevertheless")
