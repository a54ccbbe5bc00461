"""Numbers that may not be taken for each other: which start is meant, and when something was.

A duration is neither: it is a plain number of seconds.
"""

from __future__ import annotations

from typing import NewType

StartPoint = NewType("StartPoint", int)
"""Names a start. The model numbers starts from one, as they take their start points; concurrent histories have LSNs."""

Time = NewType("Time", int)
"""A moment: whole seconds of the model's clock, which starts at zero."""
