"""Everything that touches a real server: finding PostgreSQL, building the extension, running clusters and sessions."""
