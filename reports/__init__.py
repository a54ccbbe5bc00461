"""Pages, summaries and figures of results folders, and nothing else: reports read files, never a server.

Imports the model and ``harness.schema``, which says what is in the files, and nothing else of the harness. Only the
tests of the bench import it; programs run it as a person does: ``python -m reports``.
"""
