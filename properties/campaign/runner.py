"""A process of a campaign: it sets itself up once, and then runs the shards that it is told on its standard input.

It is told a ``Shard`` in a line of JSON; one without tests ends it. On its standard output it answers with pickled
``Began``, ``Ended``, ``Counted`` and ``Done``, and now and then with ``Alive``. If nobody is left to tell it anything,
it stops what it does, and removes its servers.
"""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import BinaryIO

import msgspec
import pytest
from _pytest.runner import runtestprotocol

from harness.building.counters import traces
from harness.machine.processes import hear_signals
from harness.running.commandline import last_line, run_pytest
from harness.server.alarms import raised
from properties.campaign.shards import Alive, Began, Counted, Done, Ended, Shard
from properties.recording.verdict import Recorder, judge, property_of
from properties.support.profiles import drawing, force_seed

ALIVE_EVERY = 1.0  # second


@dataclass
class Runner:
    """The pytest plugin that runs what it is told."""

    recorder: Recorder
    shards: "SimpleQueue[Shard]"
    answers: BinaryIO
    reports: list[dict[str, object]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Of the answers."""

    def answer(self, said: Alive | Began | Ended | Counted | Done) -> None:
        """Tells the campaign something."""
        with self.lock:
            pickle.dump(said, self.answers)
            self.answers.flush()

    def go_on_telling(self, over: threading.Event) -> None:
        """Tells that the process goes on, whatever its tests do, until it is over."""
        while not over.wait(ALIVE_EVERY):
            self.answer(Alive())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        last = None
        while (shard := self.shards.get()).tests:
            for item, following in pairs([items[test] for test in shard.tests]):
                self.run(item, following or session, shard.seed_of(item.nodeid))
                last = item
                if session.shouldfail:
                    break
            self.answer(Done())
        if last is not None:
            self.clear_up(session, last)
        return True

    def run(self, item: pytest.Item, following: pytest.Item | pytest.Session, seed: int | None) -> None:
        """Runs a test; what both it and the following one use is left standing."""
        self.recorder.by_test[item.nodeid] = property_of(item)  # of which another part may have been run here
        self.answer(Began(item.nodeid))
        force_seed(seed)
        item.config.hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        with drawing(item) as drawn:
            runtestprotocol(item, nextitem=following)  # type: ignore[arg-type] # it asks only for its place in the tree
        item.config.hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self.tell(item, drew=bool(drawn))

    def tell(self, item: pytest.Item, *, drew: bool = False) -> None:
        """Tells what is known of a test that has ended."""
        self.answer(Ended(self.recorder.by_test[item.nodeid], self.reports, drew))
        self.reports = []

    def clear_up(self, session: pytest.Session, last: pytest.Item) -> None:
        """Stops the servers that all tests shared; one that has crashed by then is a finding of the last test."""

        def stop() -> None:
            session._setupstate.teardown_exact(None)
            if alarms := raised():
                pytest.fail("\n\n".join(alarms), pytrace=False)

        call = pytest.CallInfo.from_call(stop, when="teardown")
        if call.excinfo:
            report = pytest.TestReport.from_item_and_call(last, call)
            judge(self.recorder.by_test[last.nodeid], report, call.excinfo.value)
            self.pytest_runtest_logreport(report)
            self.tell(last)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        config = self.config
        self.reports.append(config.hook.pytest_report_to_serializable(config=config, report=report))

    def pytest_configure(self, config: pytest.Config) -> None:
        self.config = config


def pairs(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Each with the one that follows it."""
    return zip(items, [*items[1:], None], strict=True)


def listen(told: Iterable[str], shards: "SimpleQueue[Shard]") -> None:
    """Takes what it is told; if nobody is there to tell more, it interrupts the process."""
    for line in told:
        shard = msgspec.json.decode(line, type=Shard)
        shards.put(shard)
        if not shard.tests:
            return
    os.kill(os.getpid(), signal.SIGINT)


def main(selection: str, bench_too: str, *arguments: str) -> None:
    """Runs shards until it is told to end, or cannot go on."""
    hear_signals()
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # for whatever else is printed
        shards: SimpleQueue[Shard] = SimpleQueue()
        told = os.fdopen(os.dup(sys.stdin.fileno()))  # pytest replaces the standard input
        threading.Thread(target=listen, args=[told, shards], daemon=True).start()
        recorder = Recorder(bench_too=bool(bench_too))
        runner, over = Runner(recorder, shards, answers), threading.Event()
        threading.Thread(target=runner.go_on_telling, args=[over], daemon=True).start()
        status, words = run_pytest([recorder, runner], selection or None, list(arguments))
        runner.answer(Counted(list(traces())))
        refused = last_line(words) if status == pytest.ExitCode.USAGE_ERROR else ""
        runner.answer(Done(recorder.setup_error or refused, recorder.internal_error))
        over.set()


if __name__ == "__main__":
    main(*sys.argv[1:])
