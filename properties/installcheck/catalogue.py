"""Which specifications there are, what is in them, and where it comes from."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.schema.counterexample import Counterexample
from properties.concurrency.interleavings import scopes
from properties.installcheck.histories import of_counterexample, while_starting
from properties.installcheck.writing import Spec

COUNTEREXAMPLES = Path(__file__).parent / "counterexamples"

STATES = ("absent", "active", "stopped")
"""What there may be under a label before."""


def specs() -> Iterator[Spec]:
    """All of them, in the order in which they are run."""
    yield overtaken(
        "start", "another start", "identity/view-names-previous-owner", "errors/limit-plus-one", limited=True
    )
    yield overtaken("stop", "a stop", "script/starting-shows-old-token")
    yield overtaken("abort", "an abort", "identity/view-names-previous-owner")
    yield overtaken("renew", "a renewal", "script/starting-has-a-deadline")
    yield found(
        "beyond_the_limit",
        "A backup that is starting counts against the limit.",
        "errors-limit-plus-one",
    )
    yield found(
        "late_callers",
        "Who comes late, with the token of an earlier backup under the label, does nothing to the present one, and"
        " gets nothing of it.",
        "results-no-fence-for-results",
        "results-abort-without-fence",
        "results-renew-without-fence",
        "results-token-of-the-session",
    )
    yield found(
        "own_backup",
        "A session that has a backup of its own, from pg_backup_start(), cannot end a shared one; but it can have the"
        " result of one that has been stopped.",
        "core-own-backup-blocks-a-repeated-stop",
        "errors-own-backup-after-claim",
    )
    yield found(
        "renewals",
        "A renewal by another session moves the deadline.",
        "registry-renewal-does-nothing",
    )


def overtaken(kind: str, what: str, *bugs: str, limited: bool = False) -> Spec:
    """What comes in the middle of a start."""
    return Spec(
        f"while_starting_{kind}",
        (
            f"While one session starts a backup, another one tries {what}, of the same label or of another one.",
            "From the interleavings that the bench's model has of the two: all in which the second comes between the"
            " phases of the start. That is held by its checkpoint, which is not a fast one; CHECKPOINT lets it go.",
            f"It fails, among others, with these planted bugs: {', '.join(bugs)}.",
        ),
        while_starting(scopes(("start", kind), STATES), limited=limited),
        bugs,
    )


def found(name: str, what: str, *counterexamples: str) -> Spec:
    """What bugs have broken."""
    bugs = tuple(one.replace("-", "/", 1) for one in counterexamples)
    return Spec(
        name,
        (
            what,
            "From smallest counterexamples: the bench had planted a bug in the extension, and its properties found"
            f" this. By permutations, the bugs: {', '.join(bugs)}.",
        ),
        tuple(of_counterexample(read(one)) for one in counterexamples),
        bugs,
    )


def read(name: str) -> Counterexample:
    """A counterexample as the bench has written it down."""
    return msgspec.json.decode((COUNTEREXAMPLES / f"{name}.json").read_bytes(), type=Counterexample)
