"""The rules of "Error Message Style Guide" in PostgreSQL's documentation, as far as a program can tell."""

NAME = '"'
"""A text may begin with what something is called."""


def is_message(text: str) -> bool:
    """Is it no sentence? It begins with no capital, unless that is an acronym, and has no full stop."""
    begins = text[0].islower() or text[0] == NAME or text[:3].isupper()
    return begins and not text.endswith(".")


def is_sentence(text: str) -> bool:
    """Is it a whole one, as a detail and a hint are?"""
    return (text[0].isupper() or text[0] == NAME) and text.endswith(".")
