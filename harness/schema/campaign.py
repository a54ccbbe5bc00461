"""``results.json``: a ``Campaign``. Times are seconds."""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from harness.schema.run import Run
from harness.schema.totals import Coverage, FaultTotals, HistoryTotals, InterleavingTotals, RefusalTotals, RestoreTotals
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
    NOT_CHECKED = "not checked"
    """What was to run it was lost, and lost again elsewhere."""
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
    """What was done, in words."""
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
    """Of the error."""
    reason: str
    """The detail of the error, or its message if it has none."""
    refused: int
    """How often."""


class Injections(Struct, frozen=True, kw_only=True):
    """Faults of a kind that struck operations under way at the same point."""

    fault: str
    """Its name."""
    point: str
    """Where the operation was held, or ``NO_POINT``."""
    injected: int
    """How often."""
    survived: int
    """How often all was well afterwards."""
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
    """How many it has."""
    sessions: int
    """How many took part."""
    unknown: int = 0
    """Operations of which nobody knows whether they took place."""
    answer: Answer


class Classes(Struct, frozen=True):
    """Transition classes (operation, state of the label, relation of the caller, outcome; each a list of four)."""

    seen: tuple[TransitionClass, ...]
    """Also those that it did not undertake to see."""
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
    """Which of the cases that the sentence was checked for; empty: there is but one."""
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
    """``steps`` by ``stepping``; null: one of them is none."""
    notes: tuple[str, ...] = ()
    """Remarks."""
    restores: tuple[Restore, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    """By what the backups went through, and why."""
    faults: tuple[Injections, ...] = ()
    """By kind and point."""
    interleavings: tuple[Interleavings, ...] = ()
    """By what was at once."""
    linearized: tuple[Linearized, ...] = ()
    classes: Classes
    failure: str | None = None
    """The file with everything about the failure, relative to the folder; it ends with what the servers logged."""
    counterexamples: tuple[str, ...] = ()
    """Files with the failure as data (``counterexample.Counterexample``), relative to the folder; beside each, the same
    for psql (``*.sql``) and for the isolation tester (``*.spec``)."""
    same_again: tuple[str, ...] = ()
    """Decorators with which Hypothesis tries again what failed: above the function with @given, or the class of a
    machine."""
    part: int | None = None
    """Which part of its examples did not hold, if they were drawn in parts: ``--seed`` and ``--part`` draw it again."""
    history: str | None = None
    """The file with an example's events, relative to the folder; null: none was kept."""
    timeline: str | None = None
    """The file with a part of a concurrent history, relative to the folder; null: none was kept."""

    @property
    def bad(self) -> bool:
        """It does not hold, and was not left out either."""
        return self.verdict not in (Verdict.HOLDS, Verdict.SKIPPED, Verdict.NOT_RUN)


class Shard(Struct, frozen=True, kw_only=True):
    """Tests that a worker ran in one go."""

    tests: tuple[str, ...]
    """pytest's node ids."""
    part: int = 1
    """Which part of their examples."""
    seconds: float
    """With what was set up for it."""
    set_up: float
    """How many of these its process took to be ready, if it was begun for this shard."""


class Hypothesis(Struct, frozen=True):
    """The settings of a profile, by Hypothesis's own names."""

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
    """Null: not known."""
    seed: int | None = None
    """Of the examples; null: they are always the same."""
    workers: int = 1
    """How many ran shards at once."""
    shards: tuple[Shard, ...] = ()
    """In the order in which they ended; none: all ran in one process."""
    properties: tuple[Property, ...]
    """In the order in which they ran."""
    coverage: Coverage
    restores: RestoreTotals = RestoreTotals()
    refusals: RefusalTotals = RefusalTotals()
    faults: FaultTotals = FaultTotals()
    interleavings: InterleavingTotals = InterleavingTotals()
    linearized: HistoryTotals = HistoryTotals()
    examples: int | None = None
    """Of all properties, as the next three; see there."""
    steps: int | None = None
    stepping: float | None = None
    steps_per_second: float | None = None
