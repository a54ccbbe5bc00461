"""Is a concurrent history explained by the model? The question, the search for a schedule, and what makes it fast.

Read first: ``calls`` (what a history is), then ``linearize`` (the question and its answers).
"""
