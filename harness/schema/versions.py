"""``versions.json``: ``Versions``, campaigns on several PostgreSQL side by side. Times are seconds."""

from enum import StrEnum

from msgspec import Struct

from harness.schema.campaign import Verdict
from harness.schema.run import Circumstances, Server
from harness.schema.totals import Coverage, FaultTotals, HistoryTotals, InterleavingTotals, RefusalTotals, RestoreTotals

FOUND_BAD = {Verdict.FAILS, Verdict.CRASHED}
NOT_CHECKED = {Verdict.NOT_CHECKED, Verdict.INTERRUPTED, Verdict.NOT_RUN}


class Standing(StrEnum):
    """What all versions together say of a property; what comes first concerns a person most."""

    DIFFERS = "differs"
    """It holds on one, and fails or crashed on another."""
    UNCHECKED = "not checked"
    """It holds on one, and on another it did not come to its end, or never began."""
    NOWHERE = "holds nowhere"
    """It does not hold on one, and holds on none."""
    PARTLY = "not everywhere"
    """It holds where it was run, and elsewhere it was skipped, or there is no such property."""
    AGREES = "agrees"
    """The same everywhere."""


class Version(Struct, frozen=True, kw_only=True):
    """The campaign on one PostgreSQL."""

    name: str
    """What it is called beside the others: its number, and which of them it is if several have the same."""
    postgresql: Server
    """With its settings, if it was run."""
    folder: str | None = None
    """The name of its results folder, beside the one of this file; null: it was not run."""
    verdict: Verdict = Verdict.NOT_RUN
    reason: str = ""
    """Why it does not hold, in one line; empty if it does."""
    seconds: float = 0.0
    counts: dict[Verdict, int] = {}
    """How many properties have each verdict."""
    coverage: Coverage | None = None
    """Null: it was not run. The rest is as in its ``results.json`` (``campaign.Campaign``)."""
    examples: int | None = None
    steps: int | None = None
    steps_per_second: float | None = None
    restores: RestoreTotals = RestoreTotals()
    refusals: RefusalTotals = RefusalTotals()
    faults: FaultTotals = FaultTotals()
    interleavings: InterleavingTotals = InterleavingTotals()
    linearized: HistoryTotals = HistoryTotals()


class Compared(Struct, frozen=True, kw_only=True):
    """A property on all versions that were run."""

    name: str
    """A sentence, with its case if it was checked for several."""
    sentence: str
    """Without the case."""
    group: str
    """What it is about."""
    test: str
    """pytest's node id."""
    standing: Standing
    verdicts: dict[str, Verdict]
    """By the version's name; one that is not among them has no such property, or was not run."""
    reasons: dict[str, str] = {}
    """Why it does not hold, by the version's name."""


class Versions(Circumstances, frozen=True, kw_only=True):
    """Campaigns with the same options, one after the other."""

    implementation: str
    """Its name."""
    profile: str
    """dev, gate or nightly."""
    selection: str | None = None
    """The expression given with -k; null: everything."""
    verdict: Verdict
    """The worst of them; a version that was not run does not hold."""
    reason: str = ""
    """Why it does not hold, in one line; empty if it does."""
    campaigns: tuple[Version, ...]
    """One for each PostgreSQL, in the order in which they were named."""
    properties: tuple[Compared, ...]
    """In the order in which they ran."""

    @property
    def ran(self) -> list[Version]:
        """Those that were run, if not to their ends."""
        return [one for one in self.campaigns if one.folder is not None]

    def that(self, standing: Standing) -> list[Compared]:
        """The properties that stand so, those that fail before the others."""
        found = [one for one in self.properties if one.standing is standing]
        return sorted(found, key=lambda one: Verdict.FAILS not in one.verdicts.values())


def standing_of(verdicts: set[Verdict | None]) -> Standing:
    """How a property stands that has these verdicts; None: there is no such property on one of the versions."""
    if verdicts & FOUND_BAD and Verdict.HOLDS in verdicts:
        return Standing.DIFFERS
    if verdicts & NOT_CHECKED and Verdict.HOLDS in verdicts:
        return Standing.UNCHECKED
    if verdicts & {*FOUND_BAD, Verdict.INTERRUPTED}:
        return Standing.NOWHERE
    return Standing.AGREES if len(verdicts) == 1 else Standing.PARTLY
