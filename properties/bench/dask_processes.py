"""A Dask scheduler and its workers, each a process of its own, as on several machines."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from distributed import Client

from harness.machine.project import ROOT

PATIENCE = 60  # seconds for workers to be there


@dataclass
class Machines:
    """What was started."""

    port: int
    environment: dict[str, str]
    scheduler: "subprocess.Popen[bytes]"
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"tcp://127.0.0.1:{self.port}"

    def start_worker(self, threads: int = 1) -> None:
        """One more."""
        options = [f"--nthreads={threads}", "--no-nanny", "--no-dashboard"]
        self.workers.append(begin("dask_worker", self.environment, self.address, *options))

    def start_scheduler_again(self) -> None:
        """It is killed, and started again at the same address."""
        kill(self.scheduler)
        self.scheduler = begin_scheduler(self.port, self.environment)

    def repair(self, workers: int = 2, threads: int = 1) -> None:
        """The scheduler is there, and so many workers, none of which was there before."""
        for worker in self.workers:
            kill(worker)
        self.workers.clear()
        if self.scheduler.poll() is not None:
            self.scheduler = begin_scheduler(self.port, self.environment)
        for _ in range(workers):
            self.start_worker(threads)
        self.await_workers(workers)

    def await_workers(self, number: int) -> None:
        """Returns when so many are there."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), Client(self.address, timeout=5) as client:  # type: ignore[no-untyped-call]
                if number:
                    client.wait_for_workers(number, PATIENCE)
                return
        raise AssertionError("the scheduler does not answer")


@contextlib.contextmanager
def machines(workers: int = 0, **settings: str) -> Iterator[Machines]:
    """A scheduler, and so many workers; ``settings``: variables of Dask's."""
    port, environment = free_port(), os.environ | settings
    found = Machines(port, environment, begin_scheduler(port, environment))
    try:
        found.repair(workers)
        yield found
    finally:
        for process in [found.scheduler, *found.workers]:
            kill(process)


def begin_scheduler(port: int, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """A scheduler on the loopback."""
    return begin("dask_scheduler", environment, f"--port={port}", "--host=127.0.0.1", "--no-dashboard")


def begin(program: str, environment: dict[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
    """Begins one of Dask's programs in the project's folder."""
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{program}", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """As a machine that is gone."""
    process.kill()
    process.wait()


def free_port() -> int:
    """One of the loopback on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
