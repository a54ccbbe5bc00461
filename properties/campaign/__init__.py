"""``nox -s verify`` and ``nox -s cassert``: all properties, with progress, a verdict and a results folder.

Only the tests of the bench import it.
"""
