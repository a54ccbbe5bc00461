"""This computer: which PostgreSQL, as which user, in which folders, and its processes. Imports no other room."""
