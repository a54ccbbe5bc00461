"""An operation is struck while it is under way: it took place or left no trace, and nothing is left behind.

Imports ``support`` and ``recording``. Read first: ``trials`` (one of them, from its beginning to its end), then
``expectations`` (a row for each fault of ``harness.faults.nemesis``).
"""
