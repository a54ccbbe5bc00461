"""A property in which nothing goes on any more fails: what it waits for would never come."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

from harness.server.cluster import ClusterError, servers
from properties.recording.tally import Tally

LOOKS = 20
"""In the time after which something is said to hang."""


class HangError(BaseException):
    """Nothing has been counted for too long.

    No ``Exception``: nobody is to take it for an answer, and Hypothesis is not to try again what takes so long.
    """


@contextlib.contextmanager
def watched(tally: Tally | None, patience: float) -> Iterator[None]:
    """Raises HangError when nothing goes on within the block: the tally has counted nothing for so long (seconds).

    The servers begin anew then, since what hangs in one would hang whoever comes next. For the main thread alone.
    """
    look = looking(tally, patience)
    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, patience / LOOKS, patience / LOOKS)
    try:
        yield
    except HangError:
        begin_anew()
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def looking(tally: Tally | None, patience: float) -> Callable[[int, FrameType | None], None]:
    """A signal handler that looks whether anything has been counted since it last did."""
    seen, since = counted(tally), time.monotonic()

    def look(_signal: int, _frame: FrameType | None) -> None:
        nonlocal seen, since
        now = counted(tally)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= patience:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise HangError(f"nothing has gone on for {patience:.0f} s: see what the server waits for")

    return look


def counted(tally: Tally | None) -> int:
    """A number that grows with each example and step."""
    return tally.examples + tally.steps if tally else 0


def begin_anew() -> None:
    """Kills all servers, and starts those again that can be."""
    for server in servers():
        with contextlib.suppress(ClusterError):
            server.go_down("crash")
            server.start()
