"""More durable backups than the reaper takes at a time come due at one moment."""

import pytest

from harness.clients.client import Client
from harness.server.durable import state_files
from harness.server.probes import forced_full_page_writes
from properties.recording.tally import Tally

pytestmark = pytest.mark.server

MANY = 300


def test_all_that_is_due_at_once_expires_and_is_forgotten_at_once(durable: Client, tally: Tally) -> None:
    """Their labels, and so the files that are kept for them, are of all lengths up to some hundred bytes."""
    durable.afresh()
    admin, cluster = durable.admin, durable.cluster
    durable.freeze()
    with tally.example():
        start = (
            "SELECT count(shared_backup_start(rpad(n::text, n, 'x'), true, '10 s')) FROM generate_series(3, 2 + %s) n"
        )
        admin.execute(start, (MANY,))
        tally.steps += MANY
        assert forced_full_page_writes(admin)
        position = cluster.log_position()
        admin.execute("SELECT shared_backup_clock_advance('10 s')")
        assert not forced_full_page_writes(admin), "core is held by some of them"
        assert admin.execute("SELECT state, count(*) FROM shared_backups GROUP BY state") == [("expired", MANY)]
        assert len(state_files(cluster)) == MANY
        admin.execute("SELECT shared_backup_clock_advance('1 day')")
        assert not admin.execute("SELECT label FROM shared_backups")
        assert not state_files(cluster), "some of them are still in files"
        assert "ERROR" not in cluster.log_since(position), "the reaper has stumbled"
