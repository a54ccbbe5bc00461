"""Designs that are not the extension: a table as the thread proposes it, and what becomes of its backups.

They are here to be tried, not to be used.
"""
