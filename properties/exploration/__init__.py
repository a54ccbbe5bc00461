"""``nox -s explore``: which designs keep which promises, by the model alone. No server is touched.

Imports ``support`` and what is below it.
"""
