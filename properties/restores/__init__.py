"""The copy has the last word: backups of servers that stay up are restored, and compared row by row.

Imports ``support`` and ``recording``. Read first: ``test_restore``.
"""
