"""An example of a property, from its beginning: JSON lines, an ``Event`` each, for people and for the reports.

What ``properties.concurrency.linearize`` reads is of another kind (``properties.concurrency.recorded``): there outcomes
are values to compare, here they are words to read.
"""

from msgspec import Struct

from harness.schema.run import Scalar


class Event(Struct, frozen=True, kw_only=True):
    """One operation and what came of it. Times are seconds from any beginning; in a timeline, see there."""

    operation: str
    """Its name, as ``model.operations`` has it."""
    arguments: dict[str, Scalar | dict[str, Scalar]] = {}
    """By name; those of a start that is rolled back are in ``start``."""
    who: str
    """The session and its role, or who else did it."""
    invoked: float
    """When it was sent."""
    completed: float | None = None
    """When its answer was there; null: never."""
    sql: tuple[str, ...] = ()
    """What was sent, with the values filled in."""
    outcome: str
    """``ok`` with what it returned, or the SQLSTATE with its name; then the server's own words, when it refused.
    ``never completed``: not known."""

    @property
    def row(self) -> str:
        """Who did it: a session whatever its role, an administrator, the world."""
        return self.who.partition(" (")[0]

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
