"""A running server and what is seen of it from outside: sessions, settings, log, files, memory, injection points.

Imports ``machine`` and ``building``. Read first: ``cluster``.
"""
