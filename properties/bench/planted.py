"""The extension with a bug planted in it, counterexamples that nobody has found, and the programs that run scripts."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.clients.history import describe
from harness.clients.implementation import SHARED, Implementation
from harness.machine.postgres import Postgres
from harness.machine.project import EXTENSION, ROOT
from harness.running.results import recorded
from harness.schema.counterexample import Counterexample, Role, Step
from harness.schema.run import Server
from harness.server.cluster import Cluster
from model.linearizability.schedule import without_ghosts
from model.operations import Operation
from model.state import initial
from model.transition import run
from properties.mutants.selection import PATCH
from properties.mutants.tree import apply
from properties.support.lockstep import ROLES, SESSIONS

PATIENCE = 60  # seconds for psql or the isolation tester


BEYOND_THE_LIMIT = "errors/limit-plus-one"
"""The mutant that lets one backup more begin than the limit allows."""


def plant(mutant: str, folder: Path) -> Path:
    """The sources of the extension in a folder, with the bug in them; returns theirs."""
    sources = folder / EXTENSION.relative_to(ROOT)
    shutil.copytree(EXTENSION, sources)
    apply((ROOT / PATCH.format(mutant)).read_text(), folder)
    return sources


def made_up(*operations: Operation, implementation: Implementation = SHARED) -> Counterexample:
    """A counterexample that came as expected, and so is none; without the SQL."""
    cluster = first = initial(implementation.design, ROLES, SESSIONS)
    steps = []
    for operation in operations:
        (cluster, outcome), *_ = run(implementation.design, cluster, operation)
        words = describe(without_ghosts(operation, outcome))
        name, arguments = type(operation).__name__, asdict(operation)
        steps.append(Step(who="somebody", operation=name, arguments=arguments, expected=words, came=words))
    return Counterexample(
        promise="nothing is wrong",
        found="nothing",
        failed=len(steps),
        implementation=recorded(implementation),
        server=Server("18.6"),
        flavour="instrumented",
        roles=tuple(Role(**role._asdict()) for role in first.roles),
        sessions=SESSIONS,
        steps=tuple(steps),
    )


# The programs that run its scripts


def psql(postgres: Postgres, server: Cluster, script: Path) -> tuple[str, str]:
    """What psql prints, and what errors it reports."""
    program = postgres.binary("psql")
    if not program.is_file():
        pytest.skip(f"there is no psql in {postgres.bindir}")
    command = [str(program), "-X", "-f", str(script), server.dsn()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=postgres.environment())
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def isolation_tester(postgres: Postgres, server: Cluster, spec: str) -> Mapping[str, str]:
    """What PostgreSQL's isolation tester prints of each step, by name."""
    program = postgres.pgxs.parents[1] / "test" / "isolation" / "isolationtester"
    if not program.is_file():
        pytest.skip("the PostgreSQL comes without isolationtester, which PGXS installs")
    done = subprocess.run(
        [program, server.dsn()],
        input=spec,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=postgres.environment(),
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    said: dict[str, str] = {}
    for name, text in re.findall(r"^step (\w+): (.*?)(?=^step |\Z)", done.stdout, re.MULTILINE | re.DOTALL):
        said[name] = said.get(name, "") + text
    return said
