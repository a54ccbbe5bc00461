"""Paired measurements of latency, concurrency and memory, each candidate in turn with core's own functions; and in
``simulation``, what a fleet of servers pays for each design.

Imports the harness, the model and machinery of ``properties``; only the tests of the bench import it.
"""
