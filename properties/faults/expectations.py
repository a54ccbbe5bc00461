"""What may be expected of each fault: what the caller is told, where it strikes, and how the backup may be left.

There is a row for each of ``harness.faults.nemesis.FAULTS``, by its name; ``test_expectations.py`` sees to it.
"""

from collections.abc import Mapping, Set
from typing import NamedTuple

from harness.server.injection_points import POINTS
from harness.server.session import CONNECTION_FAILURE
from model.outcomes import SqlState

GONE = "gone"
UNDONE = {"start": GONE, "stop": "active", "abort": "active", "reaper": "active"}
"""How the backup is if the operation left no trace."""
DONE = {"start": "active", "stop": "stopped", "abort": GONE, "reaper": "expired"}
"""How it is if the operation took place."""

SHUT_DOWN, CRASHED = "57P01", "57P02"
INTERNAL, WRONG_KIND_OF_FILE = "XX000", "42809"
DYING = frozenset({SHUT_DOWN, CRASHED, CONNECTION_FAILURE})
"""What a session may be told that is ended, or whose server is."""

CALLED = ("start", "stop", "abort")
NOT_CALLED = "nobody calls for what the reaper does"
NOBODY: Set[str] = frozenset()


class Expectation(NamedTuple):
    """What may be expected of a fault."""

    refusals: Set[str] = NOBODY
    """The SQLSTATEs that the caller may see; he may always see success."""
    early: Set[str] = NOBODY
    """The SQLSTATEs that he may see as well if it strikes before the operation has been looked at."""
    at: tuple[str, ...] = (*CALLED, "reaper")
    """It strikes at the points whose names begin so."""
    not_elsewhere: str = ""
    """Why it strikes at no other points."""
    briefly_at: tuple[str, ...] = ()
    """The only points where it strikes if there is little time, because it takes a second to heal."""
    leaves: Set[str] = NOBODY
    """States that it may leave the backup in, beside that from before the operation and that from after it."""

    def points(self) -> list[str]:
        """Where it strikes if there is time."""
        return [point for point in POINTS if point.startswith(self.at)]

    def refused(self, point: str | None) -> Set[str]:
        """The SQLSTATEs that the caller may see when it strikes there (None: at any moment)."""
        return self.refusals if point is not None else self.refusals | self.early

    def states(self, kind: str, *, took_place: bool) -> set[str]:
        """How the backup may be after an operation of that kind, which took place for sure, or may have."""
        return {DONE[kind], *self.leaves, *(() if took_place else (UNDONE[kind],))}


EXPECTATIONS: Mapping[str, Expectation] = {
    "cancel": Expectation({SqlState.QUERY_CANCELED}, at=CALLED, not_elsewhere=NOT_CALLED),
    # a reaper that was cancelled is another's beginning; the caller waits for that one
    "pg_cancel_backend": Expectation({SqlState.QUERY_CANCELED}),
    "statement_timeout": Expectation({SqlState.QUERY_CANCELED}, at=CALLED, not_elsewhere=NOT_CALLED),
    "terminate caller": Expectation(DYING),
    "terminate starter": Expectation({SHUT_DOWN}, briefly_at=("start-requested", "start-taken", "start-point-taken")),
    "terminate reaper": Expectation(
        briefly_at=("start-requested", "stop-core-ended", "reaper-expiring", "reaper-expired")
    ),
    "client gone": Expectation(DYING),
    "client gone, unnoticed": Expectation(DYING),
    "SIGSTOP": Expectation(),
    "error": Expectation({INTERNAL}, leaves={GONE}),
    "another session's abort": Expectation(early={SqlState.OBJECT_IN_USE, SqlState.UNDEFINED_OBJECT}, leaves={GONE}),
    "another session's stop": Expectation(
        early={SqlState.OBJECT_IN_USE, SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE}, leaves={"stopped"}
    ),
    "no worker left": Expectation(
        {SqlState.INSUFFICIENT_RESOURCES},
        at=("start",),
        not_elsewhere="a start takes no longer than it takes to get its worker; others need none",
    ),
    "history file not writable": Expectation(
        {WRONG_KIND_OF_FILE},
        at=("stop-claimed",),
        not_elsewhere="it is core's last act in a stop to write it",
        leaves={GONE},  # as with core: that comes after the backup has ended
    ),
    "archive not writable": Expectation(at=("stop",), not_elsewhere="nobody else waits for the archive"),
    "archive_command failing": Expectation(
        {SqlState.QUERY_CANCELED}, at=("stop",), not_elsewhere="nobody else waits for the archive"
    ),
    "clock forwards": Expectation(early={SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE}, leaves={"expired"}),
    "clock back": Expectation(leaves={"active"}),
    "settings reloaded": Expectation(early={SqlState.CONFIGURATION_LIMIT_EXCEEDED}),
    "role dropped": Expectation(
        early={SqlState.INSUFFICIENT_PRIVILEGE}, at=CALLED, not_elsewhere="the reaper acts for no role"
    ),
    "EXECUTE revoked": Expectation(
        early={SqlState.INSUFFICIENT_PRIVILEGE}, at=CALLED, not_elsewhere="the reaper acts for no role"
    ),
    "SIGKILL of a backend": Expectation(DYING),
    "SIGKILL of the postmaster": Expectation(DYING),
    "SIGQUIT of the postmaster": Expectation(DYING),
    "power cut": Expectation(DYING),
}
