"""What is in a results folder: each kind of file as typed records, which its writer fills and the reports read.

``results.json`` is a ``campaign.Campaign``, ``bench.json`` a ``benchmarks.Benchmarks``, ``mutants.json`` a
``mutants.Mutants``, ``simulation.json`` a ``simulation.Simulation``, ``exploration.json`` an
``exploration.Exploration``, ``versions.json`` a ``versions.Versions``; all begin with what every run says about itself
(``run.Circumstances``). Beside an exploration, ``graph-*.json`` is an ``exploration.Graph``, and ``replays.json`` a
``replays.Replays``. In ``histories/``, each line of ``*.jsonl`` is a ``history.Event``, and ``*.timeline.json`` a
``timeline.Timeline``. In ``failures/``, ``*.json`` is a ``counterexample.Counterexample``. A field that is a record is
described by it. A field's default is what its absence means: results of earlier versions lack some.

Imports the model alone, and touches no server.
"""
