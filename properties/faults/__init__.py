"""An operation is struck while it is under way: it took place or left no trace, and nothing is left behind.

Imports ``support`` and ``recording``. Read first: ``trials``.
"""
