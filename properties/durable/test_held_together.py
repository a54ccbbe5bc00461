"""Backups that have crossed a restart share one hold on core: it is let go when the last of them has ended."""

from contextlib import ExitStack

import pytest

from harness.building.build import Build
from harness.server.controldata import NONCE, control_data
from harness.server.durable import resumed
from properties.durable.losses import CALLS, START, check_released, counted, open_server
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

FIRST = {
    "stop": CALLS["stop"],
    "abort": CALLS["abort"],
    "expiry": "SELECT shared_backup_clock_advance('1 hour')",
}
LAST = {call: statement.replace("'a'", "'b'").replace("1 hour", "2 hours") for call, statement in FIRST.items()}
TTL = {"a": "30 min", "b": "90 min"}
"""So that the first expires after an hour, and the other one after two more at the latest."""


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("first", FIRST)
def test_the_end_of_one_that_crossed_a_restart_leaves_the_others_protected(
    instrumented: Build, tally: Tally, first: str, last: str
) -> None:
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session = resumed(server)
        session.execute("SELECT shared_backup_clock_freeze()")
        for label, ttl in TTL.items():
            session.execute(START.replace("'a'", f"'{label}'"), (ttl,))
        session.close()
        server.restart("fast")
        session = resumed(server)
        session.execute(FIRST[first])
        assert counted(server, session), f"the {first} of one has let go of the other"
        session.execute(LAST[last])
        check_released(server, session)
        session.close()
        tally.steps += 2


def test_the_secret_in_a_control_file_is_that_backup_s_alone(instrumented: Build, tally: Tally) -> None:
    """Servers that are restored from it send it to whoever comes: it is nobody else's, and cannot be guessed."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack)
        session = resumed(server)
        for label in ("a", "b"):
            session.execute(START.replace("'a'", f"'{label}'"), (None,))
        session.close()
        server.restart("fast")
        session = resumed(server)
        stop = "SELECT controlfile FROM shared_backup_stop(%s, false)"
        control_files = [session.execute(stop, (label,))[0][0] for label in ("a", "b")]
        secrets = {control_data(server, content)[NONCE] for content in (*control_files, None)}
        assert len(secrets) == 3, "two of the two backups and the server share one"
        session.close()
        tally.steps += 4


@pytest.mark.parametrize("archive_mode", ["on", "off"])
def test_the_wal_of_a_backup_that_crossed_a_restart_is_complete_at_its_stop(
    instrumented: Build, tally: Tally, archive_mode: str
) -> None:
    """As core's own: flushed, in a segment that is over, for whoever fetches it, and with whatever means."""
    with tally.example(), ExitStack() as stack:
        server = open_server(instrumented, stack, archive_mode=archive_mode)
        session = resumed(server)
        session.execute(START, (None,))
        session.close()
        server.restart("fast")
        session = resumed(server)
        complete = (
            "SELECT lsn <= pg_current_wal_flush_lsn(),"
            " pg_walfile_name(lsn - 1) < pg_walfile_name(pg_current_wal_insert_lsn())"
            " FROM shared_backup_stop('a', false)"
        )
        assert session.execute(complete) == [(True, True)]
        session.close()
        tally.steps += 2
