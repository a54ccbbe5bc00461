"""The reference model: what backups are, what operations do to them, and what the designs promise.

Pure: no server, no clock, no randomness, no input or output. It imports nothing of the
other rooms, and all of them may import it. Read first: ``state``, ``operations``, ``outcomes``, ``transition``.
"""
