"""``replays.json``: ``Replays``, what a real server said of what was explored."""

from enum import StrEnum

from msgspec import Struct

from harness.schema.run import SCHEMA


class Verdict(StrEnum):
    """How the server stands to the model."""

    AGREES = "as the model says"
    DISAGREES = "against the model"
    NOT_REPLAYED = "not replayed"


class Replay(Struct, frozen=True, kw_only=True):
    """A history, tried on a server."""

    design: str
    promise: str
    """That it breaks; of a path through a graph: that it shows kept."""
    verdict: Verdict
    steps: int = 0
    """That were taken on the server."""
    why: str = ""
    """Why it was not replayed, or what disagreed."""


class Replays(Struct, frozen=True, kw_only=True):
    """A run."""

    schema: int = SCHEMA
    """The version of this description."""
    postgresql: str
    """The version."""
    counterexamples: tuple[Replay, ...]
    kept: tuple[Replay, ...] = ()
    """Paths on which promises are kept."""

    def tried(self) -> list[Replay]:
        """Everything that was replayed."""
        return [one for one in (*self.counterexamples, *self.kept) if one.verdict is not Verdict.NOT_REPLAYED]
