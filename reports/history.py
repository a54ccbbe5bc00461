"""A history as the campaign kept it: JSON lines, one event each (``harness.clients.history`` writes them)."""

from dataclasses import dataclass

from reports.reading import Scalar, field, field_or, many, mapped, named, number, optional, scalar, text

FAULTS = {"Restart", "Crash", "Kill", "Terminate", "Cancel", "Vanish", "Promote"}
"""What the world does to a server or a session, beside time."""

LONGEST_LABEL = 11  # letters


@dataclass(frozen=True)
class Event:
    """One operation and what came of it."""

    kind: str
    arguments: dict[str, Scalar]
    who: str
    invoked: float
    """Seconds, from any beginning."""
    completed: float | None
    """None: never."""
    sql: tuple[str, ...]
    outcome: str

    @property
    def row(self) -> str:
        """Whose row it is in: a session whatever its role, an administrator, the world."""
        return self.who.partition(" (")[0]

    @property
    def fault(self) -> bool:
        """Something that was done to the server or to a session."""
        return self.kind in FAULTS or "nemesis" in self.who

    @property
    def result(self) -> str:
        """ok, refused or unknown."""
        if self.completed is None or self.outcome.startswith("never"):
            return "unknown"
        return "ok" if self.outcome.startswith("ok") else "refused"

    @property
    def sqlstate(self) -> str:
        """The five letters of a refusal."""
        return self.outcome[:5] if self.result == "refused" else ""

    @property
    def milliseconds(self) -> float | None:
        """How long it took; None: it never completed."""
        return None if self.completed is None else (self.completed - self.invoked) * 1000

    @property
    def words(self) -> tuple[str, str]:
        """What it is, and about what: ``Start``, ``'a'``."""
        label = self.arguments.get("label")
        about = label if label is not None else self.about()
        words = str(about) if about is not None else "NULL" if "label" in self.arguments else ""
        printable = "".join(letter if letter.isprintable() else "·" for letter in words)
        short = printable if len(printable) <= LONGEST_LABEL else printable[: LONGEST_LABEL - 1] + "…"
        return self.kind, f"'{short}'" if isinstance(label, str) else short

    def about(self) -> Scalar:
        """The argument that matters, if it is no label."""
        for name in ("role", "kind", "seconds", "max_backups", "ttl", "stop_policy", "result_retention", "max_results"):
            if self.arguments.get(name) is not None:
                return f"+{self.arguments[name]} s" if name == "seconds" else self.arguments[name]
        return None


@dataclass(frozen=True)
class History:
    """One example, from its beginning."""

    title: str
    verdict: str
    events: tuple[Event, ...]


def read_event(data: object) -> Event:
    """One line; raises Foreign. A start that is rolled back is shown with the start's arguments."""
    arguments = named(data, "arguments", lambda value: value)
    inner = arguments.pop("start", None)
    return Event(
        kind=field(data, "operation", text),
        arguments=mapped(scalar)({**arguments, **(inner if isinstance(inner, dict) else {})}),
        who=field(data, "who", text),
        invoked=field(data, "invoked", number),
        completed=field_or(data, "completed", optional(number), None),
        sql=many(data, "sql", text),
        outcome=field(data, "outcome", text),
    )
