"""``nox -s replay``: a counterexample is tried again, on any server and any implementation.

Only the tests of the bench import it.
"""
