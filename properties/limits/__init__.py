"""Memory, results and workers have limits: who meets one is told, and everybody else goes on.

Imports ``support`` and ``recording``.
"""
