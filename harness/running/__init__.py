"""What the programs of the bench have in common: their command lines, what they show, and their results folders.

Imports ``clients`` and what is below.
"""
