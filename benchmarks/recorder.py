"""A pytest plugin that keeps what the benchmarks measured, and knows which one is at work."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.machine.postgres import SetupError
from harness.schema.benchmarks import Benchmark


@dataclass(eq=False)  # pytest wants plugins hashable
class Recorder:
    """What has been measured so far; the display reads it."""

    measurements: list[Benchmark] = field(default_factory=list)
    crashed: dict[str, str] = field(default_factory=dict)
    """Benchmarks that broke down, by name, with all that pytest says."""
    interrupted: bool = False
    setup_error: str = ""
    selected: int = 0
    ended: int = 0
    running: str = ""
    doing: str = ""
    """How far the running benchmark is."""
    finished: Callable[[list[Benchmark], str], None] = lambda measurements, running: None
    _began_with: int = 0
    _parameters: dict[str, Any] = field(default_factory=dict)

    def add(self, measurement: Benchmark) -> None:
        """Keeps a measurement."""
        self.measurements.append(measurement)

    def watch(self, done: int, of: int) -> None:
        """A benchmark tells how far it is."""
        self.doing = f"{done:,} of {of:,}"

    # What pytest tells

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.selected = len(session.items)

    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        self.running, self.doing = title(item.name), ""
        self._began_with = len(self.measurements)
        callspec = getattr(item, "callspec", None)
        self._parameters = dict(callspec.params) if callspec else {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.crashed[self.running] = report.longreprtext
        elif report.skipped:
            name = report.location[2].partition("[")[0].removeprefix("test_")
            reason = skip_reason(report.longrepr)
            self.add(Benchmark(name=name, title=title(name), parameters=self._parameters, skipped=reason))

    def pytest_runtest_logfinish(self) -> None:
        self.ended += 1
        self.finished(self.measurements[self._began_with :], self.running)
        self.running = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.crashed[report.nodeid] = report.longreprtext

    def pytest_exception_interact(self, call: pytest.CallInfo[Any]) -> None:
        if call.excinfo is not None and isinstance(call.excinfo.value, SetupError):
            self.setup_error = str(call.excinfo.value)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception):
            self.setup_error = str(excinfo.value.msg)
        else:
            self.interrupted = True


def title(test: str) -> str:
    """A test's name as words."""
    return test.removeprefix("test_").replace("_", " ")


def skip_reason(longrepr: object) -> str:
    """Why a test was skipped."""
    said = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(said).removeprefix("Skipped: ")
