"""Everything that touches a real server; it imports the model, and nothing of the rooms above.

From the bottom up: ``machine`` (this computer) and ``schema`` (what is in results folders), ``building`` (the extension
from its sources), ``server`` (a running one), ``clients`` (the model's operations in SQL), then ``faults``, ``restore``
and ``running`` side by side.
``extension`` has the C sources.
"""
