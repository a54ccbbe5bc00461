"""What the extension counts, against what there is in the model, seen or not: its limits go by that, and leaks show."""

import time

from harness.clients.client import Client, Violation
from harness.clients.implementation import Capability
from harness.server.durable import state_files
from model.state import USELESS, Cluster

COUNTS = "SELECT live, results, chunks FROM shared_backup_counts()"
SETTLE = "SELECT shared_backup_reaper_settle()"
"""Waits until the reaper has done what was to be done."""
PATIENCE, PAUSE = 30.0, 0.001
"""Seconds for a start that has answered to remove the state file of what it replaces; and between looks."""


def check_counts(client: Client, model: Cluster) -> None:
    """Compares them; raises Violation. For the extension alone, as others may count something else."""
    if not {Capability.EXTENSION, Capability.INSTRUMENTS}.issubset(client.implementation.capabilities):
        return
    expected = counts(model)
    if client.admin.execute(COUNTS) != [expected]:
        client.admin.execute(SETTLE)
        if (counted := client.admin.execute(COUNTS)) != [expected]:
            raise Violation(f"live backups, results, chunks: {counted[0]} are counted, and {expected} are there")
    if client.implementation.durable:
        await_files(client, len(model.backups))


def counts(model: Cluster) -> tuple[int, int, int]:
    """How many live backups, results, and chunks of memory there are.

    Whatever is remembered has a chunk for its label, and what can be stopped has one for its files.
    """
    states = [backup.state for _, backup in model.backups]
    live = model.live_backups()
    return live, len(states) - live, len(states) + len([state for state in states if state not in USELESS])


def await_files(client: Client, expected: int) -> None:
    """Waits until there are so many state files; raises Violation."""
    deadline = time.monotonic() + PATIENCE
    while (files := len(state_files(client.cluster))) != expected:
        if time.monotonic() > deadline:
            raise Violation(f"there are {files} state files for {expected} backups")
        time.sleep(PAUSE)
