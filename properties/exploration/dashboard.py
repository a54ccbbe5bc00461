"""How far an exploration is, at the foot of a terminal."""

from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult

from harness.running.terminal import Progress as Line
from properties.exploration.worker import Found, Progress, Task


@dataclass
class Dashboard:
    """How far all of it is."""

    of: int
    things: str
    ended: int = 0
    line: Line = field(default_factory=Line)
    at_work: dict[Task, Progress] = field(default_factory=dict)

    def hear(self, task: Task, news: Progress | Found) -> None:
        """Something is known of a task."""
        if isinstance(news, Found):
            self.at_work.pop(task, None)
        else:
            self.at_work[task] = news

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.line.line(self.ended, self.of, f"{self.of} {self.things}")
        for task, progress in list(self.at_work.items()):
            yield (
                f"  {task.design.name}, {task.scope}: {progress.transitions:,} transitions, "
                f"{progress.states:,} states, {progress.waiting:,} of them waiting"
            )
