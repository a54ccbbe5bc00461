"""``nox -s mutants``: bugs planted in the extension, the model and the checkers, and how fast a property finds each.

A mutant is a patch in ``patches/<area>/<name>.patch``: a sentence that says what a developer did wrong, an empty line,
and a unified diff. Only the tests of the bench import this room.
"""
