"""Work on several cores or machines: the one place that knows Dask."""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, Worker, get_worker
from distributed.client import ClosedClientError

from harness.machine.postgres import SetupError

__all__ = [
    "Client",
    "NobodyLeftError",
    "each_as_it_ends",
    "here",
    "listening",
    "on_each",
    "renewing",
    "room",
    "tell",
    "wanted",
    "workers",
]

NEWS = "news"
"""The topic of what workers tell while they work."""
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
}
"""What Dask would measure, a hundred times a second, of work that other processes do."""
LOGS = ("distributed", "distributed.client", "distributed.gc", "tornado.application")
"""Those of Dask's that write to standard error, in the middle of what a program says: what matters is raised too."""
PAGES = "127.0.0.1:0"
"""Where Dask serves its pages, which it always does: otherwise to all machines, and at a port of which a second program
says on standard error that it is taken.
"""
REACHED_WITHIN = 5  # seconds, for a scheduler that is told by its address
COME_BACK_WITHIN = 120.0
"""Seconds without any worker, or without the scheduler, after which work is given up."""
GONE = (OSError, TimeoutError, RuntimeError, AttributeError)
"""What a client raises without a scheduler; the last two, when it has given up."""
LOOK = 1.0  # seconds between looks at whether there are workers
PATIENCE = 90.0  # seconds for a worker to answer


@contextmanager
def workers(number: int, scheduler: str | None = None, patience: float = COME_BACK_WITHIN) -> Iterator[Client]:
    """A client of that many workers in this process, or of those that a scheduler has; raises SetupError.

    Workers of this process are threads: what takes time is meant to have a process of its own. A scheduler that is lost
    may come back within so many seconds.
    """
    for name in LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler:
        with reached(scheduler, patience) as client:
            yield client
        return
    with (
        dask.config.set(QUIET),
        LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=False,
            dashboard_address=PAGES,
            worker_dashboard_address=PAGES,
            memory_limit=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def reached(scheduler: str, patience: float) -> Iterator[Client]:
    """A client of a scheduler elsewhere."""
    try:
        Client(scheduler, timeout=REACHED_WITHIN).close()
        client = Client(scheduler, timeout=patience)
    except (OSError, ValueError) as error:
        raise SetupError(
            f"There is no scheduler at {scheduler} ({error}): start one with 'nox -s scheduler' in this "
            "project's folder, or leave --scheduler out."
        ) from None
    with client:
        if not client.ncores():
            raise SetupError(
                f"The scheduler at {scheduler} has no workers: start some with 'nox -s worker -- {scheduler}' in "
                "this project's folder."
            )
        yield client


class NobodyLeftError(Exception):
    """Work was given up, because nobody was left to do it."""


def each_as_it_ends(
    client: Client, work: Callable[[Any], Any], waiting: deque[Any], tries: int = 2, patience: float = COME_BACK_WITHIN
) -> Iterator[tuple[Any, Any]]:
    """Has the workers do what is waiting, each one at a time; gives each task with its result, or with an exception.

    What fails is tried again, up to so many times, on another worker if there is one. More tasks may be added while
    this goes on. If the scheduler or all workers are lost, it waits so long (seconds) for some to come back, and gives
    up then.
    """
    again: deque[tuple[Any, int, str | None]] = deque()  # with how often it was tried, and the worker that it failed on
    under_way: dict[Future[Any], tuple[Any, int]] = {}
    ended: SimpleQueue[Future[Any]] = SimpleQueue()

    def submit(task: Any, number: int, but: str | None) -> None:
        others = [one for one in room(client) if one != but] if but else []
        future = client.submit(work, task, pure=False, workers=others or None, allow_other_workers=bool(others))
        under_way[future] = task, number
        future.add_done_callback(ended.put)

    seen = time.monotonic()
    while waiting or again or under_way:
        while (waiting or again) and len(under_way) < sum(room(client).values()):
            submit(*(again.popleft() if again else (waiting.popleft(), 1, None)))
        try:
            future = ended.get(timeout=LOOK)
        except Empty:
            if room(client):
                seen = time.monotonic()
            elif time.monotonic() - seen > patience:
                break
            continue
        task, number = under_way.pop(future)
        error = error_of(future)
        if error is None:
            yield task, future.result()
        elif number < tries:
            again.append((task, number + 1, getattr(error, "worker", None)))
        else:
            yield task, error
    for task in [*(task for task, _number in under_way.values()), *(task for task, *_rest in again), *waiting]:
        yield task, NobodyLeftError(f"no worker was left, and none came back in {patience:.0f} s")


def error_of(future: "Future[Any]") -> BaseException | None:
    """Why there is no result; None: there is one."""
    if future.status == "finished":
        return None
    return future.exception() or NobodyLeftError("the scheduler was lost")  # which cancels all


def room(client: Client) -> dict[str, int]:
    """How many tasks each worker that there is can do at once, by its address; empty while nobody can be reached."""
    try:
        return dict(client.ncores())
    except GONE:
        return {}


def on_each(
    client: Client, function: Callable[[str, Any], Any], argument: Any, patience: float = PATIENCE
) -> dict[str, Any]:
    """Calls a function on every worker, whatever that is doing, with the worker's address.

    Returns, by the address, what they return, or the exception that they raise; if one of them does not answer for so
    long (seconds), nothing.
    """

    def call(dask_worker: Worker) -> Any:
        return function(dask_worker.address, argument)

    answers: dict[str, Any] = {}

    def ask() -> None:
        with contextlib.suppress(*GONE):
            answers.update(client.run(call, on_error="return"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    return dict(answers)


@contextmanager
def renewing(client: Client, renew: Callable[[str, Any], None], argument: Any, every: float) -> Iterator[None]:
    """Within the block, ``renew`` is called on every worker each so many seconds, who knows then that it is wanted."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(every):
            on_each(client, renew, argument, every)

    renewer = threading.Thread(target=go_on, daemon=True)
    renewer.start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def listening(client: Client, hear: Callable[[str, Any], None]) -> Iterator[None]:
    """Within the block, what workers tell is heard: the address of the worker, and what it tells."""
    client.subscribe_topic(NEWS, lambda event: hear(*event[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ClosedClientError):  # it has given up
            client.unsubscribe_topic(NEWS)


# On a worker


def here() -> str:
    """The address of the worker that this is called on."""
    return str(get_worker().address)


def tell(news: Any) -> None:
    """Tells those who listen something that can be told in JSON."""
    get_worker().log_event(NEWS, (here(), news))


def wanted() -> bool:
    """Does anybody wait for the task that this is called in? Nobody does once the program that submitted it is gone."""
    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state == "executing"
