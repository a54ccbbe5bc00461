"""Processes killed while they write or remove state files, and what must be left of the backup."""

import os
import signal

import pytest

from harness.clients.labelfile import parse_label_file
from harness.faults.nemesis import KILL_OF_A_PROCESS, KILL_OF_THE_POSTMASTER, Fault, Target
from harness.server.durable import MEANWHILE, STATE_DIR, configured, resumed, state_files
from harness.server.probes import lowered_too_often, set_full_page_writes
from harness.server.session import Row, SqlError
from model.operations import Hazard
from properties.durable.losses import MARK
from properties.durable.writing import LIVE, STOP, Place, Second
from properties.faults.expectations import EXPECTATIONS, GONE
from properties.faults.trials import PATIENCE, START, FaultTrials, end_of

KILLS = (KILL_OF_A_PROCESS, KILL_OF_THE_POSTMASTER)
AGAIN = "{}, and of the reaper at the restart"
"""The name of two in a row."""

CANCELLED, TERMINATED, FAILED = "pg_cancel_backend", "terminate reaper", "error"
"""How a reaper can end while the server goes on."""

LATER = "state = 'active' AND expires_at > start_time + interval '10 s'"
SHOWN = f"SELECT label, CASE WHEN {LATER} THEN 'renewed' ELSE state END, start_lsn FROM shared_backups ORDER BY label"
REFUSED = {GONE: "42704", "expired": "55000", "lost": "55000"}
"""How the stop of a backup in such a state ends."""

# One server, killed again and again


class Killing(FaultTrials):
    """One server with durable backups, of which processes are killed, and what must be left of a backup."""

    def kill(self, kill: Fault, place: Place, second: Second | None = None) -> str:
        """Somebody is killed at a place, and then, if that is said, the reaper where it takes up what was left.

        Returns what the caller was told. Raises AssertionError if all is not well afterwards.
        """
        self.begin_anew(place.work.given)
        if place.work.carried:
            self.cluster.restart("crash")
            self.resumed()
        self.at_full_strength()
        position = self.cluster.log_position()
        if second is not None:
            self.arm_next_start(second.point)
        target = self.bring(place)
        with kill.injected(target):
            if second is not None:
                self.kill_reaper(kill, second)
            end = end_of(target.pending)
        target.caller.close()
        refused = EXPECTATIONS[kill.name].refusals
        assert end.sqlstate in (refused if place.early else {None, *refused}), f"the caller was told {end}"
        self.check_left(place.comes_up)
        assert "ignoring file" not in self.cluster.log_since(position), "a file that was being written was believed in"
        return end.sqlstate or "ok"

    def kill_loser(self, kill: Fault, second: Second, hazard: Hazard) -> str:
        """The reaper is killed where it takes up a backup that is lost by that; and the next start is a good one.

        Raises AssertionError if all is not well afterwards.
        """
        self.begin_anew((START,))
        self.arm_next_start(second.point)
        self.cluster.stop()
        if hazard in MEANWHILE:
            with configured(self.cluster, MEANWHILE[hazard]):
                self.cluster.start()
            self.cluster.stop()
        with configured(self.cluster, {"full_page_writes": "off" if hazard is Hazard.PAGE_WRITES_OFF else "on"}):
            self.cluster.start()
        self.reconnect()
        self.cluster.reload(sessions=[self.admin])
        self.kill_reaper(kill, second)
        self.check_left({"lost"})
        return "ok"

    def kill_reaper(self, kill: Fault, second: Second) -> None:
        """The reaper comes to that step, and is killed."""
        self.reconnect()
        held = (self.come_to(second.point, second.earlier),)
        target = Target(self.cluster, self.points, self.admin, self.admin.submit("SELECT true"), second.point, held)
        with kill.injected(target):
            pass  # it is not let go: it is dead

    def begin_anew(self, given: tuple[str, ...]) -> None:
        """What is given, on a server that comes up protected."""
        self.resumed()
        self.protect(on=True)
        self.clear()
        for statement in given:
            self.admin.execute(statement)

    def protect(self, *, on: bool) -> None:
        """Turns full_page_writes on, with which no backup is lost, or off, so that core's counter can be read."""
        self.cluster.varied.add("full_page_writes")
        if on != (self.cluster.settings["full_page_writes"] == "on"):
            set_full_page_writes(self.cluster, self.admin, on=on)

    def resumed(self) -> None:
        """The server is up, and the backups are back."""
        self.reconnect()
        self.admin.close()
        self.points.session = resumed(self.cluster)

    def arm_next_start(self, point: str, action: str = "wait") -> None:
        """Attaches to a point for the next start of the server."""
        self.points.attach(point, action=action)
        keeper = self.cluster.connect()
        kept = keeper.submit(
            "SELECT shared_backup_injection_points_keep()"
        )  # by writing a file, with points of its own
        while not kept.done():
            self.points.wakeup(point)
        kept.result(PATIENCE)
        keeper.close()
        self.points.detach(point)

    def bring(self, place: Place) -> Target:
        """An operation on its way, held there."""
        caller = self.cluster.connect()
        if place.work.fails_at is not None:
            self.points.attach(place.work.fails_at, "held", "error")
        self.points.attach(place.step.point, "held")
        pending = caller.submit(place.work.statement)
        held = self.come_to(place.step.point, place.earlier, "held")
        return Target(self.cluster, self.points, caller, pending, place.step.point, (held,))

    def come_to(self, point: str, earlier: int, label: str | None = None) -> int:
        """Somebody is at that point, and has been there so many times before; returns who."""
        self.points.arrived(point, label)
        for _ in range(earlier):
            self.points.wakeup(point, label)
            self.points.arrived(point, label)
        return self.points.waiting(point, label)[0]

    # The reaper ends, and the server does not

    def end_reaper(self, ending: str, second: Second) -> str:
        """The reaper ends at that step, and the next one begins anew; both backups go on until they are stopped.

        Raises AssertionError if all is not well.
        """
        self.begin_anew((START, START.replace("held", "other")))
        started = self.rows()
        self.cut_reaper_short(ending, second)
        self.resumed()
        assert self.rows() == started, f"the backups were {started}, and are {self.rows()}"
        self.clean()
        self.protect(on=False)
        for label, state, start_lsn in started:
            self.counted(state)
            self.end(state, start_lsn, label)
        self.good_as_new()
        return "ok"

    def cut_reaper_short(self, ending: str, second: Second) -> None:
        """The server is restarted, and its reaper comes to that step, and not beyond it."""
        held = second if ending != FAILED else second.before
        if held is None:
            self.arm_next_start(second.point, "error")
        else:
            self.arm_next_start(held.point)
        position = self.cluster.log_position()
        self.cluster.restart("crash")
        self.reconnect()
        if held is not None:
            reaper = self.come_to(held.point, held.earlier)
            if ending == FAILED:
                self.points.attach(second.point, action="error")
                self.points.detach(held.point)
            else:
                os.kill(reaper, signal.SIGINT if ending == CANCELLED else signal.SIGTERM)
        ended = 'background worker "shared_backup reaper" (PID'
        self.eventually(lambda: ended in self.cluster.log_since(position), "the reaper has not ended")
        self.points.detach()

    # What is left

    def check_left(self, possible: set[str]) -> None:
        """The backup is in one of these states, and all is well."""
        self.resumed()
        self.protect(on=False)
        self.settled()
        _, state, start_lsn = next(iter(self.rows()), ("held", GONE, None))
        assert state in possible, f"the backup is {state}, not {' or '.join(sorted(possible))}"
        self.counted("active" if state in LIVE else state)
        self.clean()
        self.end(state, start_lsn)
        self.good_as_new()

    def rows(self) -> list[Row]:
        """Label, state and start point of each backup."""
        return self.admin.execute(SHOWN)

    def end(self, state: str, start_lsn: str | None, label: str = "held") -> None:
        """A stop hands out files that belong together, and the same ones again; or it is refused."""
        stop = STOP.replace("held", label)
        if state in REFUSED:
            with pytest.raises(SqlError, match=REFUSED[state]):
                self.admin.execute(stop)
            return
        row = self.admin.execute(stop)[0]
        found = parse_label_file(row[1])
        assert (found.label, found.start_lsn) == (label, start_lsn), f"the stop hands out {found}"
        assert (found.source == "standby") == (row[3] is not None), "label file and control file do not belong together"
        assert self.admin.execute(stop) == [row], "a repeated stop differs"

    def good_as_new(self) -> None:
        """Core has been released as often as it was held; the next backup is good, and nothing is left over."""
        self.counted("stopped")
        assert not lowered_too_often(self.admin), "core was released more often than it was held"
        self.use()
        self.clean()
        self.alone()
        self.clear()

    def clean(self) -> None:
        """No file without a backup, no half a file, no slot; but the mark is there."""
        self.kept()
        known = {"server", "clock", *(file.name for file in state_files(self.cluster))}
        left = {path.name for path in (self.cluster.data_dir / STATE_DIR).iterdir()} - known
        assert not left, f"files are left over: {sorted(left)}"
        slots = {f"pg_replslot/{path.name}" for path in (self.cluster.data_dir / "pg_replslot").iterdir()}
        assert slots == {MARK}, f"beside the mark of the last start, there should be no slots: {sorted(slots)}"
