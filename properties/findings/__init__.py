"""What the bench has found in PostgreSQL itself: scripts that anybody can run, and who watches each.

Imports ``recording``. Read first: the README beside this, then ``catalogue``.
"""
