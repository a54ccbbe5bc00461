"""What strikes a server: faults at an operation under way, and lives of the server that the extension does not see.

Imports ``clients`` and what is below. Read first: ``nemesis``.
"""
