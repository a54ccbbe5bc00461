"""What looks like PostgreSQL installations, made up for the tests: a pg_config that says any version, and no server."""

from pathlib import Path

FOLDERS = {
    "BINDIR": "bin",
    "SHAREDIR": "share",
    "PKGLIBDIR": "lib",
    "LIBDIR": "lib",
    "INCLUDEDIR-SERVER": "include",
    "PGXS": "lib/pgxs.mk",
}


def made_install(prefix: Path, version: str = "PostgreSQL 18.1", *, headers: bool = True, server: bool = True) -> Path:
    """Makes what looks like an installation, with parts left out, and gives its pg_config."""
    for folder in ("bin", "share", "lib", "include"):
        (prefix / folder).mkdir(parents=True)
    if headers:
        (prefix / "include" / "postgres.h").touch()
        (prefix / "lib" / "pgxs.mk").touch()
    if server:
        (prefix / "bin" / "postgres").touch()
        (prefix / "bin" / "initdb").touch()
    lines = [f"{key} = {prefix / folder}" for key, folder in FOLDERS.items()]
    text = "\n".join([*lines, "CC = gcc", "CFLAGS = -O2", f"VERSION = {version}"])
    return script(prefix / "bin" / "pg_config", text)


def script(path: Path, output: str, status: int = 0) -> Path:
    """An executable file that prints the text."""
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n")
    path.chmod(0o755)
    return path
