"""One operation after the other, the model beside the server: conformance, the tour, errors, labels, times, tokens.

Imports ``support`` and ``recording``. Read first: ``conformance``.
"""
