"""Many open backups on one server that nobody holds a session for, and how they all expire at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.callers import Caller, start_parameters
from harness.clients.implementation import UNFENCED, Implementation
from harness.server.cluster import Cluster
from harness.server.probes import forced_full_page_writes, prepare_probe
from harness.server.session import Session
from harness.server.shared_memory import dynamic_shared_memory

REPORTED_EVERY = 50
MEASURED_EVERY = 1_000
RENEWAL = 0.001
"""Seconds allowed for one renewal, when all are to expire at one moment."""
HEAD_START = 1.5
"""Seconds from the last renewal until that moment, at least."""
OPERATIONS = ("start", "renew", "stop")
RENEWALS = 10
"""Of a backup that is started and stopped, so that some fall into the few milliseconds that are looked at."""
PATIENCE = 30.0
"""Seconds after the deadline before the bench gives up."""

Watch = Callable[[int, int], None]


@dataclass
class Fleet:
    """A server with open backups, as many as asked for."""

    cluster: Cluster
    implementation: Implementation
    watch: Watch
    session: Session = field(init=False)
    open: int = 0
    memory: dict[int, int] = field(default_factory=dict)
    """Bytes of dynamic shared memory when so many were open for the first time."""

    def __post_init__(self) -> None:
        self.session = self.cluster.connect()
        prepare_probe(self.session)
        self.memory[0] = dynamic_shared_memory(self.cluster)

    def rise_to(self, level: int) -> None:
        """Opens backups until there are that many; raises SqlError if the server refuses one."""
        while self.open < level:
            self.session.execute(self.implementation.start, start_parameters(label(self.open)))
            self.open += 1
            self.measure()
            if self.open % REPORTED_EVERY == 0:
                self.watch(self.open, level)

    def measure(self) -> None:
        """Notes the memory that the first backup takes, and what every thousand do."""
        if self.open == 1 or self.open % MEASURED_EVERY == 0:
            self.memory.setdefault(self.open, dynamic_shared_memory(self.cluster))

    def expire_together(self) -> float:
        """Gives all open backups the same deadline and returns it, as time.time() does, before it has come."""
        assert self.implementation.renew is not None
        deadline = time.time() + HEAD_START + RENEWAL * self.open
        for number in range(self.open):
            parameters = {"label": label(number), "ttl": f"{deadline - time.time():.6f} seconds", **UNFENCED}
            self.session.execute(self.implementation.renew, parameters)
        if time.time() >= deadline:
            raise RuntimeError(f"{self.open} renewals took longer than {RENEWAL} s each: too slow to expire together")
        self.open = 0
        return deadline

    def seconds_until_released(self, deadline: float) -> float:
        """Waits until core is released from every backup; returns how long after the deadline that was."""
        time.sleep(max(0.0, deadline - time.time()))
        while forced_full_page_writes(self.session):
            if time.time() > deadline + PATIENCE:
                raise RuntimeError(f"core was not released within {PATIENCE} s after the deadline")
        return time.time() - deadline


@dataclass(frozen=True)
class Timed:
    """An operation of a caller."""

    what: str
    began: float
    """As time.time() does."""
    milliseconds: float

    @property
    def ended(self) -> float:
        """When it ended."""
        return self.began + self.milliseconds / 1000


def label(number: int) -> str:
    """The label of a backup of the fleet, of the length that people use."""
    return f"nightly base backup {number:08}"


def work_until(caller: Caller, end: float) -> list[Timed]:
    """Starts, renews and stops backups until that time."""
    done = []
    cycle = [("start", caller.start), *[("renew", caller.renew)] * RENEWALS, ("stop", caller.stop)]
    while time.time() < end:
        for what, operation in cycle:
            began = time.time()
            done.append(Timed(what, began, operation()))
    return done


def before_and_meanwhile(work: list[Timed], deadline: float, done: float) -> dict[str, dict[str, list[float]]]:
    """Of each operation, the latencies between two moments, each with one of as many just before."""
    result = {}
    for what in OPERATIONS:
        same = [one for one in work if one.what == what]
        before = [one.milliseconds for one in same if one.ended <= deadline]
        meanwhile = [one.milliseconds for one in same if one.ended > deadline and one.began < done]
        number = min(len(before), len(meanwhile))
        result[what] = {"meanwhile": meanwhile[:number], "before": before[len(before) - number :]}
    return result
