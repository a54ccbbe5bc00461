"""Backups on a server that may be read-only (a standby) or have a past (a restored cluster), with the model beside it.

The lockstep of ``properties.support.lockstep`` sets up a server for itself; here nothing is written. What is compared
is the outcome of each operation, and which backups are live.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.clients.client import Violation
from harness.clients.history import describe
from harness.clients.implementation import UNFENCED, Implementation
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace, Snapshot, copying
from harness.server.cluster import Cluster
from harness.server.session import Row, SqlError
from model.operations import Connect, Disconnect, Operation, Restart, RestartKind, Start, Stop
from model.outcomes import Ok, Outcome, StopRow
from model.scope import ROOT
from model.state import LIVE, initial
from model.transition import run
from properties.recording.tally import Tally

SPAN = 20_000_000
"""Bytes of a copy over which the load is spread: most of a small cluster."""


@dataclass(frozen=True)
class Stopped:
    """What a stop hands out, and what the model says of it."""

    files: BackupFiles
    restorable: bool


class ServerLockstep:
    """A server, and a model of the backups that are taken through this.

    Every operation is done in a session of its own, which then ends; the model calls each of them session 0.
    """

    def __init__(self, server: Cluster, implementation: Implementation, tally: Tally) -> None:
        self.server = server
        self.implementation = implementation
        self.tally = tally
        self.model = initial(implementation.design, (ROOT,), 1)

    def start(self, label: str) -> str:
        """Starts a backup; returns the start point."""
        row, _ = self.perform(Start(0, label), self.implementation.start, label=label, fast=True, ttl=None)
        return str(row[0])

    def stop(self, label: str) -> Stopped:
        """Stops a backup; raises SqlError if it is refused and the model agrees."""
        stop = Stop(0, label, wait_for_archive=True)
        row, expected = self.perform(stop, self.implementation.stop, label=label, wait=True, **UNFENCED)
        assert isinstance(expected, Ok)
        assert isinstance(expected.value, StopRow)
        return Stopped(BackupFiles(*row[:4]), expected.value.restorable)

    def restart(self, kind: RestartKind) -> None:
        """Restarts the server."""
        self.play(Restart(kind))
        self.server.restart(kind)
        self.agreed()

    def perform(self, operation: Start | Stop, sql: str, **parameters: object) -> tuple[Row, Outcome]:
        """One operation on both; returns the row, and what the model expects.

        Raises SqlError if both refuse it, and Violation where they disagree.
        """
        expected = [self.play(one) for one in (Connect(0, ROOT.name), operation, Disconnect(0))][1]
        answer = self.ask(sql, parameters)
        if getattr(answer, "sqlstate", None) != getattr(expected, "sqlstate", None):
            raise Violation(f"{operation}\n  returned {in_few_words(answer)}\n  expected {describe(expected)}")
        self.agreed()
        if isinstance(answer, SqlError):
            raise answer
        return answer, expected

    def play(self, operation: Operation) -> Outcome:
        """One operation in the model, where each of these has one outcome."""
        [(self.model, outcome)] = run(self.implementation.design, self.model, operation)
        return outcome

    def ask(self, sql: str, parameters: dict[str, object]) -> Row | SqlError:
        """What the server answers."""
        session = self.server.connect()
        try:
            return session.execute(sql, parameters)[0]
        except SqlError as error:
            return error
        finally:
            session.close()

    def agreed(self) -> None:
        """Counts an operation on which both agree; raises Violation unless the view shows the same backups as live."""
        self.tally.steps += 1
        expected = {label for label, backup in self.model.backups if backup.live}
        if (shown := live(self.server, self.implementation)) not in (expected, None):
            raise Violation(f"the view shows the backups {sorted(shown or ())} as live, expected {sorted(expected)}")


def live(server: Cluster, implementation: Implementation) -> set[str] | None:
    """The labels that the view shows as live; None: there is no view."""
    if implementation.view is None:
        return None
    session = server.connect()
    try:
        return {row[0] for row in session.execute(implementation.view) if row[1] in LIVE}
    finally:
        session.close()


def copy_while(server: Cluster, folder: Path, turns: Sequence[Callable[[], object]], pace: Pace) -> Snapshot:
    """Copies the server's data directory into a new folder, and does these in turn while it is being copied."""
    waiting, pause = list(turns), 0
    for snapshot in copying(server.data_dir, folder, pace):
        if waiting and snapshot.bytes > pause:
            waiting.pop(0)()
            pause += SPAN // len(turns)
    assert not waiting, f"the copy was made before all was done: it has only {snapshot.bytes} bytes"
    return snapshot


def in_few_words(answer: Row | SqlError) -> str:
    """What a server answered, but of a file of bytes only how long it is."""
    if isinstance(answer, SqlError):
        return str(answer)
    return str(tuple(f"<{len(value):,} bytes>" if isinstance(value, bytes) else value for value in answer))
