"""Injection points in the instrumented extension: a process that reaches one is held there, let go, or made to fail.

The names, and what they stand for, are in ``harness/extension/injection_points.c``.
"""

import time
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from harness.server.cluster import ClusterError
from harness.server.session import Session

PATIENCE = 30.0
PAUSE = 0.0002

STARTING = (
    "start-reserved",
    "start-requested",
    "start-taken",
    "start-point-taken",
    "start-published",
    "start-accepted",
)
STOPPING = ("stop-claimed", "stop-core-ended", "stop-published", "stop-waiting-archive")
ABORTING = ("abort-claimed", "abort-released")
EXPIRING = ("reaper-expiring", "reaper-expired")
CHECKED = ("start-checked", "backup-found")
"""Where an operation has looked at what there is, and has not begun: see properties/concurrency/test_looked_at.py."""
LOOKED = ("reaper-looked", "start-looked", "starter-looked")
"""Where somebody has looked: the reaper at all backups, a start at its worker, a worker for a request."""
DOOMED = "result-doomed"
"""Where a result is to be forgotten, and may be replaced first: see properties/limits/test_results.py."""
POINTS = (*STARTING, *STOPPING, *ABORTING, *EXPIRING)
WRITING = ("file-written", "file-flushed", "file-renamed", "file-removed")
HOLDER = "holder-started"
"""Where a worker has had core held again, and may come second: see properties/durable/test_resuming.py."""
RESUMING = ("resume-begun", "resume-held", "resume-decided", "resume-done")
DURABLE_POINTS = (*WRITING, HOLDER, *RESUMING)
"""Points that only a server with durable backups comes to."""
ALL_POINTS = (*CHECKED, *LOOKED, DOOMED, *POINTS, *DURABLE_POINTS)


class Attached(NamedTuple):
    """A point as it is attached for a label (None: for any)."""

    point: str
    label: str | None
    action: str
    waiting: tuple[int, ...]
    """The processes that wait there."""
    passed: int
    """How many were let go, or have failed there."""


class InjectionPoints:
    """The points of one server, through a session of a superuser."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def names(self) -> list[str]:
        """All of them."""
        return [row[0] for row in self.session.execute("SELECT DISTINCT point FROM shared_backup_injection_points()")]

    def may_fail(self, point: str) -> bool:
        """Can there be an error?"""
        query = "SELECT may_fail FROM shared_backup_injection_points() WHERE point = %s"
        return bool(self.session.execute(query, (point,))[0][0])

    def attach(self, point: str, label: str | None = None, action: str = "wait") -> None:
        """Whoever comes there from now on waits; or the first one does (``hold``), or fails (``error``)."""
        self.session.execute("SELECT shared_backup_injection_point_attach(%s, %s, %s)", (point, action, label))

    def attach_all(self, places: Iterable[tuple[str, str | None]]) -> None:
        """Whoever comes to one of these points, at work on that label, waits."""
        points, labels = zip(*places, strict=True)
        self.session.execute(
            "SELECT shared_backup_injection_point_attach(p, 'wait', label)"
            " FROM unnest(%s::text[], %s::text[]) AS t (p, label)",
            (list(points), list(labels)),
        )

    def wakeup(self, point: str, label: str | None = None) -> int:
        """Those who wait there go on, and others will wait again; returns how many they are."""
        return int(self.session.execute("SELECT shared_backup_injection_point_wakeup(%s, %s)", (point, label))[0][0])

    def detach(self, point: str | None = None) -> None:
        """Nobody waits there any more (None: nor anywhere else), and whoever does goes on."""
        self.session.execute("SELECT shared_backup_injection_point_detach(%s)", (point,))

    def attached(self) -> list[Attached]:
        """The points that are attached."""
        query = (
            "SELECT point, label, action, waiting, passed FROM shared_backup_injection_points()"
            " WHERE action IS NOT NULL ORDER BY point, label"
        )
        return [
            Attached(point, label, action, tuple(pids), n)
            for point, label, action, pids, n in self.session.execute(query)
        ]

    def waiting(self, point: str, label: str | None = None) -> tuple[int, ...]:
        """The processes that wait there, as attached for that label."""
        query = (
            "SELECT waiting FROM shared_backup_injection_points() WHERE point = %s AND label IS NOT DISTINCT FROM %s"
        )
        return tuple(pid for (pids,) in self.session.execute(query, (point, label)) for pid in pids)

    def arrived(
        self,
        point: str,
        label: str | None = None,
        over: Callable[[], bool] = lambda: False,
        others: Collection[int] = (),
    ) -> bool:
        """Waits until somebody waits there beside these ``others``, as attached for that label, or it is ``over``.

        Is anybody there?
        """
        deadline = time.monotonic() + PATIENCE
        while set(self.waiting(point, label)) <= set(others):
            if over():
                return False
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"nobody came to {point} ({label}) within {PATIENCE} s; attached are {self.attached()}"
                )
            time.sleep(PAUSE)
        return True
