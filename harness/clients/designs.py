"""Which implementation carries out which design of the model; and of the other designs, why none does.

The one place to add an implementation of a design: its counterexamples are then replayed on a server, too.
"""

from harness.clients.implementation import BUILT_IN, SHARED, Implementation
from model.design import CATALOG

IMPLEMENTED: dict[str, Implementation] = {one.design.name: one for one in BUILT_IN.values()}
"""By the name of the design."""

NOT_IMPLEMENTED: dict[str, str] = {
    CATALOG.name: "no implementation: a table alone would hand out backups that do not restore",
}
"""Why there is none, by the name of the design."""


def why_not(design: str) -> str:
    """Why nothing implements a design, as a sentence without its full stop; empty: something does."""
    if design in IMPLEMENTED:
        return ""
    return NOT_IMPLEMENTED.get(design, "no implementation: it is a point among the axes that nobody has built")


def speaking(design: str) -> Implementation:
    """Whose SQL tells the operations of a design; the extension's, if nothing implements it."""
    return IMPLEMENTED.get(design, SHARED)
