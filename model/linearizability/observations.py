"""What the rows of a concurrent history say about backups, long before the calls that returned them have to complete.

Some of what a row says can not come back: a label's start points only rise, a stopped backup does not run again, the
times at which a backup was started and stopped do not change, and the clock goes forward. A search that looks ahead to
the rows turns back as soon as it has gone past one of them, and not only when the call completes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

from model.design import Design
from model.linearizability.calls import Call, rows
from model.numbers import StartPoint, Time
from model.operations import ListBackups, Stop
from model.outcomes import BackupRow, StopRow
from model.state import ACTIVE, EXPIRED, LOST, STARTING, STOPPED, Cluster


class Observations:
    """The rows of a history's calls, which go by number."""

    def __init__(self, design: Design, calls: Sequence[Call]) -> None:
        self.seen: list[list[tuple[str, StartPoint, bool]]] = [[] for _ in calls]
        """The backups that each call saw: under which label, its start point, and whether it was seen running, as it
        also is by the stop that ends it."""
        self.started: dict[StartPoint, Time] = {}
        """When the backups with these start points were started, as far as it was seen."""
        self.stopped: dict[StartPoint, Time] = {}
        """When they were stopped."""
        for number, call in enumerate(calls):
            if isinstance(call.operation, Stop | ListBackups) and not design.session_bound:
                for row in rows(call.outcome):
                    if row.start_point is not None:
                        running = row.state == ACTIVE if isinstance(row, BackupRow) else row.repeated is False
                        self.seen[number].append((row.label, row.start_point, running))
                        self.note_times(row)
        self.points = sorted(self.started)
        self.latest = [inf] * (len(self.points) + 1)
        """How late it can be before that many of the start points have been taken."""
        for position in range(len(self.points) - 1, -1, -1):
            self.latest[position] = min(self.latest[position + 1], self.started[self.points[position]])

    def note_times(self, row: object) -> None:
        """What a row says about the times of its backup."""
        if isinstance(row, BackupRow | StopRow) and row.start_point is not None and row.stop_time is not None:
            self.stopped[row.start_point] = row.stop_time
        if isinstance(row, BackupRow) and row.start_point is not None and row.start_time is not None:
            self.started[row.start_point] = row.start_time

    def contradict(self, cluster: Cluster, unfinished: Sequence[int]) -> bool:
        """Is there something that must yet be seen, or has been, and can not be any more?"""
        if cluster.now > self.latest[bisect_right(self.points, cluster.start_points)]:
            return True
        for _, backup in cluster.backups:
            point = backup.start_point
            if point in self.started and self.started[point] != backup.start_time:
                return True
            if backup.stop_time is not None and self.stopped.get(point, backup.stop_time) != backup.stop_time:
                return True
        return any(gone_by(cluster, *seen) for number in unfinished for seen in self.seen[number])


def gone_by(cluster: Cluster, label: str, point: StartPoint, running: bool) -> bool:
    """Was this backup there, and can not be seen so any more?"""
    if point > cluster.start_points:
        return False
    backup = cluster.backup(label)
    if backup is None or backup.start_point != point:
        return backup is None or backup.state is not STARTING
    return running and backup.state in (STOPPED, EXPIRED, LOST)
