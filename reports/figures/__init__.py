"""Figures: each module draws one kind, from what ``reports`` read, and knows nothing of files or pages."""
