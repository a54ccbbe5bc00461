"""Campaigns on several PostgreSQL, side by side: the page with the matrix, and the summary."""
