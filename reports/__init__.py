"""Pages, summaries and figures of results folders, and nothing else: reports read files, never a server.

Imports the model; only the tests of the bench import it. Programs run it as a person does: ``python -m reports``.
"""
