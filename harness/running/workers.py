"""Work on several cores or machines: the one place that knows Dask."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, Worker, as_completed, get_worker

from harness.machine.postgres import SetupError

__all__ = ["Client", "each_as_it_ends", "here", "listening", "on_each", "room", "tell", "wanted", "workers"]

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


@contextmanager
def workers(number: int, scheduler: str | None = None) -> Iterator[Client]:
    """A client of that many workers in this process, or of those that a scheduler has; raises SetupError.

    Workers of this process are threads: what takes time is meant to have a process of its own.
    """
    for name in LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler:
        with reached(scheduler) as client:
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
def reached(scheduler: str) -> Iterator[Client]:
    """A client of a scheduler elsewhere."""
    try:
        client = Client(scheduler, timeout=REACHED_WITHIN)
    except (OSError, ValueError) as error:
        raise SetupError(
            f"There is no scheduler at {scheduler} ({error}): start one with 'python -m dask scheduler' in this "
            "project's folder, or leave --scheduler out."
        ) from None
    with client:
        if not client.ncores():
            raise SetupError(
                f"The scheduler at {scheduler} has no workers: start some with 'python -m dask worker {scheduler}' in "
                "this project's folder."
            )
        yield client


def each_as_it_ends(
    client: Client, work: Callable[[Any], Any], tasks: Sequence[Any], tries: int = 2
) -> Iterator[tuple[Any, Any]]:
    """Has the workers do all tasks, each one at a time; gives each task with its result, or with the last exception.

    What fails is tried again, up to so many times, on another worker if there is one.
    """
    waiting = list(reversed(tasks))
    tried: dict[Future[Any], tuple[Any, int]] = {}
    ended = as_completed([])

    def submit(task: Any, number: int, but: str | None = None) -> None:
        others = [one for one in client.scheduler_info()["workers"] if one != but]
        future = client.submit(work, task, pure=False, workers=others if but and others else None)
        tried[future] = task, number
        ended.add(future)

    while waiting or tried:
        while waiting and len(tried) < sum(client.ncores().values()):
            submit(waiting.pop(), 1)
        future = next(ended)
        task, number = tried.pop(future)
        error = future.exception() if future.status != "finished" else None
        if error is None:
            yield task, future.result()
        elif number < tries:
            submit(task, number + 1, but=getattr(error, "worker", None))
        else:
            yield task, error


def on_each(client: Client, function: Callable[[str, Any], Any], argument: Any) -> list[Any]:
    """Calls a function on every worker, whatever that is doing, with the worker's address; returns what they return."""

    def call(dask_worker: Worker) -> Any:
        return function(dask_worker.address, argument)

    return list(client.run(call).values())


def room(client: Client) -> dict[str, int]:
    """How many tasks each worker that there is can do at once, by its address."""
    return dict(client.ncores())


@contextmanager
def listening(client: Client, hear: Callable[[str, Any], None]) -> Iterator[None]:
    """Within the block, what workers tell is heard: the address of the worker, and what it tells."""
    client.subscribe_topic(NEWS, lambda event: hear(*event[1]))
    try:
        yield
    finally:
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
