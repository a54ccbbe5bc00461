"""Explorations on several workers: so many here, or those of a scheduler."""

import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from harness.machine.postgres import SetupError
from harness.running.workers import Client, NobodyLeftError, each_as_it_ends, listening, on_each, room, workers
from properties.exploration.processes import LostError, Work, carry_out, end
from properties.exploration.worker import Found, Progress, Task

SHARE_OF_MEMORY = 0.7
"""Of what is free on a machine, for all processes there together."""
THIS_BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Is another one on each machine, whatever it is called."""
NEEDS = "a scheduler and its workers need this project in their folder, so start them there"

Hear = Callable[[Task, Progress | Found], None]
"""Is told how far a task is, and what it has found; from several threads."""


@dataclass(frozen=True)
class Distribution:
    """Workers that explore."""

    client: Client
    compiled: bool
    """By the compiled model."""
    memory: dict[str, int]
    """Bytes for one process on a worker, by the worker's address."""
    hear: Hear

    def explored(self, tasks: Sequence[Task]) -> Generator[tuple[Task, Found], None, None]:
        """Each task with what was found, as it ends; whoever listens has been told. Raises SetupError.

        Whatever ends it early ends all that is under way; after Ctrl-C whoever listens is told what was found so far.
        """
        run, heard = uuid.uuid4().hex, set[int]()
        works = deque(Work(run, number, task, self.memory, self.compiled) for number, task in enumerate(tasks))

        def hear(_worker: str, news: Any) -> None:
            if isinstance(news, list | tuple) and news[0] == run and news[1] not in heard:  # others are heard as well
                self.hear(tasks[news[1]], msgspec.convert(news[2], Progress))

        def take(number: int, found: Found) -> None:
            heard.add(number)
            self.hear(tasks[number], found)

        try:
            with listening(self.client, hear):
                for work, result in each_as_it_ends(self.client, carry_out, works):
                    if isinstance(result, Exception):
                        raise broken_down(work.task, result)
                    take(work.number, result)
                    yield work.task, result
        except KeyboardInterrupt:
            for number, found in self.end(run):
                take(number, found)
            raise
        finally:
            self.end(run)

    def end(self, run: str) -> list[tuple[int, Found]]:
        """Ends what is under way on all workers; the numbers of those tasks, with what had been found so far."""
        answers = on_each(self.client, end, run).values()
        return [one for found in answers if not isinstance(found, Exception) for one in found]


@contextmanager
def distribution(
    number: int, scheduler: str | None, memory: int | None, compiled: bool, hear: Hear
) -> Iterator[Distribution]:
    """So many workers, or those of a scheduler; ``memory``: bytes for all processes of a machine. Raises SetupError."""
    with workers(number, scheduler) as client:
        yield Distribution(client, compiled, shares(client, memory), hear)


def shares(client: Client, memory: int | None) -> dict[str, int]:
    """The bytes for each process on a worker: its part of so many, or else of most of what is free on its machine.

    Raises SetupError if the workers do not know this project.
    """
    processes = room(client)
    machines = on_each(client, look, None)
    for answer in machines.values():
        if isinstance(answer, Exception):  # whatever it was that the worker ran into
            raise SetupError(f"The workers cannot do what they are asked to ({in_words(answer)}): {NEEDS}.")
    on_machine = Counter[str]()
    for worker, (machine, _) in machines.items():
        on_machine[machine] += processes.get(worker, 1)
    return {
        worker: (memory or int(free * SHARE_OF_MEMORY)) // on_machine[machine]
        for worker, (machine, free) in machines.items()
    }


def look(_worker: str, _: None) -> tuple[str, int]:
    """On each worker: its machine, and the bytes that are free there."""
    return THIS_BOOT.read_text(), psutil.virtual_memory().available


def broken_down(task: Task, error: Exception) -> SetupError:
    """What is said of a task that nobody could carry out, after what its process has said."""
    what = f"The exploration of {task.design.name}, {task.scope}, has broken down, again and again"
    match error:
        case SetupError():
            return error
        case NobodyLeftError():
            return SetupError(f"The exploration cannot go on ({error}): start workers, and begin again.")
        case LostError():
            advice = "if it was killed for want of memory, allow it less with --memory."
            return SetupError(f"{error.said}{what} ({error.how}): {advice}")
        case _:
            return SetupError(f"{what} ({in_words(error)}): {NEEDS}.")


def in_words(error: Exception) -> str:
    """An error, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
