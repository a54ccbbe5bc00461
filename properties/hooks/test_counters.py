"""The counters count what was done: walks of operations, beside a tally of what came of each."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.session import Session, SqlError
from model.operations import Hazard
from properties.recording.tally import Tally
from properties.support.profiles import examples

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

LABELS = ("a", "b", "c")
OPERATIONS = ("start", "start with a deadline", "stop", "abort", "failing stop", "wait")
RESTARTS = ("fast", "immediate", "crash", Hazard.PAGE_WRITES_OFF, Hazard.ABSENCE)
COUNTERS = ("started", "carried", "stopped", "aborted", "expired", "failed", "lost")
STEPS = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(LABELS)), max_size=25)
WALKS = st.lists(STEPS, min_size=1, max_size=3)
"""What is done before, between and after restarts."""


class Bookkeeper:
    """A server, and what is known of it by whoever has called its functions."""

    def __init__(self, server: Cluster, tally: Tally) -> None:
        self.server = server
        self.tally = tally
        self.session = server.connect()
        self.is_durable = durable.SETTINGS.items() <= server.settings.items()
        self.live: dict[str, bool] = {}
        """The labels of live backups, and whether they have a deadline."""
        self.counted: Counter[str] = Counter()
        self.restart("fast")

    def restart(self, how: str | Hazard) -> None:
        """Counting begins anew."""
        hazard = how if isinstance(how, Hazard) else None
        self.session.close()
        self.session = durable.restart(self.server, "fast" if hazard else how, hazard)
        self.counted = Counter()
        if self.is_durable:
            self.counted["lost" if hazard else "carried"] = len(self.live)
        if hazard or not self.is_durable:
            self.live = {}
        self.check()

    def step(self, operation: str, label: str) -> None:
        """One operation; what is refused is not counted."""
        if operation == "wait":
            self.session.execute("SELECT shared_backup_clock_advance('2 hours')")
            self.session.execute("SELECT shared_backup_reaper_settle()")
            self.counted["expired"] += sum(self.live.values())
            self.live = {label: False for label, expires in self.live.items() if not expires}
        elif operation.startswith("start"):
            ttl = "1 hour" if operation != "start" else None
            if self.done("SELECT shared_backup_start(%s, true, %s::interval)", label, ttl):
                self.live[label] = ttl is not None
                self.counted["started"] += 1
        elif label in self.live and (how := self.ended(operation, label)):
            del self.live[label]
            self.counted[how] += 1
        self.check()

    def ended(self, operation: str, label: str) -> str | None:
        """Ends a backup; returns how that is counted."""
        if operation == "abort":
            return "aborted" if self.done("SELECT shared_backup_abort(%s)", label) else None
        points = InjectionPoints(self.session)
        failing = operation == "failing stop"
        if failing:
            points.attach("stop-core-ended", label, action="error")
        try:
            done = self.done("SELECT shared_backup_stop(%s, false)", label)
        finally:
            points.detach()
        if done:
            return "stopped"
        return "failed" if failing and not self.shown(label) else None

    def done(self, query: str, *parameters: object) -> bool:
        """Was it?"""
        try:
            self.session.execute(query, parameters)
        except SqlError:
            return False
        return True

    def shown(self, label: str) -> bool:
        """Is there such a backup?"""
        return bool(self.session.execute("SELECT FROM shared_backups WHERE label = %s", (label,)))

    def check(self) -> None:
        """The counters are what was counted here, and agree with the view."""
        found = stats(self.session)
        assert {name: found[name] for name in COUNTERS} == {name: self.counted[name] for name in COUNTERS}
        ended = sum(found[name] for name in ("stopped", "aborted", "expired", "failed"))
        live = self.session.execute("SELECT count(*) FROM shared_backups WHERE state = 'active'")[0][0]
        assert found["started"] + found["carried"] - ended == live == len(self.live)
        self.tally.steps += 1


def stats(session: Session) -> dict[str, Any]:
    """The row of the view."""
    (row,) = session.execute(f"SELECT {', '.join(COUNTERS)}, since FROM shared_backup_stats")
    return dict(zip((*COUNTERS, "since"), row, strict=True))


@pytest.fixture(scope="module", params=[{}, durable.SETTINGS], ids=["in memory", "durable"])
def server(request: pytest.FixtureRequest, instrumented: Build) -> Iterator[Cluster]:
    with open_cluster(instrumented, settings={**request.param, "shared_preload_libraries": "shared_backup"}) as server:
        session = server.connect()
        for extension in ("shared_backup", "shared_backup_instruments"):
            session.execute(f"CREATE EXTENSION {extension}")
        session.close()
        yield server


def test_the_counters_count_what_was_done(server: Cluster, tally: Tally) -> None:
    """Over restarts, too, in which durable backups are carried or lost, and others are forgotten."""

    @settings(max_examples=examples(1 / 20, at_least=2))
    @given(WALKS, st.lists(st.sampled_from(RESTARTS), min_size=3, max_size=3))
    def walk(walks: list[list[tuple[str, str]]], restarts: list[str | Hazard]) -> None:
        with tally.example():
            books = Bookkeeper(server, tally)
            try:
                for steps, how in zip(walks, restarts, strict=False):
                    for step in steps:
                        books.step(*step)
                    books.restart(how)
            finally:
                books.session.execute("SELECT shared_backup_abort(label) FROM shared_backups WHERE state = 'active'")
                books.session.close()

    walk()


def test_counting_begins_when_the_server_does(server: Cluster) -> None:
    session = durable.restart(server, "fast")
    before = stats(session)
    session.execute("SELECT shared_backup_start('a', true); SELECT shared_backup_abort('a')")
    assert stats(session) == {**before, "started": 1, "aborted": 1}
    session.close()
    session = durable.restart(server, "crash")
    after = stats(session)
    assert isinstance(after["since"], datetime)
    assert after == {**dict.fromkeys(COUNTERS, 0), "since": after["since"]}
    assert after["since"] > before["since"]
    session.close()
