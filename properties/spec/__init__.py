"""The model alone: it is total and deterministic, and its designs keep the promises that they claim.

Imports ``support``.
"""
