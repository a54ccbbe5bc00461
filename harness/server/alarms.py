"""What no server may do, whatever a test does to it: fail an assertion, crash, or trip over a sanitizer.

Every server is watched for as long as it has a folder (``harness.server.cluster``); who runs tests asks ``raised``
after each of them. A startup process that aborts is no alarm: it is how PostgreSQL refuses a copy that cannot be
recovered. Nor is one assertion, on ``maybe_sleeping``, that is core's own business: a process that ends in WaitLatch()
because the postmaster has died leaves its latch behind as if it slept there, and one that was forked just before takes
it over.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ALARM = re.compile(
    r"""^( TRAP:\ (?!.*\bmaybe_sleeping\b).*    # an assertion of PostgreSQL
         | .*:\ runtime\ error:\ .*             # UndefinedBehaviorSanitizer
         | .*\bERROR:\ \w+Sanitizer:\ .*        # AddressSanitizer
         | (?!.*\ startup\ process\ .*\ signal\ 6\b) .*\ was\ terminated\ by\ signal\ (4|6|7|8|11)\b.* )""",
    re.MULTILINE | re.VERBOSE,
)
REFUSED = re.compile(r" startup process \(PID \d+\) was terminated by signal 6\b")
WHILE = "Failed process was running: "
TOLD = 3
"""Alarms: an example that crashes a server is tried in many variants."""
LINES = 10
"""Of the log, from an alarm on: the upper end of the stack."""


@dataclass(eq=False)
class Watch:
    """Looks at one server's log, and for core files in its data directory, until it is closed."""

    log_file: Path
    data_dir: Path
    seen: int = 0
    """Bytes of the log that have been looked at."""

    def __post_init__(self) -> None:
        _watches.append(self)

    def look(self) -> None:
        """Raises the alarm if there is something new in the log; one alarm tells what follows from it, too."""
        fresh = self._since(self.seen)
        self.seen += len(fresh)
        if found := ALARM.search(text := fresh.decode(errors="replace")):
            _alarms.append(told(text[found.start() :]))

    def close(self) -> None:
        """Looks for the last time, before the server's folder goes."""
        self.look()
        cores = sorted(path.name for path in self.data_dir.glob("core*"))
        if cores and not REFUSED.search(self._since(0).decode(errors="replace")):
            _alarms.append(f"a server left a core file in its data directory: {', '.join(cores)}")
        if self in _watches:
            _watches.remove(self)

    def _since(self, position: int) -> bytes:
        """What the log holds from there on, up to its last whole line."""
        if not self.log_file.exists():
            return b""
        with self.log_file.open("rb") as log:
            log.seek(position)
            text = log.read()
        return text[: text.rfind(b"\n") + 1]


def told(log: str) -> str:
    """As much of a log that begins with an alarm as a person needs: its first lines, and what was being done."""
    lines = log.splitlines()
    return "\n".join(lines[:LINES] + [line for line in lines[LINES:] if WHILE in line][:1])


def raised() -> list[str]:
    """The alarms of all servers since the last call, the first few of them in words."""
    for watch in tuple(_watches):
        watch.look()
    alarms = list(_alarms)
    _alarms.clear()
    more = len(alarms) - TOLD
    return alarms[:TOLD] + ([f"({more} more of such)"] if more > 0 else [])


_watches: list[Watch] = []
_alarms: list[str] = []
