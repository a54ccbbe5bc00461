"""``mutants.json``: ``Mutants``, planted bugs and what found them. Times are seconds."""

from enum import StrEnum

from msgspec import Struct

from harness.schema.run import Run

GENERATED_AREA = "generated-"
"""How the names begin of mutants that no one chose: with the area that they are in."""


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    """A property failed."""
    SURVIVED = "survived"
    """Every property passed."""
    HUNG = "hung"
    """Nothing went on for so long that it was given up. That is no kill."""
    BROKEN = "broken"
    """It does not compile, or there was nothing to try it with. That is no kill."""
    STALE = "does not apply"
    """Its patch: the tree is not what it was written for."""
    EQUIVALENT = "equivalent"
    """Somebody has found that it does the same as the original, and so it was not tried."""
    NOT_RUN = "not run"
    """The time was up, or the run was interrupted."""


class Verdict(StrEnum):
    """What became of a run."""

    ALL_KILLED = "all killed"
    """But for those that are equivalent."""
    NOT_ALL_KILLED = "not all killed"
    INTERRUPTED = "interrupted"


class Suite(StrEnum):
    """What a run tries to find the bugs with."""

    PROPERTIES = "properties"
    """Those of the bench."""
    EXAMPLES = "examples"
    """The tests that the extension has itself, as PostgreSQL has them; only mutants of the extension are tried."""


class Kill(Struct, frozen=True, kw_only=True):
    """How a mutant was found.

    Examples, steps and seconds are those until the first failure, before it was made smaller; where a property does not
    say when that was, until its end.
    """

    property: str
    """A sentence, with its case if it has several; or the name of an example."""
    test: str
    """pytest's node id; of an example, its file."""
    crashed: bool = False
    """The property did not fail, it broke down: a poorer finding."""
    reason: str
    """In one line."""
    finding: str = ""
    """What a person is shown: the message, and the history to try by hand."""
    examples: int | None = None
    """Of the property; null: it does not count."""
    steps: int | None = None
    """Of the property: operations carried out on a server and checked; null: it does not count."""
    seconds: float
    """From the beginning of the first property that was tried, with its set-up."""
    size: int | None = None
    """Operations in the counterexample, as it is shown; null: there is no history."""
    before: int
    """Properties that had passed before."""


class Mutant(Struct, frozen=True, kw_only=True):
    """A planted bug."""

    name: str
    """Its area and its own name, with a slash between them."""
    mistake: str
    """What a developer did wrong."""
    breaks: str = ""
    """What comes of it, in words; empty: nobody has told."""
    files: tuple[str, ...]
    """That the patch changes."""
    outcome: Outcome
    reason: str = ""
    """Why it was not tried, or is no kill, in one line."""
    kill: Kill | None = None
    """Null: it was not killed."""
    seconds: float = 0.0
    """With copying, building, and making the counterexample smaller."""


class Mutants(Run, frozen=True, kw_only=True):
    """A run of the mutants, or of some."""

    verdict: Verdict
    suite: Suite = Suite.PROPERTIES
    profile: str
    """gate or nightly: how long each property looks."""
    chosen: str
    """Which mutants, in words."""
    mutants: tuple[Mutant, ...]
    killed: int
    tried: int
    """Those that were killed, survived or hung."""
    median_steps: float | None = None
    """To the kill, of those kills that count steps; null: none does."""
    median_seconds: float | None = None
    """To the kill; null: nothing was killed."""
