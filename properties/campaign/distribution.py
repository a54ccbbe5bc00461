"""The pytest plugin that has workers run the tests, and takes what they tell as if they had been run here."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from harness.machine.postgres import SetupError
from harness.running.workers import Client, each_as_it_ends, listening, on_each, renewing, room, workers
from harness.schema.campaign import Shard as Recorded
from harness.schema.campaign import Verdict
from properties.campaign import runners
from properties.campaign.runners import BrokenDownError, Job, Ran, Task, Unfinished
from properties.campaign.shards import Counted, Ended, cut
from properties.recording.verdict import Recorder, together


class Drawing(NamedTuple):
    """How examples are drawn that are not always the same."""

    seed: int | None = None
    """None: they are always the same."""
    parts: int = 1
    """In how many parts."""
    only: int | None = None
    """This part alone."""


@dataclass
class Distribution:
    """One campaign on several workers: so many here, or those of a scheduler."""

    recorder: Recorder
    job: Job
    number: int
    """Of processes at once; a scheduler has its own."""
    scheduler: str | None
    drawing: Drawing
    traces: list[bytes] = field(default_factory=list)
    """What the servers of all processes have counted."""
    ran: list[Recorded] = field(default_factory=list)
    """What it took to run each shard."""
    parts: dict[str, list[Ended]] = field(default_factory=dict)
    """Of each test, those that were run."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.shouldfail:  # a file that could not be loaded
            raise session.Failed(session.shouldfail)
        try:
            with workers(self.number, self.scheduler, self.job.silence) as client:
                self.number = sum(room(client).values())
                self.run(session, client)
        except SetupError as error:
            pytest.exit(str(error), returncode=2)
        return True

    def run(self, session: pytest.Session, client: Client) -> None:
        """Runs the shards; whatever happens, no process is left."""
        first = self.drawing.only or 1
        shards = [shard._replace(part=first, seed=self.drawing.seed) for shard in cut(session.items)]
        waiting, silence = deque([Task(self.job, shard) for shard in shards]), self.job.silence
        try:
            with listening(client, self.recorder.begins), renewing(client, runners.renew, self.job, silence / 5):
                for task, result in each_as_it_ends(client, runners.run, waiting, patience=silence):
                    self.take(session, task, result, waiting)
            self.finish(session, client)
        finally:
            on_each(client, runners.stop, self.job)

    def finish(self, session: pytest.Session, client: Client) -> None:
        """All has been run: takes what is found as the servers are stopped that tests shared."""
        for worker, found in on_each(client, runners.finish, self.job, runners.LONGEST_END).items():
            if isinstance(found, Exception):
                raise RuntimeError(f"the worker {worker} could not end its processes") from found
            for said in found:
                match said:
                    case Counted(traces):
                        self.traces += traces
                    case Unfinished(last, why):
                        self.recorder.not_checked([last], f"its process was lost as its servers were stopped: {why}")
                    case Ended():
                        self.tell(session, said)

    def take(self, session: pytest.Session, task: Task, result: Ran | Exception, waiting: deque[Task]) -> None:
        """Takes what came of a shard; if it drew examples, there is more to be drawn."""
        match result:
            case Ran(ended):
                self.ran.append(recorded(task, result))
                for one in ended:
                    self.take_part(session, task, one)
                self.draw_more(task, [one for one in ended if one.drew], waiting)
            case BrokenDownError(setup_error=words) if words:
                pytest.exit(words, returncode=2)
            case _:
                self.recorder.not_checked(task.shard.tests, f"what ran it was lost, again and again: {result}")

    def take_part(self, session: pytest.Session, task: Task, ended: Ended) -> None:
        """Takes what is told of a test, or of a part of its examples; the last part decides, or one that fails."""
        test, parts = ended.one.test, self.parts.setdefault(ended.one.test, [])
        parts.append(ended)
        one = together([part.one for part in parts])
        of = self.drawing.parts if self.drawing.only is None and ended.drew else 1
        if one.verdict is Verdict.HOLDS and len(parts) < of:
            one.verdict, one.reason = Verdict.INTERRUPTED, f"it was interrupted: {len(parts)} of {of} parts held"
            self.recorder.take(one)
            return
        if self.drawing.parts > 1 and ended.drew and one.verdict is not Verdict.HOLDS:
            one.part = task.shard.part
        if self.recorder.by_test[test].verdict is Verdict.INTERRUPTED:  # another part may have failed meanwhile
            self.tell(session, ended._replace(one=one))

    def draw_more(self, task: Task, drew: list[Ended], waiting: deque[Task]) -> None:
        """After the first part, the others; all first parts come before the second ones."""
        decided = {
            one.one.test for one in drew if self.recorder.by_test[one.one.test].verdict is not Verdict.INTERRUPTED
        }
        left = [with_tests(other, decided) for other in waiting] if decided else list(waiting)
        tests = tuple([one.one.test for one in drew if one.one.test not in decided])
        if task.shard.part == 1 and self.drawing.only is None and tests:
            others = range(2, self.drawing.parts + 1)
            left += [Task(self.job, task.shard._replace(tests=tests, part=part)) for part in others]
        waiting.clear()
        waiting.extend(sorted([one for one in left if one.shard.tests], key=lambda one: one.shard.part))

    def tell(self, session: pytest.Session, ended: Ended) -> None:
        """Tells pytest of a test that has ended; stops at the first failure if it is to."""
        self.recorder.take(ended.one)
        for data in ended.reports:
            config = session.config
            report = config.hook.pytest_report_from_serializable(config=config, data=data)
            config.hook.pytest_runtest_logreport(report=report)
        self.recorder.finished(self.recorder.by_test[ended.one.test])
        if session.shouldfail:
            raise session.Failed(session.shouldfail)


def with_tests(task: Task, but: set[str]) -> Task:
    """The task without these tests."""
    tests = tuple([test for test in task.shard.tests if test not in but])
    return task._replace(shard=task.shard._replace(tests=tests))


def recorded(task: Task, ran: Ran) -> Recorded:
    """What it took, as it is kept."""
    return Recorded(
        tests=task.shard.tests, part=task.shard.part, seconds=round(ran.seconds, 3), set_up=round(ran.set_up, 3)
    )
