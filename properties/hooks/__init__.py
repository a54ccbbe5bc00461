"""The examples that an administrator copies: each is run as it stands there, with the tool that it is for.

Imports ``support`` and ``recording``. Read first: ``test_examples``.
"""
