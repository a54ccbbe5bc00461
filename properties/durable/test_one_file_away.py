"""The state file of one backup is elsewhere while the server has a life, and is put back."""

from collections.abc import Callable
from random import Random

import pytest

from harness.building.build import Build
from harness.restore.snapshot import Pace
from harness.restore.workload import transfers
from harness.server.durable import configured, resumed, state_files
from properties.durable.judged import check_no_wrong_yes
from properties.durable.lockstep import DurableServer, change, durable_server, read_reserve
from properties.recording.tally import Tally
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

REWRITE = ("UPDATE reserve SET ballast = repeat('f', 100) WHERE part % 2 = 1", "CHECKPOINT")
"""Pages that no WAL of the backup has are changed without images, and written."""


def live_without(here: DurableServer, number: int) -> None:
    """A life in which the file of that backup is elsewhere, and nobody protects pages for it."""
    server = here.origin
    here.session.close()
    server.stop()
    file = state_files(server)[number]
    away = file.rename(server.folder / "away")
    with configured(server, {"full_page_writes": "off"}):
        server.start()
        session = resumed(server)
        for statement in REWRITE:
            session.execute(statement)
        session.close()
        server.stop()
    away.rename(file)
    server.start()
    here.backups.session = resumed(server)


def test_a_file_that_was_away_for_a_life_is_not_believed(instrumented: Build, tally: Tally) -> None:
    with durable_server(instrumented, tally) as here:
        read_reserve(here.session)
        here.backups.start("a")
        turns: list[Callable[[], object]] = [
            *here.backups.does(transfers, change(0), chance=Random(1)),
            lambda: live_without(here, 0),
            lambda: None,
        ]
        snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(rounds=1))
        check_no_wrong_yes(here, tally, "a", snapshot, "its state file away for a life of the server")
