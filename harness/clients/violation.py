"""What a client, and whoever holds it to the model, raises when they disagree."""


class Violation(AssertionError):  # noqa: N818 - it is a finding, not an error
    """The system did what no state of the model allows."""
