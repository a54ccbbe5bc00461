"""Everything that pytest runs: a folder for each kind of promise, with its tests and its machinery side by side.

``walks``: one operation after the other. ``concurrency``: many at once. ``faults``: struck while under way.
``limits``: memory and workers run out. ``restores``: the copy has the last word. ``durable``: over restarts.
``designs``: a table in place of shared memory. ``spec``: the model alone. ``bench``: the bench itself, no property of
an implementation.

``support`` and ``recording`` serve all of them; ``campaign`` is ``nox -s verify``, ``mutants`` is ``nox -s mutants``.
``pyproject.toml`` says who may import whom.
"""
