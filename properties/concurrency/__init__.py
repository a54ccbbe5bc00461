"""Many operations at once: chosen interleavings, free-running crowds, and the histories that are then linearized.

Imports ``support`` and ``recording``. ``histories`` has good and bad ones, in pairs. Read first: ``test_interleavings``
and ``test_free_running``.
"""
