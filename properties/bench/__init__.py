"""The bench itself: set-up, servers, verdicts, gate, reports. No property of an implementation: ``verify`` skips it.

Imports every room; nobody imports it.
"""
