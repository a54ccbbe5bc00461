"""Backups over restarts of their server: what is kept is restored, what is lost is refused, never a wrong yes.

Imports ``support`` and ``recording``, and machinery of ``faults`` and ``restores``. Read first: ``lockstep`` and
``test_durable_restore``.
"""
