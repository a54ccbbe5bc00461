"""``results.json``: a ``Campaign``. Times are seconds."""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from harness.schema.run import Run
from model.tour import TransitionClass


class Verdict(StrEnum):
    """What became of a property, or of a whole campaign."""

    HOLDS = "holds"
    FAILS = "fails"
    SKIPPED = "skipped"
    CRASHED = "crashed"
    """An error in the set-up or in the checker itself."""
    INTERRUPTED = "interrupted"
    """It did not come to its end, or never began."""
    NOT_RUN = "not run"
    """The campaign stopped at a failure before."""


# What a property counts

NO_POINT = "any moment"
"""In place of a point."""


class SurvivalCase(Struct, frozen=True):
    """What a backup went through between its start and its stop."""

    design: str
    """The name of the implementation that took it."""
    across: tuple[str, ...] = ()
    """The kinds of restarts that it crossed, each named once; none: the server stayed up."""
    but: str = ""
    """What was wrong with it, so that its stop should refuse, or its copy not recover; empty: nothing."""

    def through(self, fall: str, but: str = "") -> "SurvivalCase":
        """The same after another restart; what was wrong before still is."""
        return replace(self, across=tuple(sorted({*self.across, fall})), but=self.but or but)

    def with_fault(self, but: str) -> "SurvivalCase":
        """The same, but for this."""
        return replace(self, but=but)


class Restore(Struct, frozen=True):
    """One attempt to restore a backup."""

    scenario: str
    restorable: bool
    """What the model says of it: the server is to recover from it, or to refuse; a copy that recovers and is not whole
    counts as refused."""
    said: str
    """The first flaw, in the server's own words where it has any; empty: it recovered, and is whole."""
    torn_pages: int
    """Pages of the copy that are half old, half new."""
    seconds: float
    """To lay the copy out, recover and check it."""
    as_expected: bool
    """Do the model and the server agree?"""
    survival_case: SurvivalCase | None = None
    """What it went through; null: it was not asked of this backup what it survives."""


class Refusal(SurvivalCase, frozen=True, kw_only=True):
    """Stops that said no, of backups that went through the same."""

    sqlstate: str
    reason: str
    """The detail of the error, or its message if it has none."""
    refused: int
    """How often."""


class Injections(Struct, frozen=True, kw_only=True):
    """Faults of a kind that struck operations under way at the same point."""

    fault: str
    point: str
    """Where the operation was held, or ``NO_POINT``."""
    injected: int
    survived: int
    """Afterwards all was well."""
    told: dict[str, int] = {}
    """How often callers were told what, if it was survived: ``ok``, or an SQLSTATE."""


class Interleavings(Struct, frozen=True, kw_only=True):
    """Orders of the phases of some operations, each replayed."""

    at_once: str
    """The operations, with slashes between them."""
    labels: int
    """How many labels they are about."""
    limit: int
    """On live backups."""
    where: str = ""
    """What else was special."""
    replayed: int
    """In how many orders."""


class Answer(StrEnum):
    """What the linearizer said of a history."""

    EXPLAINED = "explained"
    UNDECIDED = "undecided"
    UNEXPLAINED = "unexplained"


class Linearized(Struct, frozen=True, kw_only=True):
    """A concurrent history that was linearized."""

    operations: int
    sessions: int
    unknown: int = 0
    """Operations of which nobody knows whether they took place."""
    answer: Answer


class Classes(Struct, frozen=True):
    """Transition classes (operation, state of the label, relation of the caller, outcome; each a list of four)."""

    seen: tuple[TransitionClass, ...]
    reachable: int
    """How many the property undertook to see."""
    missing: tuple[TransitionClass, ...]
    """Those of them that it did not see."""


class Property(Struct, frozen=True, kw_only=True):
    """One property and its verdict."""

    name: str
    """A sentence, with its case if it was checked for several."""
    sentence: str
    """Without the case."""
    case: str = ""
    group: str
    """What it is about."""
    test: str
    """pytest's node id."""
    description: str = ""
    """More about it."""
    verdict: Verdict
    reason: str = ""
    """Why it does not hold, in one line; empty if it does."""
    seconds: float
    """With set-up and clearing up."""
    examples: int | None = None
    """How many were tried; null: it does not count."""
    steps: int | None = None
    """Operations carried out on a server and checked; null: it does not count."""
    stepping: float | None = None
    """Seconds spent in the steps and their checks."""
    steps_per_second: float | None = None
    notes: tuple[str, ...] = ()
    restores: tuple[Restore, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    faults: tuple[Injections, ...] = ()
    interleavings: tuple[Interleavings, ...] = ()
    linearized: tuple[Linearized, ...] = ()
    classes: Classes
    failure: str | None = None
    """The file with everything about the failure, relative to the folder; it ends with what the servers logged."""
    same_again: tuple[str, ...] = ()
    """Decorators with which Hypothesis tries again what failed: above the function with @given, or the class of a
    machine."""
    history: str | None = None
    """The file with an example's events, relative to the folder; null: none was kept."""
    timeline: str | None = None
    """The file with a part of a concurrent history, relative to the folder; null: none was kept."""

    @property
    def bad(self) -> bool:
        """It does not hold, and was not left out either."""
        return self.verdict not in (Verdict.HOLDS, Verdict.SKIPPED, Verdict.NOT_RUN)


# All properties together


class Coverage(Struct, frozen=True):
    """The transition classes that properties undertook to see."""

    percent: float | None
    """Of them, seen; null: nothing was undertaken."""
    reachable: int
    seen: int
    missing: tuple[TransitionClass, ...]


class RestoreTotals(Struct, frozen=True, kw_only=True):
    """Restores, counted."""

    made: int = 0
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


class RefusalTotals(Struct, frozen=True):
    """Stops that said no, counted."""

    made: int = 0


class FaultTotals(Struct, frozen=True):
    """Faults, counted."""

    kinds: int = 0
    injected: int = 0
    survived: int = 0


class InterleavingTotals(Struct, frozen=True):
    """Interleavings, counted."""

    replayed: int = 0


class HistoryTotals(Struct, frozen=True, kw_only=True):
    """Histories that were linearized, counted."""

    histories: int = 0
    operations: int = 0
    """In all."""
    unknown: int = 0
    """Operations of unknown outcome."""
    longest: int = 0
    """Operations."""
    sessions: int = 0
    """At most."""
    explained: int = 0
    undecided: int = 0
    unexplained: int = 0


class Hypothesis(Struct, frozen=True):
    """The settings of a profile."""

    max_examples: int
    stateful_step_count: int
    derandomize: bool


class Campaign(Run, frozen=True, kw_only=True):
    """A run of all properties, or of some."""

    verdict: Verdict
    reason: str = ""
    """Why it does not hold, in one line; empty if it does."""
    profile: str
    """dev, gate or nightly."""
    hypothesis: Hypothesis | None = None
    properties: tuple[Property, ...]
    """In the order in which they ran."""
    coverage: Coverage
    restores: RestoreTotals = RestoreTotals()
    refusals: RefusalTotals = RefusalTotals()
    faults: FaultTotals = FaultTotals()
    interleavings: InterleavingTotals = InterleavingTotals()
    linearized: HistoryTotals = HistoryTotals()
    examples: int | None = None
    """Of all properties, as are the steps."""
    steps: int | None = None
    stepping: float | None = None
    steps_per_second: float | None = None
