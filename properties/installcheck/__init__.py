"""The isolation tests of ``make installcheck`` that nobody wrote by hand: from interleavings and counterexamples.

    python -m properties.installcheck [--expected]

Here is what goes into each of them, and how it is written as ``harness/extension/specs/*.spec``.
"""
