"""``nox -s package``: the extension as people install it, a package of Debian, from its making to a restored backup."""
