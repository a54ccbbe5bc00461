"""The pytest plugin that has workers run the tests, and takes what they tell as if they had been run here."""

from dataclasses import dataclass, field

import pytest

from harness.machine.postgres import SetupError
from harness.running.workers import Client, each_as_it_ends, listening, on_each, workers
from properties.campaign import runners
from properties.campaign.runners import BrokenDownError, Job, Task
from properties.campaign.shards import Counted, Ended, Shard, cut
from properties.recording.verdict import Recorder


@dataclass
class Distribution:
    """One campaign on several workers: so many here, or those of a scheduler."""

    recorder: Recorder
    job: Job
    number: int
    scheduler: str | None
    traces: list[bytes] = field(default_factory=list)
    """What the servers of all processes have counted."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.shouldfail:  # a file that could not be loaded
            raise session.Failed(session.shouldfail)
        try:
            with workers(self.number, self.scheduler) as client:
                self.run(session, client)
        except SetupError as error:
            pytest.exit(str(error), returncode=2)
        return True

    def run(self, session: pytest.Session, client: Client) -> None:
        """Runs the shards; whatever happens, no process is left."""
        tasks = [Task(self.job, shard) for shard in cut(session.items)]
        try:
            with listening(client, self.recorder.begins):
                for task, result in each_as_it_ends(client, runners.run, tasks):
                    self.take(session, task.shard, result)
            for found in on_each(client, runners.finish, self.job):
                self.traces += [trace for said in found if isinstance(said, Counted) for trace in said.traces]
                self.take_all(session, [said for said in found if isinstance(said, Ended)])
        finally:
            on_each(client, runners.stop, self.job)

    def take(self, session: pytest.Session, shard: Shard, result: list[Ended] | Exception) -> None:
        """Takes what came of a shard."""
        match result:
            case BrokenDownError(setup_error=words) if words:
                pytest.exit(words, returncode=2)
            case Exception():
                self.recorder.crashed(shard.tests, f"what ran it was lost, again and again: {result}")
            case _:
                self.take_all(session, result)

    def take_all(self, session: pytest.Session, result: list[Ended]) -> None:
        """Takes what is told of tests; stops at the first failure if it is to."""
        for ended in result:
            self.recorder.take(ended.one)
            for data in ended.reports:
                config = session.config
                report = config.hook.pytest_report_from_serializable(config=config, data=data)
                config.hook.pytest_runtest_logreport(report=report)
            self.recorder.finished(self.recorder.by_test[ended.one.test])
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
