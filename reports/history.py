"""A history as the campaign kept it, and its events in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.schema.campaign import Verdict
from harness.schema.history import Event
from harness.schema.run import Scalar

FAULTS = {"Restart", "Crash", "Kill", "Terminate", "Cancel", "Vanish", "Promote"}
"""What the world does to a server or a session, beside time."""

MATTERS = ("role", "kind", "seconds", "max_backups", "ttl", "stop_policy", "result_retention", "max_results")
"""The arguments that an operation may be about, if it is about no label."""

LONGEST_LABEL = 11  # letters


@dataclass(frozen=True)
class History:
    """One example, from its beginning."""

    title: str
    verdict: Verdict
    events: tuple[Event, ...]


def is_fault(event: Event) -> bool:
    """Something that was done to the server or to a session."""
    return event.operation in FAULTS or "nemesis" in event.who


def milliseconds(event: Event) -> float | None:
    """How long it took; None: it never completed."""
    return None if event.completed is None else (event.completed - event.invoked) * 1000


def words_of(event: Event) -> tuple[str, str]:
    """What it is, and about what: ``Start``, ``'a'``. A start that is rolled back is about the start's label."""
    inner = event.arguments.get("start")
    arguments = inner if isinstance(inner, dict) else event.arguments
    label = arguments.get("label")
    about = label if label is not None else matter(arguments)
    words = str(about) if about is not None else "NULL" if "label" in arguments else ""
    printable = "".join(letter if letter.isprintable() else "·" for letter in words)
    short = printable if len(printable) <= LONGEST_LABEL else printable[: LONGEST_LABEL - 1] + "…"
    return event.operation, f"'{short}'" if isinstance(label, str) else short


def matter(arguments: Mapping[str, Scalar | dict[str, Scalar]]) -> Scalar | dict[str, Scalar]:
    """The argument that matters, if it is no label."""
    for name in MATTERS:
        if arguments.get(name) is not None:
            return f"+{arguments[name]} s" if name == "seconds" else arguments[name]
    return None
