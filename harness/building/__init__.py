"""The extension, and PostgreSQL with assertions, built from sources. Imports ``machine``."""
