"""From a live data directory to a restored one: the load, the copy, the recovery, and whether it is whole.

Imports ``clients`` and what is below. Read first: ``snapshot``, ``restore``, ``soundness``.
"""
