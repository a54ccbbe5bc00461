"""Explorations in processes of their own, so many at once."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.machine.postgres import SetupError
from harness.machine.project import ROOT
from properties.exploration.worker import Found, News, Progress, Task

PROGRAM = "from properties.exploration.worker import main; main()"
READER = msgspec.json.Decoder(News)

Hear = Callable[[Task, Progress | Found], None]
"""Is told how far a task is, and what it has found; from several threads."""


class Workers:
    """Processes that explore."""

    def __init__(self, folder: Path = ROOT) -> None:
        """Their model is the one in that folder."""
        self.folder = folder
        self.at_work: set[subprocess.Popen[bytes]] = set()
        self.ended = False
        self.lock = threading.Lock()

    def do_all(self, tasks: Sequence[Task], at_once: int, hear: Hear) -> bool:
        """Carries out all tasks, so many at once; says whether it came to that. Raises SetupError.

        Ctrl-C makes them end with what they have found so far.
        """
        with self.doing(tasks, at_once, hear) as doing:
            try:
                wait(doing)
            except KeyboardInterrupt:
                self.end()
        return not self.ended

    @contextmanager
    def doing(self, tasks: Sequence[Task], at_once: int, hear: Hear) -> Iterator[list[Future[Found | None]]]:
        """All tasks are being carried out, so many at once; what ends the block ends them. Raises SetupError."""
        with ThreadPoolExecutor(max_workers=at_once) as threads:
            doing = [threads.submit(self.do, task, hear) for task in tasks]
            try:
                yield doing
            except BaseException:
                self.end()
                raise
        for one in doing:
            one.result()

    def do(self, task: Task, hear: Hear) -> Found | None:
        """Carries out a task, unless all are to end (None); raises SetupError if it breaks down."""
        with self.lock:
            if self.ended:
                return None
            process = self.start()
            self.at_work.add(process)
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(task))
            process.stdin.close()
            news: News | None = None
            for line in process.stdout:
                news = READER.decode(line)
                hear(task, news)
        with self.lock:
            self.at_work.discard(process)
        found = news if isinstance(news, Found) else None
        if found is None and not self.ended:
            self.end()
            raise SetupError(
                f"The exploration of {task.design.name}, {task.scope}, has broken down: what it said is above; "
                "if it was killed for want of memory, allow it less with --memory."
            )
        return found

    def start(self) -> subprocess.Popen[bytes]:
        """A process that Ctrl-C does not reach: who started it sees to its end."""
        path = [*dict.fromkeys([str(self.folder), str(ROOT)])]
        return subprocess.Popen(
            [sys.executable, "-P", "-c", f"import sys; sys.path[:0] = {path!r}; {PROGRAM}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def end(self) -> None:
        """Has all of them end with what they have found so far, and none begin."""
        with self.lock:
            self.ended = True
            for process in self.at_work:
                process.terminate()
