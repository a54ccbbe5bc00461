"""The lines that the extension's README tells people to run, taken out of its text, and a shell that runs them."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from harness.machine.project import EXTENSION
from harness.server.cluster import Cluster
from properties.support.readme import section

EXAMPLES = EXTENSION / "examples"


@dataclass(frozen=True)
class Hooks:
    """Those for a snapshot, in their order."""

    before: str
    after: str
    abort: str
    renew: str
    sql: str


def hooks() -> Hooks:
    """Out of the section on them."""
    return Hooks(*pieces("A snapshot with two hooks"))


def preloaded() -> dict[str, str]:
    """The setting that the README wants in postgresql.conf."""
    (line,) = (piece for piece in pieces("Installing") if piece.startswith("shared_preload_libraries"))
    name, _, value = line.strip().partition(" = ")
    return {name: value.strip("'")}


def statements() -> str:
    """What the README wants to be run in a database, to make the extension there."""
    (script,) = (piece for piece in pieces("Installing") if piece.startswith("CREATE EXTENSION"))
    return script


def pieces(title: str) -> list[str]:
    """The pieces of a section that are to be run."""
    return [dedent(piece) for piece in re.findall(r"(?:^ {4}.*\n)+", section(title), re.MULTILINE)]


def connection(server: Cluster) -> dict[str, str]:
    """The variables that lead psql to the server, as a superuser."""
    parameters = server.parameters()
    return {
        "PGHOST": parameters["host"],
        "PGPORT": str(parameters["port"]),
        "PGUSER": parameters["user"],
        "PGDATABASE": parameters["dbname"],
    }


def run_in_shell(
    server: Cluster, script: str, folder: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs lines in that folder, as a hook is run, with psql and its variables set for the server."""
    postgres = server.build.postgres
    environment = {
        **postgres.environment(),
        "PATH": f"{EXAMPLES}:{postgres.binary('psql').parent}:{os.environ['PATH']}",
        **connection(server),
        "SHARED_BACKUP_STATE": str(folder / "state"),
        **(more or {}),
    }
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
