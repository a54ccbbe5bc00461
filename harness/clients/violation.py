"""What a client, and whoever holds it to the model, raises when they disagree."""

from harness.schema.counterexample import Counterexample


class Violation(AssertionError):  # noqa: N818 - it is a finding, not an error
    """The system did what no state of the model allows."""

    def __init__(self, message: str, counterexample: Counterexample | None = None) -> None:
        super().__init__(message)
        self.counterexample = counterexample
        """The same as data; None: only the message tells."""
