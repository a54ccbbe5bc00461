"""``nox -s simulate``: what each design of shared backups costs whoever runs a fleet of servers.

The rules of backups are the model's, asked once at the start (``fates``); those of the fleet are in ``attempts``.
Nothing here runs a server but ``wal``, which measures one of the constants.
"""
