"""``nox -s mutants``: bugs planted in the extension, the model and the checkers, and how fast a property finds each.

A mutant is a patch in ``patches/<area>/<name>.patch``: a sentence that says what a developer did wrong, an empty line,
perhaps what that breaks, and a unified diff. Read first: ``trials`` (how one is tried), ``order`` and ``rounds``. Only
the tests of the bench import this room.
"""
