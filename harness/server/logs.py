"""The ends of the servers' logs, for whoever has to explain a failure: also of servers that are gone by then.

Every server's log is followed for as long as it has a folder (``harness.server.cluster``); who runs tests calls
``mark`` when one begins, and asks ``tails`` when it has failed.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

LINES = 100
LONGEST = 100_000  # bytes of a log that are read
KEPT = 10
"""Servers that are gone of which the logs' ends are kept: an example that fails is tried in many variants."""


@dataclass(eq=False)
class Log:
    """One server's log, until it is closed."""

    name: str
    """The server's."""
    file: Path
    begin: int = 0
    """Bytes that do not belong to the test that runs."""

    def __post_init__(self) -> None:
        _logs.append(self)

    def size(self) -> int:
        """In bytes."""
        return self.file.stat().st_size if self.file.exists() else 0

    def tail(self) -> str:
        """The last lines of what was logged since the beginning of the test."""
        begin = max(self.begin, self.size() - LONGEST)
        if begin >= self.size():
            return ""
        with self.file.open("rb") as log:
            log.seek(begin)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-LINES:])

    def close(self) -> None:
        """Keeps its end, before the server's folder goes."""
        _closed.append((self.name, self.tail()))
        _logs.remove(self)


def mark() -> None:
    """A test begins: what was logged before is forgotten."""
    _closed.clear()
    for log in _logs:
        log.begin = log.size()


def tails() -> list[tuple[str, str]]:
    """Names of servers that have logged something since the mark, and the last lines; the mark moves on to here."""
    found = [*_closed, *((log.name, log.tail()) for log in _logs)]
    mark()
    return [(name, tail) for name, tail in found if tail]


_logs: list[Log] = []
_closed: deque[tuple[str, str]] = deque(maxlen=KEPT)
