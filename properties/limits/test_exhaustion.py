"""Shared memory is used up: a start fails and leaves no trace, whatever it lacked memory for; the rest goes on.

Nothing is injected: the dynamic shared memory area of the instrumented flavour has a limit, and other backups fill it.
"""

import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from harness.building.build import Build
from harness.clients.implementation import DURABLE, SHARED
from harness.machine.postgres import as_user
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.probes import forced_full_page_writes, lowered_too_often, prepare_probe
from harness.server.session import SqlError
from properties.recording.tally import Tally
from properties.support.servers import server_settings

pytestmark = pytest.mark.server

OUT_OF_MEMORY = "53200"
FAULT = "shared memory used up"
LENGTHS = ((0,), (0, 500, 900, 1000))
STAGES = [(limit, lengths) for limit in range(400_000, 1_600_001, 100_000) for lengths in LENGTHS]
ROUNDS = 250
"""So many operations, within so many bytes, with labels of these lengths beside a number: memory comes in pieces of
several sizes, and is used up for each of them by itself. There are as many stages as it takes to see all of that."""

AGAIN = 100
"""So often some try again: if a failed start kept something, another thing would be lacking before long."""
LABEL_HEADER = 76
"""Bytes that a label is kept with."""
FRESH = "0 "
"""Memory is given back to labels of about the same length: a block of it that has served some is kept for them."""
LARGE_TABLE = 2048
"""Bytes that the hash table needs when it grows for the first time."""
WARM = "SELECT warm_pid IS NOT NULL FROM shared_backup_starter()"
PATIENCE = 30.0
CARRIED = 10
"""Backups that cross a restart: there may be room for the results of some."""
KINDS = ("stop", "abort", "renew", *["start"] * 7)
PLACES = ("for its label", "for its entry", "for a larger table", "for its files")
"""What a start asks memory for, one after the other; the last one in its worker, with its start point taken."""


class Tight:
    """A server whose shared memory is used up, and what is open there."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.admin = cluster.connect()
        self.admin.execute("CREATE EXTENSION IF NOT EXISTS shared_backup")
        self.admin.execute("CREATE EXTENSION IF NOT EXISTS shared_backup_instruments")
        self.admin.execute("SELECT shared_backup_clock_freeze()")
        prepare_probe(self.admin)
        self.states: dict[str, str] = {}
        """What the labels should be."""

    def limit(self, size: int | None) -> None:
        self.admin.execute("SELECT shared_backup_limit_memory(%s)", (size,))

    def start(self, label: str) -> str | None:
        """A start; returns what there was no memory for, None if it succeeded. Raises AssertionError."""
        shown, requests = self.rows_in_view(label), self.requests()
        try:
            self.admin.execute("SELECT shared_backup_start(%s, true, '1 h')", (label,))
        except SqlError as error:
            if error.sqlstate != OUT_OF_MEMORY:
                raise
            detail = str(error.detail)
        else:
            self.states[label] = "active"
            return None
        assert self.rows_in_view(label) == shown, f"it failed, and there was {shown}, and is {self.rows_in_view(label)}"
        return self.lacking(label, detail, self.requests() > requests)

    def lacking(self, label: str, detail: str, requested: bool) -> str:
        """What there was no memory for: a request to the worker had come before, or not; by its size."""
        size = int(detail.removesuffix(".").split()[-1])
        if requested:
            return "for its files"
        if size == LABEL_HEADER + len(label):
            return "for its label"
        return "for a larger table" if size >= LARGE_TABLE else "for its entry"

    def end(self, function: str, label: str) -> None:
        """A stop, abort or renewal; these need no memory. Raises SqlError."""
        more = {"stop": ", wait_for_archive => false", "renew": ", '1 h'"}.get(function, "")
        self.admin.execute(f"SELECT shared_backup_{function}(%s{more})", (label,))
        if function == "stop":
            self.states[label] = "stopped"
        elif function == "abort":
            del self.states[label]

    def rows_in_view(self, label: str) -> list[tuple[object, ...]]:
        """What the view shows of a label."""
        return self.admin.execute("SELECT * FROM shared_backups WHERE label = %s", (label,))

    def requests(self) -> int:
        """How many starts have come to a worker."""
        return int(self.admin.execute("SELECT warm_starts + cold_starts FROM shared_backup_starter()")[0][0])

    def check(self) -> None:
        """The view, the registry's count and core's are as they should be; raises AssertionError."""
        assert dict(self.admin.execute("SELECT label, state FROM shared_backups")) == self.states
        live = [*self.states.values()].count("active")
        assert self.admin.execute("SELECT live FROM shared_backup_reaper()") == [(live,)]
        forced = forced_full_page_writes(self.admin)
        assert forced == bool(live), f"{live} are live, and core {'counts' if forced else 'does not count'} a backup"

    def fill(self) -> None:
        """Large ones use up what is left."""
        self.limit(0)
        assert any(self.start(f"{number} " + "x" * 900) for number in range(1000)), "there is still memory"


@pytest.fixture
def tight(
    request: pytest.FixtureRequest, instrumented: Build, instruments: None, durable_backups: None
) -> Iterator[Tight]:
    with open_cluster(instrumented, settings=server_settings(request.param)) as cluster:
        yield Tight(cluster)


@pytest.mark.parametrize("tight", [SHARED, DURABLE], ids=["shared", "durable"], indirect=True)
def test_a_start_without_memory_leaves_no_trace(tight: Tight, tally: Tally) -> None:
    """... of itself, or of what it was to replace; meanwhile others can be stopped, aborted and renewed, and expire."""
    chance, lacked, tried = Random(0), Counter[str](), set[tuple[str, int]]()
    with tally.example():
        for limit, lengths in STAGES:
            if set(lacked) == set(PLACES):
                break
            tight.limit(limit)
            for _ in range(ROUNDS):
                tally.steps += 1
                label, kind = chance.choice([*tight.states, ""]), chance.choice(KINDS)
                if kind == "start" and (chance.random() < 0.9 or tight.states.get(label) != "stopped"):
                    label = f"{tally.steps} " + "x" * chance.choice(lengths)
                if kind == "start":
                    if place := tight.start(label):
                        if (place, len(label)) not in tried:
                            tried.add((place, len(label)))
                            assert {tight.start(label) for _ in range(AGAIN)} == {place}, f"{label} lost some memory"
                        lacked[place] += 1
                        tally.count_fault(FAULT, place, lambda: OUT_OF_MEMORY)
                elif tight.states.get(label) == "active":
                    tight.end(kind, label)
            tight.check()
        assert set(lacked) == set(PLACES), f"of those that failed, {lacked} had no memory"
        tally.notes.append(f"starts without memory {', '.join(f'{place}: {lacked[place]}' for place in PLACES)}")

        tight.admin.execute("SELECT shared_backup_clock_advance('1 h')")
        tight.states = {label: "expired" for label, state in tight.states.items() if state == "active"}
        tight.check()
        tight.admin.execute("SELECT shared_backup_clock_advance('1 h')")
        tight.states = {}
        tight.check()
        assert tight.start(FRESH) is None, "all others are forgotten, and there is still no memory"
        tight.limit(None)
        for number in range(100):
            assert tight.start(f"{number}" + "x" * 1000) is None, "there is memory again, but not for starts"
        tight.check()
        for label in [*tight.states]:
            tight.end("abort", label)
        tight.check()
        assert not lowered_too_often(tight.admin), "core was released more often than backups were started"


@pytest.mark.parametrize("tight", [DURABLE], ids=["durable"], indirect=True)
def test_a_stop_without_memory_for_its_result_leaves_no_trace(tight: Tight, tally: Tally) -> None:
    """Only a backup that has crossed a restart needs any: its result is longer than it was itself."""
    with tally.example():
        for number in range(CARRIED):
            assert tight.start(f"carried {number}") is None
        tight.admin = durable.restart(tight.cluster, "crash")
        tight.fill()
        for number in range(CARRIED):
            tally.count_fault(FAULT, "for the result of a stop", partial(stop, tight, f"carried {number}"))
            tally.steps += 1
        tight.check()
        refused = [label for label, state in tight.states.items() if (label[:7], state) == ("carried", "active")]
        assert refused, f"there was memory for {CARRIED} results"
        tight.admin = durable.restart(tight.cluster, "crash")
        tight.check()
        for label in refused:
            tight.end("stop", label)
        tight.check()


@pytest.mark.parametrize("tight", [SHARED], ids=["shared"], indirect=True)
def test_a_warm_worker_needs_no_memory_until_there_is_a_request(tight: Tight, tally: Tally) -> None:
    """It is there, waits, and does not complain in the log once a second."""
    with tally.example():
        tight.limit(600_000)
        assert any(tight.start(f"{number:036d}") for number in range(1000)), "there is still memory"
        tight.cluster.wait_until(lambda: tight.admin.execute(WARM) == [(True,)], PATIENCE, "a warm worker")
        tally.steps += 1


NO_LIMIT = {"shared_backup.max_results": "-1", "shared_backup.max_results_size": "-1"}
RESULTS = 900
LONG = "l" * 1000
"""Results with such labels need several segments of shared memory."""
STOP_MANY = (
    "SELECT shared_backup_start(label, true), shared_backup_stop(label, false)"
    f" FROM (SELECT number || '{LONG}' FROM generate_series(1, {RESULTS}) number) labels (label)"
)
LITTLE = 400_000
"""Bytes of address space that are left to a process: less than another segment."""
SHORT = "FROM shared_backups WHERE length(label) = 1"
STOP = "SELECT lsn FROM shared_backup_stop('x', false)"


def limit_address_space(cluster: Cluster, pid: int) -> None:
    """A process of the server cannot map much more than it has mapped now."""
    pages = int(Path("/proc", str(pid), "statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + LITTLE
    # by the server's user: the superuser of a container may have no right to
    command = as_user(cluster.user, "prlimit", f"--pid={pid}", f"--as={limit}:")
    subprocess.run(command, check=True, cwd="/")


@pytest.mark.usefixtures("instruments", "result_limits")
def test_a_stop_that_cannot_reach_the_other_results_holds_up_nobody(instrumented: Build, tally: Tally) -> None:
    """It finds that when core has ended its backup already; whether or not it succeeds, all others go on."""
    with open_cluster(instrumented, settings={**server_settings(SHARED), **NO_LIMIT}) as cluster, tally.example():
        tight, caller = Tight(cluster), cluster.connect()
        assert tight.start("x") is None
        tight.admin.execute(STOP_MANY)
        points, position = InjectionPoints(tight.admin), cluster.log_position()
        points.attach("stop-core-ended", "x")
        stop = caller.submit(STOP)
        assert points.arrived("stop-core-ended", "x")
        limit_address_space(cluster, caller.pid)
        points.detach()
        cluster.wait_until(stop.done, PATIENCE, "the stop to end, one way or the other")
        caller.close()

        others = cluster.connect()
        states: dict[str, str] = dict(others.execute(f"SELECT label, state {SHORT}"))
        outcome = "ok" if stop.future.exception() is None else "failed"
        assert states == ({"x": "stopped"} if outcome == "ok" else {}), f"the stop: {outcome}"
        assert others.execute("SELECT live FROM shared_backup_reaper()") == [(0,)]
        assert not forced_full_page_writes(tight.admin), "core counts a backup that has ended"
        others.execute("SELECT shared_backup_start('y', true), shared_backup_stop('y', false)")
        others.execute("SELECT shared_backup_start('x', true), shared_backup_stop('x', false)")
        assert not lowered_too_often(tight.admin), "core was released more often than backups were started"
        assert "could not map shared memory segment" in cluster.log_since(position), "it had memory enough"
        tally.count_fault(FAULT, "for the list of results", lambda: outcome)
        tally.steps += 1
        others.close()


START_MANY = (
    f"SELECT shared_backup_start(number || '{LONG}', true, '1 h') FROM generate_series(%s::int, %s::int) number"
)
WITHIN_REACH, IN_ALL = 900, 1200
"""Backups: with such labels, the last of them need another segment of shared memory, or several."""
REAPER = "SELECT pid FROM shared_backup_reaper() WHERE pid IS NOT NULL"
EXPIRED = "SELECT state, count(*) FROM shared_backups GROUP BY 1"


@pytest.mark.usefixtures("instruments", "result_limits")
def test_a_reaper_that_cannot_reach_all_backups_has_core_released_from_those_that_it_could(
    instrumented: Build, tally: Tally
) -> None:
    """It finds that when some have expired already; the next reaper has memory, and does the rest."""
    with open_cluster(instrumented, settings={**server_settings(SHARED), **NO_LIMIT}) as cluster, tally.example():
        tight = Tight(cluster)
        tight.admin.execute(START_MANY, (1, WITHIN_REACH))
        tight.admin.execute("SELECT shared_backup_reaper_settle()")
        ((pid,),) = tight.admin.execute(REAPER)
        limit_address_space(cluster, pid)
        tight.admin.execute(START_MANY, (WITHIN_REACH + 1, IN_ALL))
        position = cluster.log_position()
        tight.admin.execute("SELECT shared_backup_clock_advance('1 h')")
        others = cluster.connect()
        another = lambda: others.execute(REAPER) not in ([], [(pid,)])  # noqa: E731
        cluster.wait_until(another, PATIENCE, "another reaper")
        others.execute("SELECT shared_backup_reaper_settle()")
        assert "could not map shared memory segment" in cluster.log_since(position), "it had memory enough"
        assert others.execute(EXPIRED) == [("expired", IN_ALL)]
        assert not forced_full_page_writes(others), "core counts a backup that has expired"
        assert not lowered_too_often(others), "core was released more often than backups were started"
        tally.count_fault(FAULT, "for the reaper", lambda: "ok")
        tally.steps += 1
        others.close()


def stop(tight: Tight, label: str) -> str:
    """Returns what the caller was told."""
    try:
        tight.end("stop", label)
    except SqlError as error:
        if error.sqlstate != OUT_OF_MEMORY:
            raise
        return OUT_OF_MEMORY
    return "ok"
