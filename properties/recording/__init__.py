"""What is kept of a run: counts, histories, verdicts, and the results folder that they go into.

Imports the harness and the model; every other room of ``properties`` may import it.
"""
