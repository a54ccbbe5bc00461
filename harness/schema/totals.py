"""What the properties of a campaign counted, all of them together. Times are seconds."""

from msgspec import Struct

from model.tour import TransitionClass


class Coverage(Struct, frozen=True):
    """The transition classes that properties undertook to see."""

    percent: float | None
    """Of them, seen; null: nothing was undertaken."""
    reachable: int
    """How many they are; one that two properties undertook to see counts twice."""
    seen: int
    """How many of them."""
    missing: tuple[TransitionClass, ...]
    """The others."""


class RestoreTotals(Struct, frozen=True, kw_only=True):
    """Restores, counted."""

    made: int = 0
    """In all."""
    restored: int = 0
    """Whole, as the model said."""
    refused: int = 0
    """As the model said."""
    against: int = 0
    """The model said otherwise."""
    torn_pages: int = 0
    """In the copies that were restored whole: recovery mended them."""
    median: float | None = None
    """Seconds; null: none was made."""
    longest: float | None = None
    """Seconds; null: none was made."""


class RefusalTotals(Struct, frozen=True):
    """Stops that said no, counted."""

    made: int = 0
    """In all."""


class FaultTotals(Struct, frozen=True):
    """Faults, counted."""

    kinds: int = 0
    """How many different ones."""
    injected: int = 0
    """In all."""
    survived: int = 0
    """Afterwards all was well."""


class InterleavingTotals(Struct, frozen=True):
    """Interleavings, counted."""

    replayed: int = 0
    """In all."""


class HistoryTotals(Struct, frozen=True, kw_only=True):
    """Histories that were linearized, counted."""

    histories: int = 0
    """In all."""
    operations: int = 0
    """In all."""
    unknown: int = 0
    """Operations of unknown outcome."""
    longest: int = 0
    """Operations of the longest."""
    sessions: int = 0
    """Of the one with the most."""
    explained: int = 0
    """Histories with this answer (``campaign.Answer``), as are the next two."""
    undecided: int = 0
    """It was not found out within the budget."""
    unexplained: int = 0
    """Nothing explains them."""
