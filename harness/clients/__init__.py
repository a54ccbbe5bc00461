"""Clients that carry out the model's operations: which SQL does it, what came of it, and what happened in which order.

Imports ``server`` and the model. Read first: ``client`` and ``implementation``; ``shared.toml`` is a sample of the
latter.
"""
